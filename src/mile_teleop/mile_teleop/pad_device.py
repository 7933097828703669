"""A pad on this machine, through SDL, without a display: found by name or number, lost and found again.

Values are those of the ROS `joy` node: left and up are +1, a trigger at rest is +1, each hat is two more axes after the sticks. Dead
zones are the mapping's affair.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

os.environ['PYGAME_HIDE_SUPPORT_PROMPT'] = '1'  # pygame greets on standard output, which is for results

import pygame

SDL_ENVIRONMENT = {
    'SDL_VIDEODRIVER': 'dummy',  # events need a video driver; this one needs no display
    'SDL_JOYSTICK_ALLOW_BACKGROUND_EVENTS': '1',  # there is no window that could have the focus
    'SDL_JOYSTICK_HIDAPI': '0',  # the kernel's layout; SDL's own drivers number axes and buttons differently
    'SDL_NO_SIGNAL_HANDLERS': '1',
}
NO_PAD = 'pad: none found; connect it, and be in the group input'
GONE = 'pad: the device is gone; connect it again'


@dataclass(frozen=True, slots=True)
class PadState:
    """What a pad says at one instant; as sensor_msgs/Joy, empty when the device is gone.

    Attributes:
        axes: deflections in [-1, 1].
        buttons: 0 or 1.
        connected: whether there is a pad.
        changed_at: when it came to say so [s, of the device's clock].
    """

    axes: tuple[float, ...]
    buttons: tuple[int, ...]
    connected: bool
    changed_at: float


class PadDevice:
    """One pad. SDL is global and bound to a thread: one device at a time, used by the thread that made it.

    Args:
        select: its number, or a part of its name in any case; empty takes the first.
        shape: how many axes and buttons it must have; None takes any.
        axis_interval_s: changes of axes alone are reported at most this often [s]; buttons always at once.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        select: str = '',
        shape: tuple[int, int] | None = None,
        *,
        axis_interval_s: float = 0.005,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        os.environ.update(SDL_ENVIRONMENT)
        pygame.display.init()
        pygame.joystick.init()
        self._select = select
        self._shape = shape
        self._axis_interval_s = axis_interval_s
        self._clock = clock
        self._joystick: pygame.joystick.JoystickType | None = None
        self._axes: list[float] = []
        self._buttons: list[int] = []
        self._axes_due = -math.inf
        self.state = PadState((), (), connected=False, changed_at=clock())
        self.name = ''
        self.fault = NO_PAD
        """Why there is no pad; empty if there is one."""

    def wait(self, timeout_s: float) -> list[PadState]:
        """Wait for changes; return them in order, or nothing after `timeout_s` [s].

        A press and its release are two changes however quickly they follow each other. When the device goes, the one change is that
        it is gone: the releases that SDL makes up for it are nobody's, and a takeover button that a dead battery let go is no hand-back.
        """
        deadline = self._clock() + timeout_s
        while True:
            due = min(deadline, self._axes_due) if self._axes_differ() else deadline
            remaining_ms = math.ceil((due - self._clock()) * 1e3)
            changes = self._look(remaining_ms)
            now = self._clock()
            if self._axes_differ() and now >= self._axes_due:
                changes.append(self._report(now))
            if changes or now >= deadline:
                return changes

    def rumble(self, weak: float, strong: float, duration_s: float) -> bool:
        """Shake the pad for `duration_s` [s]: small and large motor, each in [0, 1]. False where it cannot."""
        return self._joystick is not None and bool(self._joystick.rumble(weak, strong, round(duration_s * 1e3)))

    def close(self) -> None:
        """Let the pad and SDL go."""
        self._joystick = None
        pygame.joystick.quit()
        pygame.display.quit()

    def _look(self, timeout_ms: int) -> list[PadState]:
        try:
            first = [pygame.event.wait(timeout_ms)] if timeout_ms > 0 else []
            events = first + pygame.event.get()
        except SystemError:  # pygame 2.6 fails on a device that came and went between two looks, and drops what it has read
            return self._catch_up()
        return self._digest(events)

    def _catch_up(self) -> list[PadState]:
        """What events would have said, found by looking."""
        if self._joystick is None:
            self._open()
        elif self._joystick.get_instance_id() in [joystick.get_instance_id() for joystick in _joysticks()]:
            self._read(self._joystick)
        else:
            self._lose()
        unchanged = (tuple(self._buttons), self._joystick is not None) == (self.state.buttons, self.state.connected)
        return [] if unchanged else [self._report(self._clock())]

    def _digest(self, events: Iterable[pygame.event.EventType]) -> list[PadState]:
        changes: list[PadState] = []
        for event in events:
            if event.type == pygame.JOYDEVICEADDED:
                if self._joystick is None and self._open():
                    changes.append(self._report(self._clock()))
            elif self._joystick is None or getattr(event, 'instance_id', None) != self._joystick.get_instance_id():
                continue
            elif event.type == pygame.JOYDEVICEREMOVED:
                self._lose()
                changes = [self._report(self._clock())]
            elif event.type == pygame.JOYAXISMOTION:
                self._axes[event.axis] = _ros_axis(event.value)
            elif event.type == pygame.JOYHATMOTION:
                start = self._joystick.get_numaxes() + 2 * event.hat
                self._axes[start : start + 2] = _ros_hat(event.value)
            elif event.type in (pygame.JOYBUTTONDOWN, pygame.JOYBUTTONUP):
                self._buttons[event.button] = int(event.type == pygame.JOYBUTTONDOWN)
                changes.append(self._report(self._clock()))
        return changes

    def _open(self) -> bool:
        """Take the first pad that is meant and fits."""
        self.fault = NO_PAD
        for index, joystick in enumerate(_joysticks()):
            name = joystick.get_name()
            meant = self._select == str(index) if self._select.isdecimal() else self._select.lower() in name.lower()
            if not meant:
                continue
            shape = (joystick.get_numaxes() + 2 * joystick.get_numhats(), joystick.get_numbuttons())
            if self._shape is not None and shape != self._shape:
                self.fault = (
                    f'pad: {name!r} has {shape[0]} axes and {shape[1]} buttons, expected {self._shape[0]} and {self._shape[1]}; '
                    'choose the mapping of this pad, or make one: mile doctor --pad'
                )
                continue
            self._joystick, self.name, self.fault = joystick, name, ''
            self._read(joystick)
            return True
        return False

    def _read(self, joystick: pygame.joystick.JoystickType) -> None:
        self._axes = [_ros_axis(joystick.get_axis(axis)) for axis in range(joystick.get_numaxes())]
        self._axes += [value for hat in range(joystick.get_numhats()) for value in _ros_hat(joystick.get_hat(hat))]
        self._buttons = [int(joystick.get_button(button)) for button in range(joystick.get_numbuttons())]

    def _lose(self) -> None:
        self._joystick, self._axes, self._buttons, self.fault = None, [], [], GONE

    def _axes_differ(self) -> bool:
        return tuple(self._axes) != self.state.axes

    def _report(self, now: float) -> PadState:
        self.state = PadState(tuple(self._axes), tuple(self._buttons), self._joystick is not None, now)
        self._axes_due = now + self._axis_interval_s
        return self.state


def _joysticks() -> list[pygame.joystick.JoystickType]:
    """All there are, opened; those that nobody keeps are closed again."""
    return [pygame.joystick.Joystick(index) for index in range(pygame.joystick.get_count())]


def _ros_axis(value: float) -> float:
    """SDL has left and up negative, and one more step on that side."""
    return min(1.0, 0.0 - value)


def _ros_hat(value: tuple[float, float]) -> tuple[float, float]:
    """SDL's hats have right and up positive."""
    return 0.0 - value[0], 0.0 + value[1]
