"""Which sources may be obeyed: not the silent ones, and not a pad that only seems alive."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mile_teleop.errors import PadError
from mile_teleop.pad import Button, PadInput, PadMapping


class Watchdog:
    """Notices that a source fell silent.

    Args:
        name: of the source, for the person at the robot.
        timeout_s: a silence longer than this is a fault [s].
    """

    def __init__(self, name: str, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._last = -math.inf
        self._silent = f'{name}: silent for more than {timeout_s:g} s'

    def feed(self, now: float) -> None:
        """The source gave a sign of life at `now` [s, monotonic]."""
        self._last = now

    def fault(self, now: float) -> str:
        """Why the source is not obeyed; empty if it is."""
        return self._silent if now - self._last > self._timeout_s else ''


@dataclass(frozen=True, slots=True)
class PadChange:
    """What one pad message changed.

    Attributes:
        pressed: buttons that went down while the pad was alive.
        released: buttons that came up while the pad was alive.
        estop: the e-stop button is down; this is told however old or repeated the message is.
    """

    pressed: frozenset[Button] = frozenset()
    released: frozenset[Button] = frozenset()
    estop: bool = False


class PadWatch:
    """Follows a pad and tells a live one from a lost one.

    A pad that is silent, whose device is gone, or whose messages do not fit the mapping is not obeyed. Nor is one whose state stays
    exactly the same for `lost_s` while a button is down or a stick is deflected: when a wireless link dies, the joystick driver
    repeats the last state for ever with fresh stamps (ros-drivers/joystick_drivers issue 92). All of these lose the pad, but for a
    silence of less than `lost_s`, after which it goes on where it was. On a lost pad that comes back, a button counts as pressed or
    released only once that happens on the live pad.

    Args:
        mapping: what the pad's messages mean.
        timeout_s: a pad silent for longer is not obeyed; a message older than this is ignored [s].
        lost_s: a pad silent for longer is lost, and so is one whose state, if not at rest, stays the same for longer [s].
    """

    def __init__(self, mapping: PadMapping, timeout_s: float, lost_s: float) -> None:
        self._mapping = mapping
        self._timeout_s = timeout_s
        self._lost_s = lost_s
        self._silence = Watchdog('pad', timeout_s)
        self._long_silence = Watchdog('pad', lost_s)
        self._frozen = f'pad: nothing changed for more than {lost_s:g} s though it is not at rest; is its link dead?'
        self._stamp = -math.inf
        self._state: tuple[tuple[float, ...], tuple[int, ...]] | None = None
        self._changed = -math.inf
        self._error = 'pad: no message yet'
        self._input = PadInput()

    def receive(self, now: float, wall: float, stamp: float, axes: Sequence[float], buttons: Sequence[int]) -> PadChange:
        """Take one pad message in.

        Args:
            now: monotonic time [s].
            wall: time since the epoch [s].
            stamp: of the message, since the epoch [s].
            axes: as in sensor_msgs/Joy.
            buttons: as in sensor_msgs/Joy.
        """
        error, received = '', PadInput()
        try:
            received = self._mapping.read(axes, buttons)
        except PadError as problem:
            error = str(problem)
        estop = Button.ESTOP in received.held
        if wall - stamp > self._timeout_s or (stamp <= self._stamp <= wall):
            return PadChange(estop=estop)
        lost = self.loss(now) != ''
        self._stamp, self._error = stamp, error
        self._silence.feed(now)
        self._long_silence.feed(now)
        state = (tuple(axes), tuple(buttons))
        if state != self._state:
            self._state, self._changed = state, now
        if error:
            return PadChange()
        before, self._input = self._input.held, received
        if lost:
            return PadChange(estop=estop)
        return PadChange(received.held - before, before - received.held, estop)

    def loss(self, now: float) -> str:
        """Why the pad is lost; empty if it is not."""
        if self._error:
            return self._error
        at_rest = self._input.motion == (0.0, 0.0, 0.0) and self._state is not None and not any(self._state[1])
        if not at_rest and now - self._changed > self._lost_s:
            return self._frozen
        return self._long_silence.fault(now)

    def fault(self, now: float) -> str:
        """Why the pad is not obeyed; empty if it is."""
        return self.loss(now) or self._silence.fault(now)

    @property
    def input(self) -> PadInput:
        """What the person last did; not to be obeyed while there is a fault."""
        return self._input
