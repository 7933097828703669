"""What hostile worlds share: motors that obey at once, and the configuration that they are about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mile_learner.clock import FakeClock
from mile_learner.task import TaskConfig
from mile_policy_node.arm import ArmConfig
from mile_policy_node.arm_backend import ArmObservation, JointTarget
from mile_policy_node.kinematics import ARM_MODELS, Kinematics
from mile_teleop.arbiter_config import ArbiterConfig
from mile_teleop.pad import PadMapping


class FakeMotors:
    """Motors that are where they were last sent."""

    def __init__(self, clock: FakeClock, joints: np.ndarray) -> None:
        self._clock = clock
        self._joints, self._opening = joints, 0.03

    def observe(self) -> ArmObservation:
        """Where they are, now."""
        return ArmObservation(self._clock.wall(), self._joints, self._opening)

    def send(self, target: JointTarget) -> JointTarget:
        """Go there at once."""
        self._joints, self._opening = target.joints, target.opening
        return target

    def hold(self) -> None:
        """Stay."""

    async def torque(self, enable: bool) -> None:
        """Nothing to switch."""

    def faults(self) -> str:
        """None."""
        return ''

    async def reset(self, seed: int) -> float | None:  # noqa: ARG002
        """Stay."""
        return self._opening

    def close(self) -> None:
        """Nothing to release."""


@dataclass(frozen=True)
class Setting:
    """What all worlds share; `start` are the joints of a start pose [rad]."""

    task: TaskConfig
    mapping: PadMapping
    config: ArbiterConfig
    kinematics: Kinematics
    start: np.ndarray

    @classmethod
    def of(cls, task: TaskConfig, mapping: PadMapping, config: ArbiterConfig) -> Setting:
        """For a task and a pad."""
        kinematics = Kinematics(ARM_MODELS[ArmConfig().model])
        middle = (np.array(task.workspace_low) + np.array(task.workspace_high)) / 2
        start, _ = kinematics.inverse(middle, (0.0, -0.17, 0.4, 0.0, 1.34, 0.0))
        return cls(task, mapping, config, kinematics, start)
