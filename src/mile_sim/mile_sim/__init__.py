"""The simulated WidowX 250s, its block-insertion task, expert and simulated operator.

Importing the package registers the gymnasium environment `mile/BlockInsertion-v0` and, unless MUJOCO_GL says otherwise, chooses the
offscreen renderer that this machine has: MuJoCo reads that variable once, when it is first imported.
"""

import ctypes
import os

import gymnasium

_RENDERERS = {'egl': 'libEGL.so.1', 'osmesa': 'libOSMesa.so.8'}


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


if 'MUJOCO_GL' not in os.environ:
    os.environ['MUJOCO_GL'] = next((name for name, library in _RENDERERS.items() if _loads(library)), 'disable')

gymnasium.register(id='mile/BlockInsertion-v0', entry_point='mile_sim.block_insertion:BlockInsertion')
