"""Asks the learner to train, and follows it: the session's half of the `train` action."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from typing import Any

from mile_msgs.action import Train
from rclpy.action import ActionClient
from rclpy.node import Node
from rclpy.task import Future

SETTLE_S = 3.0
"""A server that has not found its client yet drops the answer; so long they have to find each other [s]."""


class TrainingClient:
    """One training at a time: `begin`, then `poll` until it has ended."""

    def __init__(
        self,
        node: Node,
        *,
        startup_timeout_s: float,
        silence_s: float,
        expect: Callable[[float, str], None],
        on_feedback: Callable[[Train.Feedback], None],
        on_end: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Args: what is called.

        expect: with a deadline on `clock` [s] and why there is one, again with every sign of life.
        on_feedback: while the learner trains.
        on_end: once, with why no version was made; empty if one was.
        """
        self._client = ActionClient(node, Train, 'train')
        self._log = node.get_logger
        self._startup_timeout_s, self._silence_s = startup_timeout_s, silence_s
        self._expect, self._on_feedback, self._on_end, self._clock = expect, on_feedback, on_end, clock
        self._goal: Train.Goal | None = None
        self._under_way = False
        self._give_up = self._settled_at = math.inf

    def begin(self, goal: Train.Goal) -> None:
        """Train as soon as the learner is there."""
        self._goal, self._under_way = goal, False
        self._give_up, self._settled_at = self._clock() + self._startup_timeout_s, math.inf

    def poll(self) -> None:
        """Send the goal once the learner and this client have had time to find each other."""
        if self._goal is None:
            return
        self._expect(self._give_up, 'train: nobody offers this action; see the log of learner_node')
        if self._client.server_is_ready():
            self._settled_at = min(self._settled_at, self._clock() + SETTLE_S)
        if self._clock() >= self._settled_at:
            goal, self._goal, self._under_way = self._goal, None, True
            self._expect_a_sign()
            self._client.send_goal_async(goal, feedback_callback=self._on_message).add_done_callback(self._on_answer)

    def _expect_a_sign(self) -> None:
        silence = f'train: the learner said nothing for {self._silence_s:g} s; see the log of learner_node'
        self._expect(self._clock() + self._silence_s, silence)

    def _on_answer(self, future: Future) -> None:
        handle = future.result()
        if handle.accepted:
            handle.get_result_async().add_done_callback(self._on_result)
        else:
            self._end('refused; see the log of learner_node')

    def _on_message(self, message: Any) -> None:
        if self._under_way:
            self._expect_a_sign()
            self._on_feedback(message.feedback)

    def _on_result(self, future: Future) -> None:
        result = future.result().result
        if not result.success:
            self._end(result.message)
            return
        self._log().info(f'trained {result.version}')
        for warning in json.loads(result.metrics_json or '{}').get('warnings', []):
            self._log().warning(f'{result.version}: {warning}')
        self._end('')

    def _end(self, failure: str) -> None:
        self._under_way = False
        self._on_end(failure and f'train: {failure}')
