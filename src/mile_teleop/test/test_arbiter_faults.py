"""The arbiter among sources that fail, an e-stop, and requests that make no sense."""

from __future__ import annotations

import numpy as np
import pytest

from mile_learner.step import Mode, Source
from mile_teleop.effects import PublishCommand, PublishEvent, PublishStep, PublishTick
from mile_teleop.errors import RefusedError
from mile_teleop.pad import Button

from .rig import NAN, Rig, of, sources

T = Button.TAKEOVER


def test_a_button_found_down_is_not_a_takeover() -> None:
    rig = Rig()
    rig.arm()
    rig.pad(T)
    rig.start()
    rig.cycle(T)
    assert rig.mode() is Mode.AUTONOMOUS
    rig.pad()
    rig.pad(T)
    assert rig.mode() is Mode.HUMAN


@pytest.mark.parametrize(
    ('fault', 'reason'),
    [
        (lambda rig: rig.raw_pad([], []), 'the device is gone'),
        (lambda rig: rig.raw_pad([0.0] * 4, [0] * 12), 'got 4 axes and 12 buttons, expected 6 and 17'),
        (lambda rig: rig.raw_pad([NAN] * 6, [0] * 17), 'not finite'),
        (lambda rig: rig.arm(ready=False), 'arm: not ready'),
        (lambda rig: rig.arm(fault='motor 3 overheated'), 'motor 3 overheated'),
        (lambda rig: rig.tick() + rig.answer(valid=False, detail='image is 0.61 s old'), 'image is 0.61 s old'),
        (lambda rig: rig.tick() + rig.answer((NAN, 0.0, 0.0, 0.0)), 'not four finite numbers'),
        (lambda rig: rig.tick() + rig.answer((0.0, 0.0, 0.0)), 'not four finite numbers'),
    ],
)
def test_a_broken_source_holds_the_arm_with_the_reason(fault: object, reason: str) -> None:
    rig = Rig()
    rig.live()
    assert Source.POLICY not in sources(fault(rig))  # type: ignore[operator]
    assert rig.status.mode is Mode.HOLD
    assert reason in rig.status.reason
    assert rig.events[-1] == 'hold'
    for _ in range(3):
        rig.cycle()
    assert rig.mode() is Mode.AUTONOMOUS
    assert rig.events[-1] == 'resumed'


@pytest.mark.parametrize('silent', ['pad', 'arm', 'recorder', 'policy'])
def test_a_silent_source_holds_the_arm(silent: str) -> None:
    rig = Rig(recorder_timeout_s=0.5)
    rig.live()
    for _ in range(8):
        for name, live in (('pad', rig.pad), ('arm', rig.arm), ('recorder', rig.recorder)):
            if name != silent:
                live()
        rig.tick()
        if silent != 'policy':
            rig.answer()
    assert rig.mode() is Mode.HOLD
    assert rig.status.reason == f'{silent}: silent for more than 0.5 s'


def test_a_pad_that_repeats_one_state_with_a_button_down_is_lost() -> None:
    rig = Rig(pad_lost_s=1.0, hand_back_grace_s=0.3)
    rig.live()
    for _ in range(20):
        rig.cycle(T, motion=(0.7, 0.0, 0.0))
    assert rig.mode() is Mode.HOLD
    assert 'is its link dead?' in rig.status.reason
    assert sum(step.intervening for step in rig.steps) in (10, 11)
    rig.cycle(T, motion=(0.6, 0.0, 0.0))
    assert rig.status.reason == 'the pad was lost during a takeover; press takeover to go on'
    rig.cycle()
    assert rig.mode() is Mode.HOLD, 'a lost pad is no hand-back'
    rig.pad(T)
    assert rig.mode() is Mode.HUMAN
    rig.pad()
    for _ in range(4):
        rig.cycle()
    assert rig.mode() is Mode.AUTONOMOUS


@pytest.mark.parametrize(('still_held', 'mode'), [(True, Mode.HUMAN), (False, Mode.AUTONOMOUS)])
def test_a_short_silence_in_a_takeover_holds_and_then_goes_on(still_held: bool, mode: Mode) -> None:
    rig = Rig(hand_back_grace_s=0.3)
    rig.live()
    rig.cycle(T)
    for _ in range(10):
        rig.arm()
        rig.tick()
        rig.answer()
    assert rig.mode() is Mode.HOLD
    for _ in range(5):
        rig.cycle(*([T] if still_held else []))
    assert rig.mode() is mode


def test_a_long_silence_in_a_takeover_loses_the_pad() -> None:
    rig = Rig()
    rig.live()
    rig.cycle(T)
    for _ in range(25):
        rig.arm()
        rig.tick()
        rig.answer()
    for _ in range(5):
        rig.cycle()
    assert rig.status.reason == 'the pad was lost during a takeover; press takeover to go on'


def test_a_pad_at_rest_may_repeat_itself() -> None:
    rig = Rig(pad_lost_s=1.0)
    rig.live()
    for _ in range(30):
        rig.cycle()
    assert rig.mode() is Mode.AUTONOMOUS


def test_old_and_repeated_pad_messages_are_no_sign_of_life() -> None:
    rig = Rig()
    rig.live()
    stamp = rig.clock.wall()
    rig.raw_pad([], [], age=3.0)
    assert rig.mode() is Mode.AUTONOMOUS
    for _ in range(8):
        rig.arm()
        rig.arbiter.on_joy(stamp, [0.0] * 6, [0] * 17)
        rig.pad(T, age=3.0)
        rig.tick()
        rig.answer()
    assert rig.mode() is Mode.HOLD
    assert not any(step.intervening for step in rig.steps)


