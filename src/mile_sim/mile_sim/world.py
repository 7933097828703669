"""The simulated world: physics, start states drawn from a seed, what can be measured, and the task's own success test."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

from mile_learner.config import Config, option
from mile_policy_node.kinematics import Kinematics
from mile_sim.errors import SimError
from mile_sim.model import ARM_JOINTS, EE_SITE, FINGER_JOINTS, finger_position, pad_opening
from mile_sim.scene import BLOCK, BOX, SceneConfig, build_model

Floats = NDArray[np.float64]

HOME_JOINTS = np.array([0.0, -0.3, 0.6, 0.0, 1.2, 0.0])
"""Near the end effector pointing down over the middle of the table; where inverse kinematics starts from [rad]."""
_SETTLE_S = 0.3


@dataclass(frozen=True)
class StartConfig(Config):
    """Where an episode may start, and when the block counts as being in the hole."""

    hole_low_m: tuple[float, float] = option((0.24, -0.05), doc='lower corner of where the hole may be, x and y [m]')
    hole_high_m: tuple[float, float] = option((0.30, 0.05), doc='upper corner of that area [m]')
    offset_m: float = option(0.035, doc='the end effector starts up to this far from above the hole, in x and in y [m]', ge=0.0, le=0.1)
    height_low_m: float = option(0.19, doc='lowest start height of the end effector [m]', ge=0.1, le=0.4)
    height_high_m: float = option(0.22, doc='highest start height of the end effector [m]', ge=0.1, le=0.4)
    success_depth_m: float = option(0.010, doc='the block is in the hole when its bottom is so deep under the lid [m]', ge=0.002, le=0.05)


@dataclass(frozen=True)
class StartState:
    """One start of an episode.

    Attributes:
        hole: centre of the hole in the table's plane, shape (2,) [m].
        end_effector: start position, shape (3,) [m].
    """

    hole: Floats
    end_effector: Floats


def draw_start(config: StartConfig, state_seed: int) -> StartState:
    """The start state of a seed: the same seed gives the same state on every machine."""
    rng = np.random.default_rng(state_seed)
    hole = rng.uniform(config.hole_low_m, config.hole_high_m)
    over = hole + rng.uniform(-config.offset_m, config.offset_m, 2)
    return StartState(hole, np.array([*over, rng.uniform(config.height_low_m, config.height_high_m)]))


class World:
    """MuJoCo's state of arm, block and box, moved by joint targets; not thread-safe."""

    def __init__(self, scene: SceneConfig | None = None, start: StartConfig | None = None) -> None:
        self.scene = scene or SceneConfig()
        self.start = start or StartConfig()
        self.model = build_model(self.scene)
        self.data = mujoco.MjData(self.model)
        self._kinematics = Kinematics()
        joints = [self.model.joint(name) for name in (*ARM_JOINTS, *FINGER_JOINTS)]
        self._positions = np.array([joint.qposadr[0] for joint in joints])
        self._velocities = np.array([joint.dofadr[0] for joint in joints])
        self._block = self.model.body(BLOCK).id
        self._block_state = self.model.jnt_qposadr[self.model.body_jntadr[self._block]]
        self._site = self.model.site(EE_SITE).id
        self._mocap = self.model.body_mocapid[self.model.body(BOX).id]
        self._clock_start = 0.0

    def reset(self, state_seed: int, opening: float = 0.022) -> Floats:
        """Start from the state of a seed, the gripper commanded to `opening` [m] around the block, everything at rest.

        Returns:
            The arm's joints, shape (6,) [rad].
        """
        state = draw_start(self.start, state_seed)
        joints, reached = self._kinematics.inverse(state.end_effector, HOME_JOINTS)
        if not reached:
            msg = f'start state {state_seed}: got end effector {state.end_effector}, expected a place within reach; change StartConfig'
            raise SimError(msg)
        finger = finger_position(self.scene.block_width_m)
        mujoco.mj_resetData(self.model, self.data)
        self.data.mocap_pos[self._mocap] = [*state.hole, self.scene.lid_height_m]
        self.data.qpos[self._positions] = [*joints, finger, -finger]
        self.data.qpos[self._block_state : self._block_state + 7] = [*self._block_start(state), 1, 0, 0, 0]
        self.command(joints, opening)
        self.advance(_SETTLE_S)
        self._clock_start = self.data.time
        return joints

    def command(self, joints: ArrayLike, opening: float) -> None:
        """Set the targets of the servos: joints, shape (6,) [rad], and the opening between the finger pads [m]."""
        finger = finger_position(opening)
        self.data.ctrl[:] = [*np.asarray(joints, np.float64), finger, -finger]

    def advance(self, duration: float) -> None:
        """Let `duration` seconds pass, rounded to whole steps of the physics."""
        mujoco.mj_step(self.model, self.data, max(1, round(duration / self.scene.timestep_s)))

    def _block_start(self, state: StartState) -> Floats:
        return state.end_effector + np.array([0.0, 0.0, self.scene.block_length_m / 2 - self.scene.grip_height_m])

    @property
    def time(self) -> float:
        """Seconds of physics since the reset."""
        return float(self.data.time - self._clock_start)

    @property
    def positions(self) -> Floats:
        """Arm joints [rad], then left and right finger [m], shape (8,)."""
        return self.data.qpos[self._positions].copy()

    @property
    def velocities(self) -> Floats:
        """Of the same joints, shape (8,) [rad/s, m/s]."""
        return self.data.qvel[self._velocities].copy()

    @property
    def efforts(self) -> Floats:
        """What the servos of the same joints exert, shape (8,) [N m, N]."""
        return self.data.actuator_force.copy()

    @property
    def end_effector(self) -> Floats:
        """Position of the end effector, shape (3,) [m]."""
        return self.data.site_xpos[self._site].copy()

    @property
    def opening(self) -> float:
        """Between the finger pads [m]."""
        return pad_opening(self.data.qpos[self._positions[6]])

    @property
    def block_to_hole(self) -> Floats:
        """From the centre of the block's bottom to the centre of the hole at the lid's top, shape (3,) [m]; z is positive in the hole."""
        turned = self.data.xmat[self._block].reshape(3, 3)
        bottom = self.data.xpos[self._block] - turned[:, 2] * self.scene.block_length_m / 2
        return self.data.mocap_pos[self._mocap] - bottom

    @property
    def success(self) -> bool:
        """Whether the block is in the hole: deep enough, and within the hole's walls."""
        x, y, depth = self.block_to_hole
        return bool(depth >= self.start.success_depth_m and np.hypot(x, y) <= 2 * self.scene.clearance_m)
