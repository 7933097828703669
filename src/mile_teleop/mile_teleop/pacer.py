"""The control clock: when the next tick is due, how late it was, and how many were missed."""

from __future__ import annotations


class Pacer:
    """Keeps ticks on a grid that does not drift; a tick out of turn moves the grid. All times are monotonic [s].

    Args:
        period_s: between two ticks.
        now: the first tick is due one period from here.
    """

    def __init__(self, period_s: float, now: float) -> None:
        self._period_s = period_s
        self._due = now + period_s
        self.missed = 0
        """Ticks that never happened, because the one before them came more than a period late."""

    def restart(self, now: float) -> None:
        """A tick began out of turn: the next one is due one period from now."""
        self._due = now + self._period_s

    def tick(self, now: float) -> float:
        """A tick begins; how late it is [ms]."""
        late_s = max(0.0, now - self._due)
        missed = int(late_s / self._period_s)
        self.missed += missed
        self._due += (1 + missed) * self._period_s
        return late_s * 1e3
