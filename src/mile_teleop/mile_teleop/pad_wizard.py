"""A pad's mapping, made by pressing what is asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Protocol, TypeVar

import yaml

from mile_learner.files import write_atomically
from mile_teleop.errors import PadError
from mile_teleop.pad import Button, PadConfig, PadMapping
from mile_teleop.pad_device import PadState

T = TypeVar('T')
DIRECTIONS = (('away from the base', 'towards the base'), ('to the left', 'to the right'), ('up', 'down'))
STILL_S = 1.0
"""A pad left alone for this long is at rest."""
STEADY = 0.2
"""How far an axis may stray meanwhile."""
TRIGGER = 0.5
"""An axis that rests beyond this is a trigger, not a stick."""
PUSHED = 0.7
"""A stick this far from its rest is pushed; less than half of it, and it is let go."""
TRIES = 3


class Pad(Protocol):
    """What the wizard needs of a `PadDevice`, one that takes pads of any shape."""

    @property
    def name(self) -> str:
        """Of the pad."""

    @property
    def state(self) -> PadState:
        """What the pad said last."""

    def wait(self, timeout_s: float) -> list[PadState]:
        """Changes in order, or nothing after `timeout_s` [s]."""


def run_wizard(
    device: Pad,
    ask: Callable[[str], None],
    path: Path,
    *,
    timeout_s: float = 30.0,
    clock: Callable[[], float] = time.monotonic,
) -> PadMapping:
    """Ask for each role of a pad, write the mapping to `path` when all is told, and return it.

    Args:
        device: the pad.
        ask: says one line to the person.
        path: of the YAML; an existing one is replaced.
        timeout_s: how long each answer may take [s].
        clock: seconds, monotonic.

    Raises:
        PadError: no pad, one with too little on it, it went away, no answer in time, or answers that contradict each other; nothing
            is written.
    """
    wizard = _Wizard(device, ask, timeout_s, clock)
    wizard.settle()
    axes, buttons = len(device.state.axes), len(device.state.buttons)
    if axes < len(DIRECTIONS) or buttons < len(Button):
        msg = f'pad wizard: {device.name!r} has {axes} axes and {buttons} buttons, at least {len(DIRECTIONS)} and {len(Button)} are needed'
        raise PadError(msg)
    motion = wizard.sticks()
    values = {
        'name': device.name,
        'axes': axes,
        'buttons': buttons,
        'motion_axes': [axis for axis, _ in motion],
        'motion_signs': [sign for _, sign in motion],
        **wizard.buttons(),
    }
    config = PadConfig.from_mapping(values, source=device.name)
    content = {name: list(value) if isinstance(value, tuple) else value for name, value in config.to_mapping().items()}
    head = '# Made by `mile doctor --pad`. Indices are those of sensor_msgs/Joy; left and up are +1.\n'
    write_atomically(path, (head + yaml.safe_dump(content, sort_keys=False)).encode())
    return PadMapping(config)


class _UnclearError(Exception):
    """An answer that cannot be taken; the question is asked again."""


class _Wizard:
    def __init__(self, device: Pad, ask: Callable[[str], None], timeout_s: float, clock: Callable[[], float]) -> None:
        self._device = device
        self._ask = ask
        self._timeout_s = timeout_s
        self._clock = clock
        self._rest: tuple[float, ...] = ()

    def settle(self) -> None:
        """Wait for a pad that is left alone, and note how its axes rest."""
        self._ask('Connect the pad and let go of it.')
        rest: tuple[float, ...] = ()
        since = self._clock()
        for state in self._follow('no pad was left alone'):
            strayed = len(state.axes) != len(rest) or any(abs(value - r) > STEADY for value, r in zip(state.axes, rest, strict=True))
            if not state.connected or any(state.buttons) or strayed:
                rest, since = state.axes, self._clock()
            elif self._clock() - since >= STILL_S:
                self._rest = rest
                return

    def sticks(self) -> list[tuple[int, int]]:
        """For x, y, z: which axis moves the arm along it, and with which sign."""
        told: dict[int, str] = {}
        motion = []
        for towards, back in DIRECTIONS:
            axis, sign = self._insist(lambda towards=towards, back=back: self._stick(towards, back, told))  # type: ignore[misc]
            told[axis] = towards
            motion.append((axis, sign))
        return motion

    def buttons(self) -> dict[str, int]:
        """Which button has which role."""
        docs = {field.name: field.metadata['doc'] for field in fields(PadConfig)}
        told: dict[int, str] = {}
        for button in Button:
            index = self._insist(lambda doc=docs[button.value]: self._button(doc, told))  # type: ignore[misc]
            told[index] = button.value
        return {role: index for index, role in told.items()}

    def _insist(self, question: Callable[[], T], tries: int = TRIES) -> T:
        try:
            return question()
        except _UnclearError as unclear:
            problem = str(unclear)
        if tries == 1:
            msg = f'pad wizard: {problem}; nothing was written: start again'
            raise PadError(msg)
        self._ask(f'{problem}; once more.')
        return self._insist(question, tries - 1)

    def _stick(self, towards: str, back: str, told: dict[int, str]) -> tuple[int, int]:
        self._ask(f'Push the stick that moves the arm {towards} as far as it goes, and let go.')
        axis, sign = self._push()
        if axis in told:
            msg = f'That is axis {axis}, which already moves it {told[axis]}'
            raise _UnclearError(msg)
        self._ask(f'Now the other way: {back}.')
        if self._push() != (axis, -sign):
            msg = f'That is not the opposite of axis {axis}'
            raise _UnclearError(msg)
        return axis, sign

    def _push(self) -> tuple[int, int]:
        """Which axis was pushed and let go, and whether to its plus or minus."""
        peaks = [0.0] * len(self._rest)
        for state in self._follow('no stick was pushed and let go'):
            strays = [0.0 if abs(rest) > TRIGGER else value - rest for value, rest in zip(state.axes, self._rest, strict=True)]
            peaks = [max(pair, key=abs) for pair in zip(peaks, strays, strict=True)]
            if max(map(abs, peaks)) >= PUSHED and max(map(abs, strays)) < PUSHED / 2:
                break
        second, first = sorted(range(len(peaks)), key=lambda axis: abs(peaks[axis]))[-2:]
        if abs(peaks[second]) > abs(peaks[first]) / 2:
            msg = f'Axes {first} and {second} moved together'
            raise _UnclearError(msg)
        return first, 1 if peaks[first] > 0.0 else -1

    def _button(self, doc: str, told: dict[int, str]) -> int:
        self._ask(f'Press and let go: the {doc}.')
        pressed: set[int] = set()
        for state in self._follow('no button was pressed and let go'):
            down = {index for index, value in enumerate(state.buttons) if value}
            pressed |= down
            if pressed and not down:
                break
        if len(pressed) > 1:
            msg = f'Buttons {" and ".join(map(str, sorted(pressed)))} went down together'
            raise _UnclearError(msg)
        index = pressed.pop()
        if index in told:
            msg = f'That is button {index}, which is already {told[index]}'
            raise _UnclearError(msg)
        return index

    def _follow(self, complaint: str) -> Iterator[PadState]:
        """The pad's states from now on, the present one now and then.

        Raises:
            PadError: time is up, or the pad is gone once its rest is known.
        """
        deadline = self._clock() + self._timeout_s
        while self._clock() < deadline:
            for state in self._device.wait(0.1) or [self._device.state]:
                if self._rest and not state.connected:
                    msg = 'pad wizard: the device is gone; nothing was written: connect it and start again'
                    raise PadError(msg)
                yield state
        msg = f'pad wizard: {complaint} within {self._timeout_s:g} s; nothing was written: start again'
        raise PadError(msg)
