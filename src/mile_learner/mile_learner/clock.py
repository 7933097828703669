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
