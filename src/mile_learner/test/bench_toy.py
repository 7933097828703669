"""A task and a method of one's own: what a user writes to add them; used by the tests of the comparison.

The task: move a point in the plane to a goal. The expert goes straight there; with a bias it believes the goal further from the centre.
"""

# ruff: noqa: ARG002 - arguments that the protocols have and these simple ones do not need

from __future__ import annotations

import dataclasses
from typing import Any

import gymnasium
import numpy as np

from mile_learner.bench.prepare import PrepareConfig
from mile_learner.bench.tasks import InitialRecipe, Task
from mile_learner.bundle import Bundle
from mile_learner.config import Config, option
from mile_learner.methods.base import InterventionData
from mile_learner.methods.training import Report
from mile_learner.step import Array

TINY = PrepareConfig(train=12, tune=10, test=6, epochs=40, mental_episodes=5, mental_epochs=5, pilots=3, trials=5)
HORIZON = 40


class PointEnv(gymnasium.Env):
    """Observation: position, goal. Action: velocity. Success: within 0.05 of the goal."""

    observation_space = gymnasium.spaces.Box(-2.0, 2.0, (4,))
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.position = self.np_random.uniform(-0.2, 0.2, 2)
        self.goal = self.np_random.uniform(-1.0, 1.0, 2)
        self.steps = 0
        return np.concatenate([self.position, self.goal]), {'success': False}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.position = self.position + 0.1 * np.clip(action, -1.0, 1.0)
        self.steps += 1
        success = bool(np.linalg.norm(self.position - self.goal) < 0.05)
        truncated = not success and self.steps >= HORIZON
        return np.concatenate([self.position, self.goal]), float(success), success, truncated, {'success': success}


class PointExpert:
    """Straight to where it believes the goal."""

    def __init__(self, bias: float) -> None:
        self._bias = bias

    def __call__(self, env: gymnasium.Env, observation: Array) -> Array:
        towards = observation[2:] * (1 + self._bias) - observation[:2]
        return np.clip(10 * towards, -1.0, 1.0).astype(np.float32)


TASK = Task(
    name='point',
    make=PointEnv,
    observation_layout=('x', 'y', 'goal_x', 'goal_y'),
    action_dim=2,
    discrete=False,
    horizon=HORIZON,
    expert=PointExpert,
    initial=InitialRecipe(guess=0.15, limit=1.0, demonstrations=10, longest=30, noise=0.05),
    history=2,
    hidden=(32, 32),
    offline_episodes=3,
)
BY_RETURN = dataclasses.replace(TASK, name='point_by_return', metric='return')


@dataclasses.dataclass(frozen=True)
class ShiftConfig(Config):
    """One option, so that variants can be named."""

    shift: float = option(0.0, doc='added to the first component of the action', ge=-1.0, le=1.0)


class Shift:
    """A method of one's own: the initial policy with a constant added to its action."""

    discrete = True

    def configure(self, task: str) -> ShiftConfig:
        return ShiftConfig()

    def fit(self, data: InterventionData, start: Bundle, *, config: ShiftConfig, seed: int, progress: Report | None = None) -> Bundle:
        policy = type(start.policy)(start.policy.architecture)
        policy.load_state_dict(start.policy.state_dict())
        policy.body[-1].bias.data[0] += config.shift
        return type(start)(policy, start.mental_model, dataclasses.replace(start.manifest, method='shift'))
