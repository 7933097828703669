"""Time, as an argument."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Both of a machine's clocks."""

    def monotonic(self) -> float:
        """Seconds since some instant; never jumps. For durations."""

    def wall(self) -> float:
        """Seconds since the epoch; may jump. For stamps alone."""


class SystemClock:
    """This machine's clocks."""

    def monotonic(self) -> float:
        """Seconds since some instant; never jumps."""
        return time.monotonic()

    def wall(self) -> float:
        """Seconds since the epoch."""
        return time.time()


class FakeClock:
    """Clocks that stand still until `now` [s] is moved; the wall is set by its `offset` [s]."""

    def __init__(self) -> None:
        self.now = 100.0
        self.offset = 1.7e9

    def monotonic(self) -> float:
        """Never set."""
        return self.now

    def wall(self) -> float:
        """Since the epoch, as far as anybody knows."""
        return self.now + self.offset
