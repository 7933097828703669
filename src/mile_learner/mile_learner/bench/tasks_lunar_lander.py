"""LunarLander-v3 of gymnasium (Box2D), discrete actions, with gymnasium's own heuristic controller as the expert.

The paper judges this task by its return; an episode counts as solved at a return of 200, as the environment's authors define it. The
paper's expert is a DQN; the heuristic reaches 272 +- 36 and lands 93 of 100 times, without training.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.box2d.lunar_lander import heuristic

from mile_learner.bench.tasks import InitialRecipe, Judged, Task
from mile_learner.step import Array

SOLVED_RETURN = 200.0
HORIZON = 1000


def make() -> gymnasium.Env[Any, Any]:
    """The environment; an episode that has ended with a return of 200 or more has succeeded. One step: 20 ms."""
    return Judged(gymnasium.make('LunarLander-v3', max_episode_steps=HORIZON), lambda total, _: total >= SOLVED_RETURN)


class HeuristicExpert:
    """gymnasium's controller; with a bias it underestimates its vertical speed by that fraction, and brakes late."""

    def __init__(self, bias: float) -> None:
        self._belief = np.ones(8, np.float32)
        self._belief[3] -= bias

    def __call__(self, env: gymnasium.Env[Any, Any], observation: Array) -> Array:
        """The number of the action, (1,)."""
        return np.array([heuristic(env.unwrapped, observation * self._belief)], np.float32)


TASK = Task(
    name='lunar_lander',
    make=make,
    observation_layout=('x', 'y', 'speed_x', 'speed_y', 'angle', 'angular_speed', 'left_leg', 'right_leg'),
    action_dim=4,
    discrete=True,
    horizon=HORIZON,
    expert=HeuristicExpert,
    initial=InitialRecipe(guess=0.25, limit=0.7, longest=400),
    hidden=(64, 64),
    cdf_ratio=1 / 3,
    offline_episodes=5,
    metric='return',
)
