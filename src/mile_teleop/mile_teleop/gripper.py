"""The gripper's part of an action: it stays where the arm was last sent, but for what the person does with it in a takeover."""

from __future__ import annotations

import math


class GripperAction:
    """An absolute gripper action in [-1, 1], which the person moves at a bounded speed.

    Args:
        per_tick: change per tick with the button held.
        closed_m: finger opening at action -1 [m].
        open_m: finger opening at action +1 [m].
    """

    def __init__(self, per_tick: float, closed_m: float, open_m: float) -> None:
        self._per_tick, self._closed_m, self._open_m = per_tick, closed_m, open_m
        self.value = -1.0

    def drive(self, direction: float) -> None:
        """One tick with the person's `direction` in [-1, 1]."""
        self.value = min(max(self.value + direction * self._per_tick, -1.0), 1.0)

    def follow(self, opening_m: float) -> None:
        """The arm was last sent to this opening [m]; NaN where it does not know."""
        if math.isfinite(opening_m):
            self.value = min(max(2.0 * (opening_m - self._closed_m) / (self._open_m - self._closed_m) - 1.0, -1.0), 1.0)
