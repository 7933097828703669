"""The steps that wait for their record: a tick that is over may still get the policy's answer and the arm's confirmation."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from mile_teleop.inputs import Confirmation, PolicyAnswer
from mile_teleop.open_step import OpenStep


class Ledger:
    """Keeps steps in the order of their ticks, and lets them go in that order.

    A step goes when all that belongs to it has arrived, or `wait_s` [s] after it began: late is better than without a_r, which every
    step is to have, and a policy that is dead delays the record only.
    """

    def __init__(self, wait_s: float) -> None:
        self._wait_s = wait_s
        self._open: deque[OpenStep] = deque()

    def add(self, step: OpenStep) -> None:
        """A tick began."""
        self._open.append(step)

    def answered_by(self, answer: PolicyAnswer) -> OpenStep | None:
        """The step whose first answer this is."""
        return next((step for step in self._open if step.is_answered_by(answer)), None)

    def confirmed_by(self, result: Confirmation) -> OpenStep | None:
        """The step whose command this is the first confirmation of."""
        return next((step for step in self._open if step.is_confirmed_by(result)), None)

    def due(self, now: float) -> Iterator[OpenStep]:
        """Let go of what is to be recorded at `now` (same clock as the steps' stamps) [s]; at infinity, of everything."""
        while self._open and (self._open[0].complete or now - self._open[0].stamp > self._wait_s):
            yield self._open.popleft()
