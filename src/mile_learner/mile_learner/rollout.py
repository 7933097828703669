"""Episodes without ROS: a policy in a gymnasium environment, with or without a human who may take over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import gymnasium
import numpy as np

from mile_learner.bundle import Bundle
from mile_learner.history import HistoryStack
from mile_learner.layout import layout_width
from mile_learner.step import Array


class Human(Protocol):
    """Somebody who watches and may take over."""

    def reset(self, seed: int) -> None:
        """An episode begins."""

    def act(self, observation: Array, stacked: Array) -> Array | None:
        """The human's action (A,) at this tick, None where the human lets the robot go on; decided without seeing a_r."""


@dataclass(frozen=True)
class Rollout:
    """One episode of T ticks.

    Attributes:
        observations: before stacking, (T, d).
        robot_actions: a_r, (T, A); A is 1 for discrete actions, which are given by their number.
        human_actions: a_h, (T, A); NaN where ν = 0.
        intervening: ν, (T,).
        probabilities: p(ν=1|s) under the bundle, (T,); NaN without a mental model.
        success: whether the environment said so.
    """

    observations: Array
    robot_actions: Array
    human_actions: Array
    intervening: np.ndarray[Any, np.dtype[np.bool_]]
    probabilities: Array
    success: bool

    @property
    def executed_actions(self) -> Array:
        """What moved the arm, (T, A)."""
        return np.where(self.intervening[:, None], self.human_actions, self.robot_actions)


def rollout(environment: gymnasium.Env[Array, Any], bundle: Bundle, *, seed: int, human: Human | None = None) -> Rollout:
    """Run one episode from the start state of `seed`; the human's action replaces the robot's where the human takes over."""
    observation, _ = environment.reset(seed=seed)
    stack = HistoryStack(bundle.manifest.history, layout_width(bundle.manifest.observation_layout))
    if human is not None:
        human.reset(seed)
    rows: list[tuple[Array, Array, Array, bool, Array]] = []
    discrete = isinstance(environment.action_space, gymnasium.spaces.Discrete)
    success, over = False, False
    while not over:
        stacked = stack.push(np.asarray(observation, dtype=np.float32))
        robot_action, p = bundle.act(stacked)
        human_action = human.act(observation, stacked) if human is not None else None
        taken = human_action is not None
        noted = human_action if taken else np.full_like(robot_action, np.nan)
        rows.append((np.asarray(observation, np.float32), robot_action, np.asarray(noted, np.float32), taken, p))
        executed = human_action if human_action is not None else robot_action
        observation, _, terminated, truncated, info = environment.step(int(executed.item()) if discrete else executed)
        success = success or bool(info.get('success', False))
        over = terminated or truncated
    observations, robot_actions, human_actions, intervening, probabilities = (np.stack(column) for column in zip(*rows, strict=True))
    return Rollout(observations, robot_actions, human_actions, intervening, probabilities, success)
