"""The pad device, on SDL's virtual joystick: what changes, what goes, what comes back, what does not fit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mile_teleop.pad import Button, PadConfig, PadMapping
from mile_teleop.pad_device import GONE, NO_PAD, PadDevice
from mile_teleop.watchdog import PadWatch

from .virtual_pad import VirtualPad

PS3 = PadConfig.from_yaml(Path(__file__).parents[3] / 'config' / 'pad_ps3.yaml')
PATIENCE_S = 10.0


class HandClock:
    """Seconds that pass when told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def device() -> Iterator[PadDevice]:
    device = PadDevice(shape=(PS3.axes, PS3.buttons))
    yield device
    device.close()


def plug_in(device: PadDevice) -> VirtualPad:
    pad = VirtualPad()
    connected = device.wait(PATIENCE_S)
    assert [state.connected for state in connected] == [True]
    while device.wait(0.02):
        pass
    return pad


def test_without_a_pad_it_says_so(device: PadDevice) -> None:
    assert device.wait(0.0) == []
    assert not device.state.connected
    assert device.fault == NO_PAD


def test_a_pad_that_is_plugged_in_is_found_at_rest(device: PadDevice) -> None:
    VirtualPad()
    (state,) = device.wait(PATIENCE_S)
    assert state.connected
    assert state.axes == (0.0,) * 6
    assert state.buttons == (0,) * 17
    assert device.fault == ''
    assert device.name == 'Sony PLAYSTATION(R)3 Controller'


@pytest.mark.parametrize(('select', 'taken'), [('playstation', True), ('0', True), ('3', False), ('logitech', False)])
def test_a_pad_is_chosen_by_a_part_of_its_name_or_by_its_number(select: str, taken: bool) -> None:
    device = PadDevice(select, (PS3.axes, PS3.buttons))
    VirtualPad()
    device.wait(1.0)
    device.close()
    assert (device.name == 'Sony PLAYSTATION(R)3 Controller') is taken


def test_left_and_up_are_plus_one(device: PadDevice) -> None:
    pad = plug_in(device)
    for axis, sdl, ros in ((0, -1.0, 1.0), (0, 1.0, -1.0), (1, -1.0, 1.0), (4, 0.5, -0.5)):
        pad.axis(axis, sdl)
        (state,) = device.wait(PATIENCE_S)
        assert state.axes[axis] == pytest.approx(ros, abs=1e-4)
        assert abs(state.axes[axis]) <= 1.0


def test_a_tap_is_two_changes_however_quick_it_was(device: PadDevice) -> None:
    pad = plug_in(device)
    for down in (1, 0):
        pad.button(5, down)
        pad.pump()
    assert [state.buttons[5] for state in device.wait(PATIENCE_S)] == [1, 0]


def test_a_button_does_not_wait_for_the_axes() -> None:
    clock = HandClock()
    device = PadDevice(axis_interval_s=1.0, clock=clock)
    pad = VirtualPad()
    device.wait(0.0)
    clock.now = 10.0
    device.wait(0.0)
    pad.axis(0, 0.5)
    (first,) = device.wait(0.0)
    pad.axis(0, 0.6)
    assert device.wait(0.0) == []
    pad.button(5, 1)
    clock.now = 10.1
    (second,) = device.wait(0.0)
    assert second.buttons[5] == 1
    assert second.axes[0] == pytest.approx(-0.6, abs=1e-4)
    assert (first.changed_at, second.changed_at) == (10.0, 10.1)
    pad.axis(0, 0.7)
    assert device.wait(0.0) == []
    clock.now = 11.1
    (third,) = device.wait(0.0)
    assert third.axes[0] == pytest.approx(-0.7, abs=1e-4)
    device.close()


def test_a_pad_that_goes_while_takeover_is_held_is_gone_and_not_released(device: PadDevice) -> None:
    pad = plug_in(device)
    pad.button(PS3.takeover, 1)
    pad.axis(1, -1.0)
    while device.state.buttons[PS3.takeover] == 0 or device.state.axes[1] == 0.0:
        device.wait(PATIENCE_S)
    pad.unplug()
    (state,) = device.wait(PATIENCE_S)
    assert not state.connected
    assert state.axes == state.buttons == ()
    assert device.fault == GONE
    assert device.wait(0.0) == []


