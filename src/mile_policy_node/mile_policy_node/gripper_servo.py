"""A position servo for a gripper that knows only PWM: proportional, clamped, and gentle with what it holds."""

from __future__ import annotations

from mile_policy_node.xs_config import XsConfig

STILL_M = 0.0005
RESTART = 3.0


class GripperServo:
    """From measured openings to PWM, positive opens. Not thread-safe.

    It drives towards the target until the opening is within tolerance or has passed the target, then rests at 0: the gears hold. It starts
    again when the target changes, or the opening has drifted by three tolerances. Fingers that stay within `STILL_M` for `gripper_stall_s`
    while driven are blocked: a closing gripper then squeezes with `gripper_pwm_hold`, an opening one rests; until the target changes by
    more than the tolerance, or what blocked them is gone.
    """

    def __init__(self, config: XsConfig) -> None:
        self._config = config
        self.target: float | None = None
        """Opening to reach [m]; None rests."""
        self._driven_for: float | None = None
        self._direction = 0.0
        self._blocked_at: float | None = None
        self._still_at = 0.0
        self._still_since = 0.0

    @property
    def blocked(self) -> bool:
        """Whether something holds the fingers."""
        return self._blocked_at is not None

    @property
    def resting(self) -> bool:
        """Whether nothing is left to do."""
        return self._direction == 0.0 or self.blocked

    def hold(self, opening: float) -> None:
        """Stop the fingers at the measured `opening`; what they squeeze stays squeezed, and what rests without a target goes on resting."""
        if self.target is not None:
            self.target = self._driven_for if self.blocked else opening

    def step(self, now: float, opening: float) -> float:
        """The PWM at time `now` [s], of a clock that nobody sets, for the measured `opening` [m]."""
        if self.target is None:
            return 0.0
        config, error = self._config, self.target - opening
        self._start_anew(now, opening, error)
        if self._direction == 0.0:
            return 0.0
        if self._blocked_at is not None:
            return -config.gripper_pwm_hold if self._direction < 0 else 0.0
        if error * self._direction <= config.gripper_tolerance_m:
            self._direction = 0.0
            return 0.0
        if abs(opening - self._still_at) > STILL_M:
            self._still_at, self._still_since = opening, now
        elif now - self._still_since >= config.gripper_stall_s:
            self._blocked_at = opening
        strength = min(max(config.gripper_gain_per_m * abs(error), config.gripper_pwm_min), config.gripper_pwm_max)
        return self._direction * strength

    def _start_anew(self, now: float, opening: float, error: float) -> None:
        """Decide whether to drive (again), and in which direction."""
        tolerance = self._config.gripper_tolerance_m
        changed = self._driven_for is None or self.target is None or abs(self.target - self._driven_for) > tolerance
        slipped = self._blocked_at is not None and (opening - self._blocked_at) * self._direction > RESTART * tolerance
        drifted = self._direction == 0.0 and abs(error) > RESTART * tolerance
        if not (changed or slipped or drifted):
            return
        direction = 0.0 if abs(error) <= tolerance else (1.0 if error > 0 else -1.0)
        still_blocked = self.blocked and not slipped and direction == self._direction
        self._driven_for = self.target
        if still_blocked:
            return
        self._direction, self._blocked_at = direction, None
        self._still_at, self._still_since = opening, now
