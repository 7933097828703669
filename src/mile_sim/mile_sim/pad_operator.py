"""The simulated operator with a pad in its hands: what it sees in, axes and buttons out. Free of ROS; the clock is injected."""

from __future__ import annotations

import zlib
from typing import Protocol

import numpy as np

from mile_learner.history import HistoryStack
from mile_learner.step import ACTION_DIM, Array
from mile_sim.operator import Decision
from mile_teleop.pad import PadMapping

_AT_REST = (0.0,) * ACTION_DIM


class Person(Protocol):
    """Who decides what the hands on the pad do; see `mile_sim.operator.Operator`."""

    @property
    def history(self) -> int:
        """Observations that a decision looks back on, the present one included."""

    def reset(self, seed: int) -> None:
        """An episode begins."""

    def decide(self, stacked: Array, time_s: float) -> Decision:
        """Watch one tick."""

    def watch(self, stacked: Array, robot_action: Array) -> None:
        """Learn from one tick on which the robot acted."""

    def action(self, observation: Array) -> Array:
        """What it does with the sticks while it is in control."""


class PadOperator:
    """Presses the takeover button and moves the sticks so that the arbiter's own mapping reads the action that the operator means."""

    def __init__(self, operator: Person, mapping: PadMapping, *, observation_dim: int, period_s: float, speed: float, seed: int) -> None:
        """An operator that watches one tick per `period_s` of task time, on a clock that runs `speed` times slower than the task."""
        self._operator = operator
        self._mapping = mapping
        self._period_s = period_s
        self._speed = speed
        self._seed = seed
        self._seen = HistoryStack(operator.history, observation_dim)
        self._recorded = HistoryStack(operator.history, observation_dim)
        self._episode_id = ''
        self._next_tick = -np.inf
        self._in_control = False
        self._asked = self._tapped = False

    def on_status(self, episode_id: str, *, press_asked: bool = False) -> None:
        """Which episode runs; empty: none. And whether the arm waits for a press of the takeover button, as after an e-stop."""
        self._asked = press_asked
        if episode_id == self._episode_id:
            return
        self._episode_id = episode_id
        self._seen.reset()
        self._recorded.reset()
        self._next_tick, self._in_control = -np.inf, False
        seed = np.random.SeedSequence([self._seed, zlib.crc32(episode_id.encode())])
        self._operator.reset(int(seed.generate_state(1)[0]))

    def on_step(self, observation: Array, robot_action: Array, *, robot_acted: bool) -> None:
        """One recorded tick: observation (d,), a_r (4,), and whether a_r was carried out; teaches what the robot does."""
        stacked = self._recorded.push(observation)
        if robot_acted:
            self._operator.watch(stacked, robot_action)

    def press(self, observation: Array | None, now: float) -> tuple[list[float], list[int]]:
        """Axes and buttons at the clock's `now` [s]; the observation (d,) is None where nothing can be seen: then it lets go."""
        if not self._episode_id or observation is None:
            self._in_control = False
            return self._mapping.press(_AT_REST)
        if now >= self._next_tick:
            self._next_tick = max(self._next_tick, now - self._period_s / self._speed) + self._period_s / self._speed
            self._in_control = self._operator.decide(self._seen.push(observation), now * self._speed).intervening
        # a button that is down already has to come up before it can be pressed
        self._tapped = self._asked and not self._tapped
        if not (self._tapped if self._asked else self._in_control):
            return self._mapping.press(_AT_REST)
        return self._mapping.press(self._operator.action(observation).tolist(), takeover=True)
