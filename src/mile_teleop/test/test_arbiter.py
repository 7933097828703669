"""The arbiter, one promise at a time."""

from __future__ import annotations

import numpy as np
import pytest

from mile_learner.config import read_yaml_mapping
from mile_learner.step import Gate, Mode, Source
from mile_teleop.arbiter_config import ArbiterConfig
from mile_teleop.effects import PublishCommand, PublishEvent, PublishTick
from mile_teleop.errors import RefusedError
from mile_teleop.modes import TRANSITIONS
from mile_teleop.pad import Button

from .rig import CONFIG_FOLDER, NAN, RATE_HZ, Rig, of, restarts_clock, sources

T = Button.TAKEOVER


def test_the_policy_drives_when_everybody_is_alive() -> None:
    rig = Rig()
    rig.live()
    assert rig.mode() is Mode.AUTONOMOUS
    assert sources(rig.effects) == [Source.POLICY]
    assert len(rig.steps) == 1
    step = rig.steps[0]
    assert (step.index, step.source, step.mode, step.gate, step.intervening) == (0, Source.POLICY, Mode.AUTONOMOUS, Gate.NONE, False)
    np.testing.assert_allclose(step.executed_action, (0.1, 0.2, 0.3, 1.0), rtol=1e-6)
    np.testing.assert_allclose(step.sent_target, (0.3, 0.0, 0.1, 0.02), rtol=1e-6)
    assert np.isnan(step.human_action).all()
    assert step.policy_version == 'v000'
    assert step.intervention_probability == 0.25


def test_a_takeover_commands_at_once_and_begins_a_new_tick() -> None:
    rig = Rig()
    rig.live()
    effects = rig.pad(T, motion=(1.0, 0.0, -0.5))
    assert isinstance(effects[0], PublishCommand)
    assert effects[0].source is Source.HUMAN
    np.testing.assert_allclose(effects[0].action, (1.0, 0.0, -0.5, -1.0))
    assert [tick.index for tick in of(PublishTick, effects)] == [1]
    assert restarts_clock(effects)
    assert [event.type for event in of(PublishEvent, effects)] == ['takeover']


def test_an_answer_to_an_earlier_tick_is_never_obeyed() -> None:
    rig = Rig()
    rig.live()
    rig.tick()
    assert sources(rig.answer(back=1)) == []
    assert sources(rig.answer()) == [Source.POLICY]


def test_a_second_answer_to_a_tick_changes_nothing() -> None:
    rig = Rig()
    rig.live()
    rig.tick()
    rig.answer((0.1, 0.0, 0.0, 1.0))
    assert sources(rig.answer((0.9, 0.0, 0.0, 1.0))) == []
    rig.confirm()
    np.testing.assert_array_equal(rig.steps[-1].robot_action, rig.steps[-1].executed_action)


def test_the_policy_is_a_shadow_during_a_takeover() -> None:
    rig = Rig()
    rig.live()
    rig.pad(T, motion=(0.5, 0.0, 0.0))
    rig.answer((0.9, 0.9, 0.9, 0.9))
    rig.confirm()
    step = rig.steps[-1]
    assert (step.intervening, step.source, step.gate, step.mode) == (True, Source.HUMAN, Gate.HUMAN, Mode.HUMAN)
    np.testing.assert_allclose(step.robot_action, 0.9, rtol=1e-6)
    np.testing.assert_allclose(step.human_action, (0.5, 0.0, 0.0, -1.0), atol=1e-6)
    np.testing.assert_array_equal(step.human_action, step.executed_action)


def test_after_a_hand_back_the_arm_holds_for_the_grace_period() -> None:
    rig = Rig(hand_back_grace_s=0.25)
    rig.live()
    rig.cycle(T)
    rig.pad()
    assert rig.mode() is Mode.HOLD
    modes = []
    for _ in range(4):
        rig.cycle()
        modes.append(rig.mode())
    assert modes == [Mode.HOLD, Mode.HOLD, Mode.AUTONOMOUS, Mode.AUTONOMOUS]
    assert not any(step.intervening for step in rig.steps[-4:])
    assert rig.events.count('hold') == rig.events.count('resumed') == 0


def test_without_a_grace_period_the_policy_still_waits_for_the_next_tick() -> None:
    rig = Rig(hand_back_grace_s=0.0)
    rig.live()
    rig.pad(T)
    rig.pad()
    assert sources(rig.answer()) == []
    rig.tick()
    assert sources(rig.answer()) == [Source.POLICY]


def test_toggle_style_takes_over_until_the_next_press() -> None:
    rig = Rig(takeover='toggle', hand_back_grace_s=0.0)
    rig.live()
    rig.pad(T)
    rig.pad()
    rig.cycle(motion=(0.3, 0.0, 0.0))
    assert rig.mode() is Mode.HUMAN
    rig.pad(T)
    rig.cycle()
    assert rig.mode() is Mode.AUTONOMOUS
    assert [event for event in rig.events if event in ('takeover', 'hand_back')] == ['takeover', 'hand_back']


def test_stick_motion_alone_never_intervenes() -> None:
    rig = Rig()
    rig.live()
    for _ in range(5):
        rig.cycle(motion=(1.0, 1.0, 1.0))
    assert not any(step.intervening for step in rig.steps)
    assert rig.mode() is Mode.AUTONOMOUS


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


