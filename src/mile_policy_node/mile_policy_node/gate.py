"""The last gate before the motors, and the only integrator of actions in the stack.

An action (dx, dy, dz, gripper), each in [-1, 1], moves the last commanded target: dx..dz by at most one step, the gripper by at most one
gripper step towards an absolute opening. Whoever acts next continues from the same target: every hand-over is bumpless by construction.

Refused (the target stays, nothing is sent): wrong length, not finite, no start pose. Clipped (accepted, `limited`, `detail` says why):
range of the action, workspace box, gripper slew, joint limits, joint velocity, reach. A motion that some joint cannot make is tried at a
half and a quarter of its length; then the end effector stays where it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mile_learner.config import Config, option
from mile_learner.step import ACTION_DIM
from mile_learner.task import TaskConfig
from mile_policy_node.errors import GateError
from mile_policy_node.kinematics import Floats, Kinematics

NOT_READY = 'no start pose; reset the arm'
SHORTENINGS = (1.0, 0.5, 0.25)


@dataclass(frozen=True)
class GateConfig(Config):
    """Limits of the gate: those of the task, and those of the arm."""

    rate_hz: float = option(doc='control rate: one action per period [Hz]', gt=0.0)
    step_size_m: float = option(doc='largest change of the target along each axis in one action [m]', gt=0.0)
    gripper_closed_m: float = option(doc='opening at gripper action -1 [m]', ge=0.0)
    gripper_open_m: float = option(doc='opening at gripper action +1 [m]', ge=0.0)
    gripper_step_m: float = option(doc='largest change of the opening in one action [m]', gt=0.0)
    workspace_low: tuple[float, float, float] = option(doc='lower corner of the box the target stays in [m]')
    workspace_high: tuple[float, float, float] = option(doc='upper corner of that box [m]')
    joint_margin_rad: float = option(0.03, doc='distance kept from the joint limits [rad]', ge=0.0, lt=1.0)
    start_tolerance_rad: float = option(0.15, doc='how far each joint may start from pointing straight down [rad]', gt=0.0, lt=1.0)

    @classmethod
    def from_task(cls, task: TaskConfig, *, joint_margin_rad: float = 0.03, start_tolerance_rad: float = 0.15) -> GateConfig:
        """The limits of `task`."""
        return cls(
            rate_hz=task.rate_hz,
            step_size_m=task.step_size_m,
            gripper_closed_m=task.gripper_closed_m,
            gripper_open_m=task.gripper_open_m,
            gripper_step_m=task.gripper_step_m,
            workspace_low=task.workspace_low,
            workspace_high=task.workspace_high,
            joint_margin_rad=joint_margin_rad,
            start_tolerance_rad=start_tolerance_rad,
        )


@dataclass(frozen=True)
class GateResult:
    """What the gate made of one action.

    Attributes:
        accepted: False if refused; the arm holds.
        limited: accepted, but not as asked.
        detail: why it was refused, held, or limited (causes separated by commas); else empty.
        target: x, y, z [m], finger opening [m], shape (4,); NaN before the first reset.
        joints: the same end-effector position in joint space, shape (n,) [rad]; NaN before the first reset.
    """

    accepted: bool
    limited: bool
    detail: str
    target: Floats
    joints: Floats


class SafetyGate:
    """Integrates actions into targets that the arm can follow. Not thread-safe."""

    def __init__(self, config: GateConfig, kinematics: Kinematics) -> None:
        self.config = config
        self._kinematics = kinematics
        self._low, self._high = np.array(config.workspace_low), np.array(config.workspace_high)
        self._joint_step = kinematics.velocity / config.rate_hz
        self.clear()

    @property
    def ready(self) -> bool:
        """Whether there is a target to continue from."""
        return bool(np.isfinite(self._target).all())

    @property
    def target(self) -> Floats:
        """Last commanded target, shape (4,): x, y, z [m], finger opening [m]; NaN before the first reset."""
        return self._target.copy()

    def clear(self) -> None:
        """Forget the target, because the arm may move without us; nothing is accepted until the next `reset`."""
        self._target = np.full(ACTION_DIM, np.nan)
        self._joints = np.full(len(self._joint_step), np.nan)

    def reset(self, joints: ArrayLike, opening: float) -> None:
        """Take the measured pose, `joints` (n,) [rad] and `opening` [m], for the last target.

        The commanded joints start at the nearest ones that point straight down. A pose outside the workspace box is a valid start:
        the target then returns to the box, one step per action at most.

        Raises:
            GateError: not finite, not pointing down within `start_tolerance_rad`, or too near a joint limit. The gate is then not ready.
        """
        self.clear()
        measured = np.array(joints, np.float64)
        if measured.shape != self._joints.shape or not np.isfinite(measured).all() or not np.isfinite(opening):
            expected = f'{len(self._joints)} finite angles and a length'
            msg = f'measured pose: got joints {measured.tolist()} and opening {opening}, expected {expected}'
            raise GateError(msg)
        position = self._kinematics.forward(measured)[:3, 3]
        level = self._kinematics.solve(position, measured)
        worst = np.inf if level is None else float(np.abs(level - measured).max())
        if level is None or worst > self.config.start_tolerance_rad:
            msg = (
                f'measured pose: a joint is {worst:.2f} rad from pointing down at {np.round(position, 3).tolist()} m, expected at most '
                f'{self.config.start_tolerance_rad} rad; reset the arm'
            )
            raise GateError(msg)
        if not self._kinematics.within_limits(level, self.config.joint_margin_rad):
            msg = f'measured pose: {self._outside(level)} at its limit; reset the arm'
            raise GateError(msg)
        self._target, self._joints = np.append(position, opening), level

    def hold(self, reason: str) -> GateResult:
        """Keep the target because somebody wants that; `reason` becomes the detail."""
        return self._result(accepted=self.ready, detail=reason if self.ready else NOT_READY)

    def apply(self, action: ArrayLike) -> GateResult:
        """Move the target by one `action`, shape (4,), as far as everything allows."""
        if not self.ready:
            return self._result(accepted=False, detail=NOT_READY)
        wanted = np.asarray(action, np.float64)
        if wanted.shape != (ACTION_DIM,):
            return self._result(accepted=False, detail=f'action of shape {wanted.shape}, expected ({ACTION_DIM},)')
        if not np.isfinite(wanted).all():
            return self._result(accepted=False, detail=f'action is not finite: {wanted.tolist()}')
        causes: list[str] = []
        clipped = np.clip(wanted, -1.0, 1.0)
        if (clipped != wanted).any():
            causes.append('range')
        target = np.append(self._move(clipped[:3], causes), self._grip(clipped[3], causes))
        self._target = target
        return self._result(accepted=True, limited=bool(causes), detail=', '.join(causes))

    def _move(self, direction: Floats, causes: list[str]) -> Floats:
        """Next position (3,); updates the joints; appends what limited it to `causes`."""
        position, size = self._target[:3], self.config.step_size_m
        wanted = position + size * direction
        boxed = np.clip(wanted, self._low, self._high)
        if (boxed != wanted).any():
            causes.append('workspace')
        step = np.clip(boxed - position, -size, size)
        for shortening in SHORTENINGS:
            following = position + shortening * step
            joints = self._kinematics.solve(following, self._joints)
            cause = self._objection(joints)
            if joints is not None and not cause:
                self._joints = joints
                return following
            if cause not in causes:
                causes.append(cause)
        return position

    def _grip(self, command: float, causes: list[str]) -> float:
        """Next opening [m]; appends what limited it to `causes`."""
        config, opening = self.config, self._target[3]
        wanted = config.gripper_closed_m + 0.5 * (command + 1.0) * (config.gripper_open_m - config.gripper_closed_m)
        change = float(np.clip(wanted - opening, -config.gripper_step_m, config.gripper_step_m))
        if change != wanted - opening:
            causes.append('gripper slew')
        return float(opening + change)

    def _objection(self, joints: Floats | None) -> str:
        """Why the arm must not go to `joints` in one period; empty if it may."""
        if joints is None:
            return 'reach'
        if not self._kinematics.within_limits(joints, self.config.joint_margin_rad):
            return f'joint limit of {self._outside(joints)}'
        fast = np.abs(joints - self._joints) > self._joint_step
        return f'joint velocity of {self._names(fast)}' if fast.any() else ''

    def _outside(self, joints: Floats) -> str:
        margin = self.config.joint_margin_rad
        return self._names((joints < self._kinematics.lower + margin) | (joints > self._kinematics.upper - margin))

    def _names(self, mask: np.ndarray) -> str:
        return ' and '.join(name for name, chosen in zip(self._kinematics.model.joint_names, mask, strict=True) if chosen)

    def _result(self, *, accepted: bool, detail: str, limited: bool = False) -> GateResult:
        return GateResult(accepted, limited, detail, self._target.copy(), self._joints.copy())
