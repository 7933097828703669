"""What a task is to every part of the stack: observation layout, action scaling, limits in time and space."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mile_learner.config import Config, ConfigError, option


@dataclass(frozen=True)
class TaskConfig(Config):
    """One task, read from config/task_<name>.yaml."""

    name: str = option(doc='name of the task')
    environment: str = option(doc='gymnasium id used for evaluation without ROS')
    observation_layout: tuple[str, ...] = option(doc='names of the observation entries, in order')
    history: int = option(4, doc='observations stacked for the policy: the present one and the ones before', ge=1, le=32)
    rate_hz: float = option(10.0, doc='control rate [Hz]', ge=5.0, le=50.0)
    step_size_m: float = option(doc='end-effector displacement of a full-scale action in one tick [m]', gt=0.0, le=0.05)
    gripper_closed_m: float = option(doc='opening between the finger pads at gripper action -1 [m]', ge=0.0, le=0.08)
    gripper_open_m: float = option(doc='opening between the finger pads at gripper action +1 [m]', ge=0.0, le=0.08)
    gripper_step_m: float = option(0.005, doc='largest change of the opening in one tick [m]', gt=0.0, le=0.08)
    workspace_low: tuple[float, float, float] = option(doc='lower corner of the box the end effector may be sent to [m]')
    workspace_high: tuple[float, float, float] = option(doc='upper corner of that box [m]')
    time_limit_s: float = option(30.0, doc='an episode is a failure after this long [s]', gt=0.0, le=3600.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        # a run folder may be somebody else's: a name becomes part of a path, and gymnasium imports what stands before a colon
        if not re.fullmatch(r'[A-Za-z0-9][A-Za-z0-9_-]*', self.name):
            msg = f'name: got {self.name!r}, expected letters, digits, _ and -'
            raise ConfigError(msg)
        if not re.fullmatch(r'(?:[A-Za-z0-9_-]+/)?[A-Za-z0-9_.-]+', self.environment):
            msg = f'environment: got {self.environment!r}, expected the id of an environment, as mile/BlockInsertion-v0'
            raise ConfigError(msg)
        if not all(low < high for low, high in zip(self.workspace_low, self.workspace_high, strict=True)):
            msg = f'workspace: got low {self.workspace_low} and high {self.workspace_high}, expected low < high on every axis'
            raise ConfigError(msg)
        if self.gripper_closed_m >= self.gripper_open_m:
            msg = f'gripper: got closed {self.gripper_closed_m} m and open {self.gripper_open_m} m, expected closed < open'
            raise ConfigError(msg)

    @property
    def step_limit(self) -> int:
        """Ticks until the time limit."""
        return round(self.time_limit_s * self.rate_hz)
