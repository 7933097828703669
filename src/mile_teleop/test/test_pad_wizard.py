"""The wizard, answered on a virtual pad: what it is told is what the mapping then does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from mile_teleop.errors import PadError
from mile_teleop.pad import Button, PadConfig, PadMapping
from mile_teleop.pad_device import PadDevice, PadState
from mile_teleop.pad_wizard import run_wizard

from .virtual_pad import VirtualPad

STICKS = [(-1.0, 1), (1.0, 1), (-1.0, 0), (1.0, 0), (1.0, 4), (-1.0, 4)]
"""Deflection in SDL's sign and axis, per question: away and back, left and right, up and down (this right stick is upside down)."""
BUTTONS = [5, 4, 6, 9, 2, 1, 3, 8, 10]
SPEED = 10.0


Move = Callable[[VirtualPad], None]


class HeldDevice(PadDevice):
    """A device with a thumb on its pad, which makes one move whenever it is waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.moves: list[Callable[[], None]] = []

    def wait(self, timeout_s: float) -> list[PadState]:
        if self.moves:
            self.moves.pop(0)()
        return super().wait(timeout_s)


@pytest.fixture
def device() -> Iterator[HeldDevice]:
    device = HeldDevice()
    yield device
    device.close()


class Person:
    """Answers one question after another with moves of the thumb; what was heard is kept."""

    def __init__(self, device: HeldDevice, pad: VirtualPad, answers: list[list[Move]]) -> None:
        self.heard: list[str] = []
        self._device = device
        self._pad = pad
        self._answers = answers.copy()

    def __call__(self, question: str) -> None:
        self.heard.append(question)
        if self._answers and not question.startswith('Connect') and 'once more' not in question:
            self._device.moves += [partial(move, self._pad) for move in self._answers.pop(0)]


def push(value: float, *axes: int) -> list[Move]:
    def move(value: float, pad: VirtualPad) -> None:
        for axis in axes:
            pad.axis(axis, value)

    return [partial(move, deflection) for deflection in (value / 2, value, 0.0)]


def press(*buttons: int) -> list[Move]:
    def move(down: int, pad: VirtualPad) -> None:
        for button in buttons:
            pad.button(button, down)

    return [partial(move, down) for down in (1, 0)]


def wizard(device: HeldDevice, person: Callable[[str], None], path: Path) -> PadMapping:
    return run_wizard(device, person, path, clock=lambda: SPEED * time.monotonic())


STICK_ANSWERS = [push(*stick) for stick in STICKS]
ANSWERS = STICK_ANSWERS + [press(button) for button in BUTTONS]


def test_it_writes_the_mapping_it_was_told(device: HeldDevice, tmp_path: Path) -> None:
    path = tmp_path / 'pad_mine.yaml'
    person = Person(device, VirtualPad(), ANSWERS)
    mapping = wizard(device, person, path)
    assert len(person.heard) == 1 + len(STICKS) + len(BUTTONS)
    config = PadConfig.from_yaml(path)
    assert config == mapping.config
    assert (config.axes, config.buttons) == (6, 17)
    assert config.motion_axes == (1, 0, 4)
    assert config.motion_signs == (1, 1, -1)
    assert [config.index(button) for button in Button] == BUTTONS
    assert [file.name for file in tmp_path.iterdir()] == ['pad_mine.yaml']


@pytest.mark.parametrize(
    ('question', 'wrong', 'words'),
    [
        (0, [push(0.9, 0, 1)], 'moved together'),
        (0, [push(-1.0, 1), push(-1.0, 1)], 'not the opposite'),
        (2, [push(-1.0, 1)], 'already moves it away'),
        (7, [press(5)], 'already takeover'),
        (8, [press(2, 3)], 'went down together'),
    ],
)
def test_an_answer_that_contradicts_is_asked_again(
    device: HeldDevice, tmp_path: Path, question: int, wrong: list[list[Move]], words: str
) -> None:
    answers = ANSWERS.copy()
    answers[question:question] = wrong
    person = Person(device, VirtualPad(), answers)
    mapping = wizard(device, person, tmp_path / 'pad.yaml')
    assert [mapping.config.index(button) for button in Button] == BUTTONS
    assert mapping.config.motion_axes == (1, 0, 4)
    assert [heard for heard in person.heard if 'once more' in heard and words in heard]


@pytest.mark.parametrize(
    ('answers', 'words'),
    [
        (STICK_ANSWERS + [press(5)] * 4, 'already takeover; nothing was written'),
        (STICK_ANSWERS, 'no button was pressed and let go within 30 s'),
        ([push(-0.3, 0)], 'no stick was pushed'),
        ([*STICK_ANSWERS, [VirtualPad.unplug]], 'the device is gone'),
    ],
)
def test_without_clear_answers_nothing_is_written(device: HeldDevice, tmp_path: Path, answers: list[list[Move]], words: str) -> None:
    path = tmp_path / 'pad.yaml'
    path.write_text('mine')
    with pytest.raises(PadError, match=words) as caught:
        wizard(device, Person(device, VirtualPad(), answers), path)
    assert '\n' not in str(caught.value)
    assert path.read_text() == 'mine'


def test_without_a_pad_it_does_not_wait_for_ever(device: HeldDevice, tmp_path: Path) -> None:
    heard: list[str] = []
    with pytest.raises(PadError, match='no pad was left alone within 30 s'):
        wizard(device, heard.append, tmp_path / 'pad.yaml')
    assert len(heard) == 1


def test_a_pad_with_too_few_buttons_is_refused_before_any_question(device: HeldDevice, tmp_path: Path) -> None:
    person = Person(device, VirtualPad(6, 4, name='toy'), [])
    with pytest.raises(PadError, match="'toy' has 6 axes and 4 buttons, at least 3 and 9"):
        wizard(device, person, tmp_path / 'pad.yaml')
    assert len(person.heard) == 1
