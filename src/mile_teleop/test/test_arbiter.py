"""The arbiter, one promise at a time."""

from __future__ import annotations

import numpy as np
import pytest

from mile_learner.config import read_yaml_mapping
from mile_learner.step import Gate, Mode, Source
from mile_teleop.arbiter_config import ArbiterConfig
from mile_teleop.effects import PublishCommand, PublishEvent, PublishTick
from mile_teleop.modes import TRANSITIONS
from mile_teleop.pad import Button

from .rig import CONFIG_FOLDER, RATE_HZ, Rig, of, restarts_clock, sources

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


@pytest.mark.parametrize(('style', 'expected'), [('hold', Mode.HUMAN), ('toggle', Mode.AUTONOMOUS)])
def test_what_was_pressed_between_episodes_counts_only_while_it_is_held(style: str, expected: Mode) -> None:
    rig = Rig(takeover=style, hand_back_grace_s=0.0)
    rig.live()
    rig.stop()
    rig.pad(T)
    if style == 'toggle':
        rig.pad()
    rig.start('e1')
    rig.cycle(*[T] * (style == 'hold'))
    assert rig.mode() is expected


def test_stick_motion_alone_never_intervenes() -> None:
    rig = Rig()
    rig.live()
    for _ in range(5):
        rig.cycle(motion=(1.0, 1.0, 1.0))
    assert not any(step.intervening for step in rig.steps)
    assert rig.mode() is Mode.AUTONOMOUS


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
    rig.tick(1.1)
    assert [step.index for step in rig.steps] == [0, 1, 0]


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


def test_episode_buttons_are_events_on_the_press_alone() -> None:
    rig = Rig()
    rig.pad()
    for button in (Button.START, Button.SUCCESS, Button.FAILURE, Button.DISCARD, Button.RETRAIN):
        rig.pad(button)
        rig.pad(button)
        rig.pad()
    assert rig.events == ['button_start', 'button_success', 'button_failure', 'button_discard', 'button_retrain']


def test_no_mode_obeys_the_policy_right_after_the_human_or_an_estop() -> None:
    assert Mode.AUTONOMOUS not in TRANSITIONS[Mode.HUMAN] | TRANSITIONS[Mode.ESTOP]


def test_the_configuration_file_names_every_option_with_its_default() -> None:
    values = read_yaml_mapping(CONFIG_FOLDER / 'teleop.yaml')
    assert values == ArbiterConfig.from_mapping(values).to_mapping() == ArbiterConfig().to_mapping()