@pytest.mark.parametrize('silent', ['pad', 'arm', 'policy'])
def test_a_silent_source_holds_the_arm(silent: str) -> None:
    rig = Rig()
    rig.live()
    for _ in range(8):
        for name, live in (('pad', rig.pad), ('arm', rig.arm)):
            if name != silent:
                live()
        rig.tick()
        if silent != 'policy':
            rig.answer()
    assert rig.mode() is Mode.HOLD
    assert rig.status.reason == f'{silent}: silent for more than 0.5 s'


def test_a_pad_that_repeats_one_state_with_a_button_down_is_lost() -> None:
    rig = Rig(pad_frozen_s=1.0)
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


def test_a_pad_at_rest_may_repeat_itself() -> None:
    rig = Rig(pad_frozen_s=1.0)
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


def test_the_estop_latches_until_an_explicit_reset_and_then_awaits_a_press() -> None:
    rig = Rig()
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


def test_an_episode_that_ends_during_a_takeover_closes_its_span() -> None:
    rig = Rig()
    rig.live()
    rig.cycle(T)
    steps = rig.stop()
    assert rig.events[-3:] == ['takeover', 'hand_back', 'episode_stopped']
    assert [step.index for step in rig.steps] == list(range(steps))
    rig.pad(T)
    rig.start('e1')
    assert rig.mode() is not Mode.HUMAN, 'the next episode takes a new press'


def test_the_last_step_may_be_completed_after_the_episode_ended() -> None:
    rig = Rig()
    rig.live()
    rig.pad(T)
    assert rig.stop() == 2
    assert len(rig.steps) == 1
    assert sources(rig.answer() + rig.confirm()) == []
    assert rig.steps[-1].robot_action_valid
    assert np.isfinite(rig.steps[-1].sent_target).all()
    rig.start('e1')
    rig.stop()
    rig.tick()
    assert [step.index for step in rig.steps] == [0, 1, 0]


def test_stamps_within_an_episode_do_not_follow_a_wall_clock_that_jumps() -> None:
    rig = Rig()
    rig.live()
    for jump in (0.0, -50.0, 50.0):
        rig.clock.offset += jump
        rig.cycle()
    assert np.diff([step.stamp for step in rig.steps]) == pytest.approx(0.1, abs=0.01)


def test_the_gripper_stays_where_it_was_sent_until_its_buttons_move_it() -> None:
    rig = Rig(gripper_speed=5.0)
    rig.live()
    rig.tick()
    rig.answer((0.0, 0.0, 0.0, 1.0))
    rig.confirm(opening_m=0.035)
    assert of(PublishCommand, rig.pad(T))[0].action[3] == pytest.approx(0.0)
    rig.confirm(opening_m=0.035)
    gripper = [of(PublishCommand, rig.pad(T, Button.GRIPPER_CLOSE) + rig.tick())[0].action[3] for _ in range(3)]
    assert gripper == pytest.approx([-0.5, -1.0, -1.0])
    rig.pad(T)
    rig.confirm(opening_m=0.035)
    assert of(PublishCommand, rig.tick())[0].action[3] == -1.0, 'a late confirmation does not move it'


def test_mashing_the_takeover_button_does_not_drive_the_arm_faster() -> None:
    rig = Rig(hand_back_grace_s=0.0)
    rig.live()
    due = rig.clock.now + 1.0 / RATE_HZ
    begin = rig.clock.now
    while rig.clock.now < begin + 2.0:
        rig.arm()
        for held in ((T,), ()):
            if restarts_clock(rig.pad(*held, motion=(1.0, 0.0, 0.0))):
                due = rig.clock.now + 1.0 / RATE_HZ
        if rig.clock.now >= due:
            due += 1.0 / RATE_HZ
            rig.tick(0.0)
            rig.answer()
    assert sources(rig.effects).count(Source.HUMAN) <= 2.0 * RATE_HZ + 1


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


def test_episode_buttons_are_events_on_the_press_alone() -> None:
    rig = Rig()
    rig.pad()
    for button in (Button.START, Button.SUCCESS, Button.FAILURE, Button.DISCARD, Button.RETRAIN):
        rig.pad(button)
        rig.pad(button)
        rig.pad()
    assert rig.events == ['button_start', 'button_success', 'button_failure', 'button_discard', 'button_retrain']


def test_requests_that_make_no_sense_are_refused() -> None:
    rig = Rig()
    with pytest.raises(RefusedError, match='no episode runs'):
        rig.stop()
    with pytest.raises(RefusedError, match='empty'):
        rig.start('')
    rig.start('e0')
    with pytest.raises(RefusedError, match='e0 still runs'):
        rig.start('e1')


def test_no_mode_obeys_the_policy_right_after_the_human_or_an_estop() -> None:
    assert Mode.AUTONOMOUS not in TRANSITIONS[Mode.HUMAN] | TRANSITIONS[Mode.ESTOP]


def test_the_configuration_file_names_every_option_with_its_default() -> None:
    values = read_yaml_mapping(CONFIG_FOLDER / 'teleop.yaml')
    assert values == ArbiterConfig.from_mapping(values).to_mapping() == ArbiterConfig().to_mapping()
