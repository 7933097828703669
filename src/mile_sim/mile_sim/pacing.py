"""How much simulated time is due."""

from __future__ import annotations

from mile_sim.errors import SimError


class Pacing:
    """Turns a clock into whole steps of the physics, `speed` times as fast as the clock."""

    def __init__(self, speed: float, timestep_s: float, largest_lag_s: float = 0.25) -> None:
        """For a physics that steps by `timestep_s` [s]. A machine that is too slow loses simulated time beyond `largest_lag_s` [s]."""
        if speed <= 0 or timestep_s <= 0:
            msg = f'pacing: got speed {speed} and timestep {timestep_s}, expected both > 0'
            raise SimError(msg)
        self._speed = speed
        self._timestep_s = timestep_s
        self._largest_lag_s = largest_lag_s
        self._last: float | None = None
        self._owed_s = 0.0

    def due(self, now: float) -> float:
        """Simulated time [s] to advance at the clock's `now` [s]: a whole number of steps, 0 at the first call."""
        elapsed = 0.0 if self._last is None else now - self._last
        self._last = now
        self._owed_s = min(self._owed_s + elapsed * self._speed, self._largest_lag_s)
        due = int(self._owed_s / self._timestep_s + 1e-9) * self._timestep_s
        self._owed_s -= due
        return due