def test_a_pad_that_has_only_old_news_is_never_alive() -> None:
    rig = Rig()
    rig.pad(age=0.6)
    rig.pad(T, age=0.55)
    rig.arm()
    rig.start()
    assert rig.status.reason == 'pad: no message yet'


def test_an_action_out_of_range_is_clipped_where_it_is_obeyed_and_recorded() -> None:
    rig = Rig()
    rig.live()
    rig.tick()
    rig.answer((2.0, -3.0, 0.5, 1.5))
    rig.confirm()
    for action in (rig.steps[-1].robot_action, rig.steps[-1].executed_action):
        np.testing.assert_array_equal(action, np.array((1.0, -1.0, 0.5, 1.0), np.float32))


def test_a_wall_clock_set_back_does_not_lose_the_pad() -> None:
    rig = Rig()
    rig.live()
    rig.clock.offset -= 3600.0
    for _ in range(10):
        rig.cycle()
    rig.pad(T)
    assert rig.mode() is Mode.HUMAN


def test_the_estop_button_is_obeyed_from_an_old_message_too() -> None:
    rig = Rig()
    rig.live()
    rig.pad(Button.ESTOP, age=3.0)
    assert rig.mode() is Mode.ESTOP


def test_the_estop_outlives_the_episode() -> None:
    rig = Rig()
    rig.live()
    rig.keep(rig.arbiter.estop('service'))
    rig.stop('aborted')
    assert rig.mode() is Mode.ESTOP
    with pytest.raises(RefusedError, match='e-stop is set'):
        rig.start('e1')
    rig.arbiter.reset_estop()
    with pytest.raises(RefusedError, match='not set'):
        rig.arbiter.reset_estop()
    rig.start('e1')


def test_stamps_within_an_episode_do_not_follow_a_wall_clock_that_jumps() -> None:
    rig = Rig()
    rig.live()
    for jump in (0.0, -50.0, 50.0):
        rig.clock.offset += jump
        rig.cycle()
    assert np.diff([step.stamp for step in rig.steps]) == pytest.approx(0.1, abs=0.01)


def test_a_refused_command_is_reported_once() -> None:
    rig = Rig()
    rig.live()
    for _ in range(3):
        rig.arm()
        rig.pad()
        rig.tick()
        rig.answer()
        rig.confirm(accepted=False, detail='out of the workspace')
    warnings = [event.detail for event in rig.all(PublishEvent) if event.type == 'warning']
    assert warnings == ['the arm refused a command: out of the workspace']


def test_requests_that_make_no_sense_are_refused() -> None:
    rig = Rig()
    with pytest.raises(RefusedError, match='no episode runs'):
        rig.stop()
    with pytest.raises(RefusedError, match='empty'):
        rig.start('')
    rig.start('e0')
    with pytest.raises(RefusedError, match='e0 still runs'):
        rig.start('e1')


def test_an_answer_that_comes_when_its_tick_is_over_is_recorded_and_not_obeyed() -> None:
    rig = Rig()
    rig.live()
    rig.cycle(Button.TAKEOVER, motion=(0.3, 0.0, 0.0))
    recorded = len(rig.steps)
    rig.arm()
    rig.pad(Button.TAKEOVER, motion=(0.4, 0.0, 0.0))
    rig.tick()
    rig.confirm()
    rig.arm()
    rig.pad(Button.TAKEOVER, motion=(0.5, 0.0, 0.0))
    rig.tick()
    rig.confirm()
    assert len(rig.steps) == recorded, 'both wait for the policy'
    effects = rig.answer((0.0, 0.0, 0.7, 1.0), back=1)
    assert not of(PublishCommand, effects)
    (late,) = [effect.step for effect in of(PublishStep, effects)]
    assert late.robot_action_valid
    assert late.robot_action[2] == np.float32(0.7)
    assert late.human_action[0] == np.float32(0.4)
    rig.answer()
    assert [step.index for step in rig.steps] == list(range(recorded + 2))


def test_a_step_whose_answer_never_comes_is_recorded_without_it_when_the_wait_is_over() -> None:
    rig = Rig(record_wait_s=0.25)
    rig.live()
    recorded = len(rig.steps)
    for _ in range(2):
        rig.tick()
    assert len(rig.steps) == recorded
    for _ in range(3):
        rig.tick()
    assert [step.robot_action_valid for step in rig.steps[recorded:]] == [False] * 2


def test_between_episodes_the_status_says_what_the_next_one_lacks() -> None:
    rig = Rig()
    rig.tick()
    assert rig.status.reason == 'pad: no message yet'
    rig.pad()
    assert rig.status.reason == 'arm: silent for more than 0.5 s'
    rig.arm(fault='motor 3 overheated')
    assert rig.status.reason == 'arm: motor 3 overheated'
    rig.arm()
    assert rig.status.reason == 'policy: no answer yet'
    rig.say_that_the_policy_is_there(detail='scene: nothing received yet')
    assert rig.status.reason == 'policy: scene: nothing received yet'
    rig.say_that_the_policy_is_there(1.0, 2.0, detail='no policy is loaded; call load_policy')
    assert rig.status.reason == '', 'a demonstration needs the observation alone'


def test_ticks_of_no_episode_ask_the_policy_until_it_was_heard_and_command_nothing() -> None:
    rig = Rig()
    assert [(tick.episode_id, tick.index) for tick in of(PublishTick, [*rig.tick(), *rig.tick()])] == [('', 0)] * 2
    rig.say_that_the_policy_is_there(1.0)
    assert not of(PublishTick, rig.tick())
    rig.live()
    rig.stop()
    assert not of(PublishTick, rig.tick())
    assert sources(rig.effects) == [Source.POLICY]
