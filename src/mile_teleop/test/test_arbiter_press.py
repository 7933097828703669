"""What moves again only after a press of the takeover button: after an e-stop, and after an arm that may have moved by itself."""

from __future__ import annotations

import pytest

from mile_learner.step import Mode, Source
from mile_teleop.pad import Button

from .rig import NAN, Rig, sources

T = Button.TAKEOVER


def test_the_estop_latches_until_an_explicit_reset_and_then_awaits_a_press() -> None:
    rig = Rig(hand_back_grace_s=0.3)
    rig.live()
    effects = rig.pad(Button.ESTOP)
    assert sources(effects) == [Source.HOLD]
    for _ in range(5):
        rig.cycle(T)
        assert rig.mode() is Mode.ESTOP
    rig.cycle()
    rig.keep(rig.arbiter.reset_estop())
    for _ in range(10):
        rig.cycle()
    assert rig.status.reason == 'the e-stop was set; press takeover to go on'
    assert set(sources(rig.effects[-40:])) == {Source.HOLD}
    rig.pad(T)
    rig.pad()
    for _ in range(5):
        rig.cycle()
    assert rig.mode() is Mode.AUTONOMOUS


@pytest.mark.parametrize('between', [False, True], ids=['in the episode', 'between episodes'])
def test_after_an_estop_it_takes_a_press_in_the_next_episode_too(between: bool) -> None:
    rig = Rig()
    rig.live()
    if between:
        rig.stop('failure')
    rig.pad(Button.ESTOP)
    rig.pad()
    if not between:
        rig.stop('failure')
    rig.keep(rig.arbiter.reset_estop())
    rig.start('e1')
    for _ in range(5):
        rig.cycle()
    assert rig.status.reason == 'the e-stop was set; press takeover to go on'
    rig.pad(T)
    rig.pad()
    for _ in range(10):
        rig.cycle()
    assert rig.mode() is Mode.AUTONOMOUS


@pytest.mark.parametrize('driving', [False, True], ids=['the policy drives', 'the person drives'])
def test_an_arm_that_may_have_moved_by_itself_is_not_driven_on_without_a_press(driving: bool) -> None:
    rig = Rig()
    rig.live()
    held = [T] * driving
    rig.cycle(*held)
    rig.arm(ready=False, fault='elbow: torque is off', opening_m=NAN)
    for _ in range(10):
        rig.cycle(*held)
    assert rig.status.reason == 'the arm had a fault, and may have moved; press takeover to go on'
    assert set(sources(rig.effects[-20:])) == {Source.HOLD}
    rig.pad()
    rig.pad(T)
    assert rig.mode() is Mode.HUMAN


def test_an_arm_that_is_silent_for_a_while_is_driven_on() -> None:
    rig = Rig()
    rig.live()
    rig.arm(ready=False, fault='joint states are 0.60 s old, limit 0.5 s')
    assert rig.mode() is Mode.HOLD
    for _ in range(5):
        rig.cycle()
    assert rig.mode() is Mode.AUTONOMOUS
