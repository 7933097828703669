"""A simulated person who does one thing all the time: drives, to demonstrate the task, or watches."""

from __future__ import annotations

import math

import numpy as np

from mile_learner.step import Array
from mile_sim.expert import Expert, ExpertConfig
from mile_sim.operator import Decision


class FixedRole:
    """Needs no policy and no mental model of one. Call `reset` before an episode and `decide` once per control tick."""

    def __init__(self, expert_config: ExpertConfig, *, history: int, driving: bool) -> None:
        self.history = history
        self._config = expert_config
        self._driving = driving
        self.reset(0)

    def reset(self, seed: int) -> None:
        """An episode begins; the noise of its hand follows from `seed`."""
        self._expert = Expert(self._config, np.random.default_rng(seed))

    def decide(self, stacked: Array, time_s: float) -> Decision:  # noqa: ARG002
        """The takeover button is always down, or never; the stacked observation (H*d,), newest last."""
        return Decision(self._driving, self.action(stacked[-(len(stacked) // self.history) :]), math.nan)

    def watch(self, stacked: Array, robot_action: Array) -> None:
        """It keeps nothing in mind."""

    def action(self, observation: Array) -> Array:
        """What the expert does with the sticks, shape (4,)."""
        return self._expert.action(observation)
