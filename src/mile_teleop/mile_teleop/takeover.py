"""Who has the arm: from the takeover button to the hand-back. Stick motion never counts."""

from __future__ import annotations

import math

from mile_teleop.pad import Button
from mile_teleop.watchdog import PadChange

HOLD_STYLE = 'hold'
TOGGLE_STYLE = 'toggle'
HAND_BACK = 'hand-back'
AFTER_LOST_PAD = 'the pad was lost during a takeover; press takeover to go on'
AFTER_ESTOP = 'the e-stop was set; press takeover to go on'
AFTER_ARM_FAULT = 'the arm had a fault, and may have moved; press takeover to go on'
PRESS_REASONS = (AFTER_LOST_PAD, AFTER_ESTOP, AFTER_ARM_FAULT)
"""Of a hold that a press of the takeover button ends, and nothing else."""


class Takeover:
    """The takeover button, held (dead-man) or toggled, and the span that it opens and closes.

    It takes a press on a live pad to engage the button, so one that is found down (the pad connects, or comes back) does nothing.
    A lost pad disengages it, but is no hand-back: the person has to press it again.

    Attributes:
        engaged: the person wants to drive now.
        active: the person has taken over and not yet handed back.
    """

    def __init__(self, style: str, grace_s: float) -> None:
        self._toggle = style == TOGGLE_STYLE
        self._grace_s = grace_s
        self._grace_until = -math.inf
        self._awaits_press = ''
        self.engaged = False
        self.active = False

    def follow(self, change: PadChange, now: float) -> tuple[bool, bool]:
        """Follow one change of a live pad at `now` [s, monotonic]; whether it engaged the button, and whether it handed back."""
        before = self.engaged
        if Button.TAKEOVER in change.pressed:
            self.engaged = not (self._toggle and self.engaged)
        elif Button.TAKEOVER in change.released and not self._toggle:
            self.engaged = False
        pressed = self.engaged and not before
        handed_back = before and not self.engaged and self.active
        if pressed:
            self._awaits_press = ''
        if handed_back:
            self.active = False
            self._grace_until = now + self._grace_s
        return pressed, handed_back

    def lose_pad(self) -> None:
        """The pad cannot be obeyed any more."""
        self.engaged = False

    def await_press(self, reason: str) -> None:
        """Nothing may move, in this episode or the next, until the person presses the button anew."""
        self.engaged = False
        self._awaits_press = reason

    def begin(self) -> None:
        """An episode begins: a button that is held since before is the person's; of a toggle nobody knows any more which way it is."""
        self.engaged = self.engaged and not self._toggle

    def end(self) -> None:
        """The episode is over; the person drives in the next one after a new press only."""
        self.engaged = self.active = False
        self._grace_until = -math.inf

    def objection(self, now: float) -> str:
        """Why the policy must not drive yet though the button is not engaged; empty if it may."""
        if self._awaits_press:
            return self._awaits_press
        if self.active:
            return AFTER_LOST_PAD
        return HAND_BACK if now < self._grace_until else ''
