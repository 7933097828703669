"""Offscreen images of the simulated world; everything else runs where no renderer is to be had."""

from __future__ import annotations

import atexit
import importlib
import importlib.util

import mujoco
import numpy as np
from numpy.typing import NDArray

from mile_sim.errors import SimError

CAMERAS = ('front', 'hole')


class Camera:
    """Renders one camera of the scene. The OpenGL context belongs to the thread that made it."""

    def __init__(self, model: mujoco.MjModel, width: int = 640, height: int = 480, name: str = 'front') -> None:
        """Open the renderer for images of `width` x `height` pixels, at most 640 x 480.

        Raises:
            SimError: no such camera, too large, or no renderer on this machine.
        """
        if name not in CAMERAS:
            msg = f'camera: got {name!r}, expected one of {", ".join(CAMERAS)}'
            raise SimError(msg)
        _load_compiler_before_renderer()
        try:
            self._renderer = mujoco.Renderer(model, height, width)
        except ValueError as error:
            msg = f'camera: got {width} x {height} pixels, expected at most 640 x 480'
            raise SimError(msg) from error
        except (RuntimeError, AttributeError, ImportError) as error:
            msg = f'camera images are off: no offscreen renderer ({error}); install libegl1 or libosmesa6, or set MUJOCO_GL'
            raise SimError(msg) from error
        self._name = name
        atexit.register(self._renderer.close)

    def render(self, data: mujoco.MjData) -> NDArray[np.uint8]:
        """Image of the present state, shape (height, width, 3), RGB."""
        self._renderer.update_scene(data, self._name)
        image: NDArray[np.uint8] = self._renderer.render()
        return image

    def close(self) -> None:
        """Free the OpenGL context."""
        atexit.unregister(self._renderer.close)
        self._renderer.close()


def _load_compiler_before_renderer() -> None:
    """Load triton's LLVM, which torch loads late, before Mesa's: the other order ends in a segmentation fault."""
    if importlib.util.find_spec('triton') is not None:
        importlib.import_module('triton._C.libtriton')
