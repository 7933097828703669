"""LunarLander-v3 of gymnasium (Box2D), discrete actions, with gymnasium's own heuristic controller as the expert.

The paper judges this task by its return; an episode counts as solved at a return of 200, as the environment's authors define it. The
paper's expert is a DQN; the heuristic reaches 272 +- 36 and lands 93 of 100 times, without training.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.box2d.lunar_lander import heuristic

from mile_learner.bench.tasks import InitialRecipe, Task
from mile_learner.step import Array

SOLVED_RETURN = 200.0
HORIZON = 1000


class LunarLander(gymnasium.Wrapper[Any, Any, Any, Any]):  # type: ignore[misc]
    """`info['success']`: the episode has ended with a return of 200 or more."""

    def __init__(self) -> None:
        super().__init__(gymnasium.make('LunarLander-v3', max_episode_steps=HORIZON))
        self._return = 0.0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start in the state that belongs to `seed`; the engine's dispersion follows from it, too."""
        self._return = 0.0
        observation, _ = self.env.reset(seed=seed, options=options)
        return observation, {'success': False}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """One step of 20 ms."""
        observation, reward, terminated, truncated, _ = self.env.step(int(np.asarray(action).item()))
        self._return += float(reward)
        success = (terminated or truncated) and self._return >= SOLVED_RETURN
        return observation, float(reward), terminated, truncated, {'success': success}


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
    make=LunarLander,
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
