"""The task as a gymnasium environment: put the octagonal block into the hole of the wooden box.

The actions go through the very safety gate and kinematics that stand before the motors of a real arm; the observation is one control
tick, before history stacking, in the order of the task's observation layout.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any, ClassVar

import gymnasium
import numpy as np
import yaml
from numpy.typing import ArrayLike, NDArray

from mile_learner.layout import ARM_ENTRIES, image_entry, layout_width
from mile_learner.step import ACTION_DIM, Array
from mile_learner.task import TaskConfig
from mile_policy_node.gate import GateConfig, SafetyGate
from mile_policy_node.kinematics import Kinematics
from mile_sim.camera import Camera
from mile_sim.errors import SimError
from mile_sim.eyes import Eyes, check_layout
from mile_sim.scene import SceneConfig
from mile_sim.world import StartConfig, World

LAYOUT = ('ee_x', 'ee_y', 'ee_z', 'gripper', 'block_to_hole_x', 'block_to_hole_y', 'block_to_hole_z')


def default_task() -> TaskConfig:
    """The block-insertion task as configured in config/task_block_insertion.yaml, of which this package carries a copy."""
    text = files('mile_sim').joinpath('task_block_insertion.yaml').read_text(encoding='utf-8')
    return TaskConfig.from_mapping(yaml.safe_load(text), source='task_block_insertion.yaml')


def observe(world: World) -> Array:
    """The state at one tick, shape (7,): end effector, opening of the gripper, block to hole [m]; see `LAYOUT`."""
    return np.array([*world.end_effector, world.opening, *world.block_to_hole], np.float32)


class BlockInsertion(gymnasium.Env[Array, Array]):
    """One episode: from a start state drawn from a seed until the block is in the hole or the step limit is reached.

    Observation: float32, shape (7,), see `observe`; or, where the task's layout names an image encoder, what the arm measures and the
    features of the camera image. Action: (dx, dy, dz, gripper), shape (4,), each in [-1, 1], as everywhere in the
    stack. Reward: 1 on success, else 0. `info` carries `success`, `state_seed`, and after a step the safety gate's `sent_target` and
    `detail`.
    """

    metadata: ClassVar[dict[str, Any]] = {'render_modes': ['rgb_array'], 'render_fps': 10}

    def __init__(
        self,
        task: TaskConfig | None = None,
        *,
        scene: SceneConfig | None = None,
        start: StartConfig | None = None,
        render_mode: str | None = None,
        width: int = 640,
        height: int = 480,
        camera: str = 'front',
    ) -> None:
        """Build the world.

        Args:
            task: step size, limits, rate; the packaged configuration unless given.
            scene: sizes of block and box.
            start: where episodes start.
            render_mode: None or 'rgb_array'.
            width: of a rendered image [pixel].
            height: of a rendered image [pixel].
            camera: 'front', 'hole' or 'wrist'.

        Raises:
            SimError: an observation layout or render mode that this environment does not have.
        """
        self.task = task or default_task()
        check_layout(self.task.observation_layout, LAYOUT)
        if render_mode not in (None, 'rgb_array'):
            msg = f'render_mode: got {render_mode!r}, expected None or rgb_array'
            raise SimError(msg)
        self.render_mode = render_mode
        largest = np.inf if image_entry(self.task.observation_layout) else 1.0
        self.observation_space = gymnasium.spaces.Box(-largest, largest, (layout_width(self.task.observation_layout),), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (ACTION_DIM,), np.float32)
        self.world = World(scene, start)
        self._gate = SafetyGate(GateConfig.from_task(self.task), Kinematics())
        self._image = (width, height, camera)
        self._camera: Camera | None = None
        self._eyes: Eyes | None = None
        self._state_seed = 0
        self._ticks = 0

    def reset(self, *, seed: int | None = None, options: Mapping[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Start an episode.

        Args:
            seed: of the start state, and of the start states of later resets without one.
            options: `{'state_seed': n}` gives the start state alone, and wins over `seed`.
        """
        super().reset(seed=seed)
        if options and 'state_seed' in options:
            self._state_seed = int(options['state_seed'])
        elif seed is not None:
            self._state_seed = seed
        else:
            self._state_seed = int(self.np_random.integers(2**31))
        joints = self.world.reset(self._state_seed, self.task.gripper_closed_m)
        self._gate.reset(joints, self.task.gripper_closed_m)
        self._ticks = 0
        return self._observe(), {'success': False, 'state_seed': self._state_seed}

    def step(self, action: ArrayLike) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Advance one control tick; what the safety gate refuses or limits is in `info['detail']`."""
        result = self._gate.apply(action)
        if result.accepted:
            self.world.command(result.joints, result.target[3])
        self.world.advance(1.0 / self.task.rate_hz)
        self._ticks += 1
        success = self.world.success
        info = {'success': success, 'state_seed': self._state_seed, 'sent_target': result.target, 'detail': result.detail}
        return self._observe(), float(success), success, not success and self._ticks >= self.task.step_limit, info

    def _observe(self) -> Array:
        """What the policy consumes, in the order of the task's layout."""
        state = observe(self.world)
        if not image_entry(self.task.observation_layout):
            return state
        if self._eyes is None:
            self._eyes = Eyes(self.world, self.task)
        return np.concatenate([state[: len(ARM_ENTRIES)], self._eyes.features()])

    def render(self) -> NDArray[np.uint8] | None:
        """The camera image, shape (height, width, 3), where the render mode is rgb_array.

        Raises:
            SimError: no offscreen renderer on this machine.
        """
        if self.render_mode is None:
            return None
        if self._camera is None:
            width, height, name = self._image
            self._camera = Camera(self.world.model, width, height, name)
        return self._camera.render(self.world.data)

    def close(self) -> None:
        """Free the renderer."""
        if self._camera is not None:
            self._camera.close()
            self._camera = None
        if self._eyes is not None:
            self._eyes.close()
            self._eyes = None
