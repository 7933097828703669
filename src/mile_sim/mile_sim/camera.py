"""Offscreen images of the simulated world; everything else runs where no renderer is to be had.

`mujoco.Renderer` takes the renderer that was chosen when mujoco was imported; this one chooses when it is opened, so the order of imports
does not matter.
"""

from __future__ import annotations

import atexit
import ctypes
import importlib
import importlib.util
import os
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from mile_sim.errors import SimError

CAMERAS = ('front', 'hole', 'wrist')
_LIBRARIES = {'egl': 'libEGL.so.1', 'osmesa': 'libOSMesa.so.8'}
_LARGEST_SCENE = 1000


class Camera:
    """Renders one camera of the scene. The OpenGL context belongs to the thread that made it."""

    def __init__(self, model: mujoco.MjModel, width: int = 640, height: int = 480, name: str = 'front') -> None:
        """Open the renderer, that of MUJOCO_GL if it is set, for images of `width` x `height` pixels.

        Raises:
            SimError: no such camera, an image of no pixels, or no renderer on this machine.
        """
        if name not in CAMERAS:
            msg = f'camera: got {name!r}, expected one of {", ".join(CAMERAS)}'
            raise SimError(msg)
        if min(width, height) < 1:
            msg = f'camera: got {width} x {height} pixels, expected at least 1 x 1'
            raise SimError(msg)
        self._gl = _open_context(width, height)
        self._gl.make_current()
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_resizeOffscreen(width, height, self._context)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._model = model
        self._scene = mujoco.MjvScene(model, _LARGEST_SCENE)
        self._view = mujoco.MjvCamera()
        self._view.type, self._view.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, model.camera(name).id
        self._options = mujoco.MjvOption()
        self._rectangle = mujoco.MjrRect(0, 0, width, height)
        atexit.register(self.close)

    def render(self, data: mujoco.MjData) -> NDArray[np.uint8]:
        """Image of the present state, shape (height, width, 3), RGB."""
        self._gl.make_current()
        category = mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_updateScene(self._model, data, self._options, None, self._view, category, self._scene)
        mujoco.mjr_render(self._rectangle, self._scene, self._context)
        image = np.empty((self._rectangle.height, self._rectangle.width, 3), np.uint8)
        mujoco.mjr_readPixels(image, None, self._rectangle, self._context)
        return np.ascontiguousarray(image[::-1])

    def close(self) -> None:
        """Free the OpenGL context."""
        atexit.unregister(self.close)
        self._context.free()
        self._gl.free()


def _open_context(width: int, height: int) -> Any:
    """An offscreen OpenGL context."""
    name = os.environ.get('MUJOCO_GL') or next((name for name, library in _LIBRARIES.items() if _loads(library)), 'none')
    if name not in _LIBRARIES:
        msg = f'camera images are off: renderer {name!r}; install libegl1 or libosmesa6, or set MUJOCO_GL to {" or ".join(_LIBRARIES)}'
        raise SimError(msg)
    _load_compiler_before_renderer()
    try:
        return importlib.import_module(f'mujoco.{name}').GLContext(width, height)
    except (RuntimeError, AttributeError, ImportError) as error:
        msg = f'camera images are off: renderer {name!r} does not open ({error}); install libegl1 or libosmesa6, or set MUJOCO_GL'
        raise SimError(msg) from error


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _load_compiler_before_renderer() -> None:
    """Load triton's LLVM, which torch loads late, before Mesa's: the other order ends in a segmentation fault."""
    if importlib.util.find_spec('triton') is not None:
        importlib.import_module('triton._C.libtriton')