def test_a_pad_that_comes_back_works_again(device: PadDevice) -> None:
    for _ in range(3):
        pad = plug_in(device)
        pad.button(3, 1)
        (state,) = device.wait(PATIENCE_S)
        assert state.buttons[3] == 1
        pad.unplug()
        assert [state.connected for state in device.wait(PATIENCE_S)] == [False]


def test_another_pad_that_comes_and_goes_between_two_looks_hides_nothing_of_ours(device: PadDevice) -> None:
    """pygame 2.6 raises on it and drops the other events."""
    pad = plug_in(device)

    def disturb() -> None:
        other = VirtualPad(name='another')
        other.pump()
        other.unplug()

    disturb()
    assert device.wait(0.05) == []
    disturb()
    pad.button(5, 1)
    (state,) = device.wait(PATIENCE_S)
    assert state.buttons[5] == 1
    disturb()
    pad.unplug()
    (state,) = device.wait(PATIENCE_S)
    assert not state.connected
    disturb()
    plug_in(device)


def test_a_pad_of_another_shape_is_refused_in_one_line_and_the_right_one_taken(device: PadDevice) -> None:
    VirtualPad(8, 11, name='Xbox')
    assert device.wait(0.05) == []
    assert not device.state.connected
    assert "'Xbox' has 8 axes and 11 buttons, expected 6 and 17" in device.fault
    assert '\n' not in device.fault
    plug_in(device)
    assert device.fault == ''


@pytest.mark.parametrize('select', ['playstation', '1'])
def test_it_can_be_chosen_by_name_or_number(select: str) -> None:
    device = PadDevice(select)
    VirtualPad(name='another')
    assert device.wait(0.05) == []
    VirtualPad()
    device.wait(PATIENCE_S)
    assert device.name == 'Sony PLAYSTATION(R)3 Controller'
    device.close()


def test_hats_are_two_more_axes_with_left_and_up_plus_one() -> None:
    device = PadDevice(shape=(4, 9))
    pad = VirtualPad(2, 9, 1)
    device.wait(PATIENCE_S)
    up, right, down, left = 1, 2, 4, 8
    for hat, expected in ((up, (0.0, 1.0)), (left, (1.0, 0.0)), (right | down, (-1.0, -1.0)), (0, (0.0, 0.0))):
        pad.hat(0, hat)
        while device.state.axes[2:] != expected:
            assert device.wait(PATIENCE_S)
    device.close()


def test_it_shakes_where_it_has_motors_and_only_there(device: PadDevice) -> None:
    assert not device.rumble(1.0, 1.0, 0.1)
    pad = plug_in(device)
    assert device.rumble(0.5, 1.0, 0.1)
    assert pad.rumbles == [(32767, 65535)] or pad.rumbles == [(65535, 32767)]
    pad.unplug()
    device.wait(PATIENCE_S)
    VirtualPad(motors=False)
    device.wait(PATIENCE_S)
    assert not device.rumble(1.0, 1.0, 0.1)


def test_a_frozen_pad_is_noticed_though_its_messages_keep_coming(device: PadDevice) -> None:
    """A dead wireless link: the driver keeps the last state; what is repeated is fresh but never changes."""
    watch = PadWatch(PadMapping(PS3), timeout_s=0.5, lost_s=2.0)
    pad = plug_in(device)
    now = 0.0

    def repeat() -> str:
        watch.receive(now, now, now, device.state.axes, device.state.buttons)
        return watch.fault(now)

    repeat()
    pad.button(PS3.takeover, 1)
    device.wait(PATIENCE_S)
    faults = []
    for tick in range(100):
        now = 0.05 * (tick + 1)
        device.wait(0.0)
        faults.append(repeat())
    assert watch.input.held == {Button.TAKEOVER}
    assert faults[0] == ''
    assert 'nothing changed' in faults[-1]
