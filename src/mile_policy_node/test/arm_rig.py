"""An arm whose motors are a fake, behind the real gate and kinematics, and its clock."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

import numpy as np

from mile_learner.step import Source
from mile_learner.task import TaskConfig
from mile_policy_node.arm import Arm, ArmCommand, ArmConfig, CommandOutcome
from mile_policy_node.arm_backend import ArmBackend, ArmObservation, JointTarget
from mile_policy_node.errors import BackendError
from mile_policy_node.gate import GateConfig, SafetyGate
from mile_policy_node.kinematics import WX250S, Kinematics

CONFIG_DIR = Path(__file__).parents[3] / 'config'
TASK = TaskConfig.from_yaml(Path(__file__).with_name('task.yaml'))
CONFIG = ArmConfig.from_yaml(CONFIG_DIR / 'arm_wx250s.yaml')
KINEMATICS = Kinematics(WX250S)
START = KINEMATICS.inverse((0.25, 0.0, 0.15), (0.0, -0.17, 0.4, 0.0, 1.34, 0.0))[0]
FORWARD = np.array([1.0, 0.0, 0.0, -1.0])


class FakeMotors:
    """Implements `ArmBackend` without motors: it is where it was sent to at once."""

    def __init__(self) -> None:
        self.observation: ArmObservation | None = ArmObservation(100.0, START, 0.03)
        self.sent: list[JointTarget] = []
        self.holds = 0
        self.fault = ''
        self.broken = False
        self.altered: JointTarget | None = None

    def observe(self) -> ArmObservation | None:
        return self.observation

    def send(self, target: JointTarget) -> JointTarget:
        if self.broken:
            raise BackendError('the bus is gone')
        self.sent.append(target)
        return self.altered or target

    def hold(self) -> None:
        self.holds += 1

    async def torque(self, enable: bool) -> None:
        self.fault = '' if enable else 'torque is off'

    def faults(self) -> str:
        return self.fault

    async def reset(self, seed: int) -> float | None:
        await self.during_reset()
        if self.broken:
            raise BackendError('the bus is gone')
        return 0.022 if seed else None

    async def during_reset(self) -> None:
        await asyncio.sleep(0)

    def close(self) -> None:
        pass


class Rig:
    """An arm that is ready at time 100 s, and its clock."""

    def __init__(self, **config: float) -> None:
        self.now = 100.0
        self.motors = FakeMotors()
        backend: ArmBackend = self.motors
        self.gate = SafetyGate(GateConfig.from_task(TASK), KINEMATICS)
        self.arm = Arm(dataclasses.replace(CONFIG, **config), KINEMATICS, self.gate, backend, self)
        self.arm.watch()

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now

    def measure(self) -> None:
        assert self.motors.observation is not None
        self.motors.observation = dataclasses.replace(self.motors.observation, stamp=self.now)

    def command(
        self, index: int, *, stamp: float | None = None, episode: str = 'a', source: int = Source.POLICY, **kwargs: object
    ) -> CommandOutcome:
        action = kwargs.get('action', FORWARD)
        return self.arm.command(ArmCommand(100.0 + index if stamp is None else stamp, episode, index, source, np.asarray(action)))
