"""The arm behind its gate: order of commands, watchdogs, resets; the motors are a fake, the gate and the kinematics are real."""

from __future__ import annotations

import asyncio
import dataclasses

import numpy as np
import pytest

from mile_learner.config import ConfigError
from mile_learner.step import Source
from mile_policy_node.arm_backend import ArmObservation, JointTarget, make_backend, read_joint_state
from mile_policy_node.errors import BackendError
from mile_policy_node.kinematics import WX250S

from .arm_rig import CONFIG, KINEMATICS, START, TASK, Rig


def test_a_command_goes_to_the_motors_and_is_confirmed() -> None:
    rig = Rig()
    outcome = rig.command(0)
    assert outcome.accepted
    np.testing.assert_allclose(outcome.sent_target, [0.255, 0.0, 0.15, 0.025], atol=2e-5)
    np.testing.assert_allclose(KINEMATICS.forward(rig.motors.sent[0].joints)[:3, 3], [0.255, 0.0, 0.15], atol=2e-5)
    assert rig.motors.sent[0].opening == pytest.approx(0.025)


def test_what_the_backend_changed_is_what_is_reported() -> None:
    rig = Rig()
    rig.motors.altered = JointTarget(START, 0.04)
    np.testing.assert_allclose(rig.command(0).sent_target, [0.25, 0.0, 0.15, 0.04], atol=2e-5)


@pytest.mark.parametrize(
    ('index', 'stamp', 'episode', 'accepted'),
    [
        (6, 106.0, 'a', True),
        (5, 106.0, 'a', False),
        (4, 106.0, 'a', False),
        (6, 105.0, 'a', False),
        (6, 104.0, 'a', False),
        (0, 106.0, 'b', True),
        (0, 104.0, 'b', False),
    ],
)
def test_only_a_later_command_follows_an_executed_one(index: int, stamp: float, episode: str, *, accepted: bool) -> None:
    rig = Rig()
    assert rig.command(5).accepted
    before = rig.gate.target
    outcome = rig.command(index, stamp=stamp, episode=episode)
    assert outcome.accepted == accepted
    assert len(rig.motors.sent) == 1 + accepted
    assert accepted or (outcome.detail and (rig.gate.target == before).all())


def test_a_refused_command_does_not_count_as_executed() -> None:
    rig = Rig()
    assert not rig.command(5, action=[np.nan] * 4).accepted
    assert rig.command(5).accepted


def test_a_hold_is_never_too_late_and_moves_nothing() -> None:
    rig = Rig()
    target = rig.command(5).sent_target
    outcome = rig.command(2, source=Source.HOLD)
    assert outcome.accepted
    np.testing.assert_array_equal(outcome.sent_target, target)
    assert len(rig.motors.sent) == 1
    assert rig.motors.holds == 1


def test_a_command_that_waited_while_the_arm_hung_is_refused_whatever_the_wall_clock_says() -> None:
    rig = Rig()
    for index in range(3):
        assert rig.command(index, stamp=5000.0 + rig.now).accepted, 'another clock, but in time'
        rig.now += 0.05
    waiting = 5000.0 + rig.now
    sent = len(rig.motors.sent)
    rig.now += 0.6
    rig.measure()
    assert rig.command(3, stamp=waiting).detail == 'command 3 came 0.60 s late, limit 0.5 s'
    assert rig.command(4, stamp=waiting + 0.05, source=Source.HOLD).accepted
    assert len(rig.motors.sent) == sent
    assert rig.command(5, stamp=waiting + 0.6).accepted
    rig.now += 5.0
    rig.measure()
    assert rig.command(0, stamp=waiting + 1.0, episode='b').accepted, 'the next episode may have set its clock anew'


def test_a_command_of_an_unknown_source_is_refused() -> None:
    assert Rig().command(0, source=9).detail == 'source 9 is unknown'


@pytest.mark.parametrize('age', [0.6, -0.6])
def test_stale_joint_states_refuse_every_command(age: float) -> None:
    rig = Rig()
    rig.now += age
    for source in (Source.POLICY, Source.HUMAN, Source.HOLD):
        outcome = rig.command(0, source=source)
        assert not outcome.accepted
        assert outcome.detail == f'joint states are {age:.2f} s old, limit 0.5 s'
    assert not rig.motors.sent
    status = rig.arm.status()
    assert status is not None
    assert not status.ready
    assert 'joint states' in status.fault


def test_when_joint_states_return_the_arm_continues_from_its_target() -> None:
    rig = Rig()
    target = rig.command(0).sent_target
    rig.now = 105.0
    assert not rig.command(1).accepted
    rig.motors.observation = ArmObservation(105.0, rig.motors.sent[0].joints, 0.025)
    rig.arm.watch()
    np.testing.assert_allclose(rig.command(2, stamp=105.0).sent_target - target, [0.005, 0.0, 0.0, -0.003], atol=2e-5)


def test_silence_holds_once() -> None:
    rig = Rig()
    rig.command(0)
    for _ in range(20):
        rig.now += 0.1
        rig.arm.watch()
    assert rig.motors.holds == 1


def silent(rig: Rig, seconds: float) -> list[str]:
    """Watch the arm through a silence; what it says of its own motion."""
    said = []
    for _ in range(round(seconds * 10)):
        rig.now += 0.1
        rig.measure()
        said.append(rig.arm.watch())
    return said


def test_in_a_long_silence_within_an_episode_the_arm_rises_step_by_step_and_stops_for_any_command() -> None:
    rig = Rig(retract_after_s=3.0)
    rig.arm.expect_commands(True)
    rig.command(0)
    assert not any(silent(rig, 2.9))
    assert len(rig.motors.sent) == 1, 'the first tier: it holds'
    start = rig.gate.target
    assert all('the arm retracts' in text for text in silent(rig, 1.0)[1:])
    heights = [KINEMATICS.forward(target.joints)[2, 3] for target in rig.motors.sent]
    assert 0 < max(np.diff(heights)) <= TASK.step_size_m + 1e-6, 'I3'
    np.testing.assert_allclose(rig.gate.target[[0, 1, 3]], start[[0, 1, 3]], atol=1e-4)
    sent = len(rig.motors.sent)
    rig.command(9, source=Source.HOLD)
    assert not any(silent(rig, 2.9))
    assert len(rig.motors.sent) == sent
    said = silent(rig, 60.0)
    assert rig.gate.target[2] == pytest.approx(TASK.workspace_high[2])
    assert said[-1] == '', 'arrived'


def test_the_time_between_episodes_is_no_silence() -> None:
    rig = Rig(retract_after_s=3.0)
    rig.arm.expect_commands(True)
    rig.command(0)
    rig.arm.expect_commands(False)
    silent(rig, 60.0)
    rig.arm.expect_commands(True)
    assert not any(silent(rig, 2.9))
    assert len(rig.motors.sent) == 1
    assert any(silent(rig, 1.0)), 'but an episode without a single command is'


def test_a_refused_target_does_not_forget_what_the_gripper_was_told() -> None:
    rig = Rig()
    closed = np.array([0.0, 0.0, 0.0, -1.0])
    for index in range(3):
        rig.command(index, action=closed)
    told = rig.gate.target[3]
    assert told < 0.025 < rig.motors.observation.opening, 'the fingers are around something'
    rig.motors.broken = True
    assert not rig.command(3, action=closed).accepted
    rig.motors.broken = False
    rig.arm.watch()
    assert rig.gate.target[3] == pytest.approx(told)
    asyncio.run(rig.arm.torque(False))
    rig.motors.fault = ''
    rig.arm.watch()
    assert rig.gate.target[3] == pytest.approx(rig.motors.observation.opening), 'without torque they hold nothing'


@pytest.mark.parametrize(('patience', 'expected'), [(0.0, True), (3.0, False)])
def test_without_the_option_an_episode_or_after_an_e_stop_silence_moves_nothing(patience: float, expected: bool) -> None:
    rig = Rig(retract_after_s=patience)
    rig.arm.expect_commands(expected)
    rig.command(0)
    assert not any(silent(rig, 30.0))
    assert len(rig.motors.sent) == 1


def test_a_fault_of_the_arm_refuses_and_is_named() -> None:
    rig = Rig()
    rig.motors.fault = 'elbow: overload'
    assert rig.command(0).detail == 'elbow: overload'
    rig.motors.fault = ''
    rig.arm.watch()
    assert rig.command(1).accepted


@pytest.mark.parametrize('commanded', [False, True], ids=['nobody commands', 'somebody does'])
def test_where_a_faulty_arm_was_sent_is_forgotten_but_for_its_grip(commanded: bool) -> None:
    rig = Rig()
    for index in range(5):
        rig.command(index)
    grip = rig.gate.target[3]
    rig.motors.fault = 'elbow: does not answer'
    if commanded:
        rig.command(5)
    else:
        rig.arm.watch()
    assert not rig.gate.ready
    rig.motors.fault = ''
    rig.arm.watch()
    status = rig.arm.status()
    assert status is not None
    np.testing.assert_allclose(status.commanded_target[:3], status.pose[:3, 3], atol=1e-6, err_msg='it goes on from where it is')
    assert status.commanded_target[3] == grip


def test_before_the_first_measurement_nothing_is_accepted() -> None:
    rig = Rig()
    rig.gate.clear()
    rig.motors.observation = None
    rig.arm.watch()
    assert rig.command(0).detail == 'no joint states yet'
    assert rig.arm.status() is None


def test_a_pose_that_does_not_point_down_is_named_until_the_arm_is_reset() -> None:
    rig = Rig()
    rig.gate.clear()
    rig.motors.observation = ArmObservation(100.0, np.zeros(6), 0.03)
    rig.arm.watch()
    assert 'from pointing down' in rig.command(0).detail
    rig.motors.observation = ArmObservation(100.0, START, 0.03)
    assert asyncio.run(rig.arm.reset(1)) == ''
    assert rig.command(0).accepted


@pytest.mark.parametrize(('seed', 'opening'), [(0, 0.03), (1, 0.022)])
def test_after_a_reset_the_target_is_the_measured_pose_and_the_commanded_opening(seed: int, opening: float) -> None:
    rig = Rig()
    rig.command(5)
    assert asyncio.run(rig.arm.reset(seed)) == ''
    np.testing.assert_allclose(rig.gate.target, [0.25, 0.0, 0.15, opening], atol=2e-5)
    assert rig.command(0, stamp=50.0).accepted


def test_during_a_reset_nothing_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()

    async def interfere() -> None:
        rig.arm.watch()
        assert rig.command(0).detail == 'the arm is being reset'
        assert await rig.arm.reset(2) == 'the arm is being reset already'

    monkeypatch.setattr(rig.motors, 'during_reset', interfere)
    assert asyncio.run(rig.arm.reset(1)) == ''
    assert rig.command(0).accepted
    assert len(rig.motors.sent) == 1


def test_a_failed_reset_leaves_an_arm_that_accepts_nothing() -> None:
    rig = Rig()
    rig.motors.broken = True
    assert asyncio.run(rig.arm.reset(1)) == 'the bus is gone'
    assert not rig.command(0).accepted


def test_a_target_that_was_not_sent_is_not_integrated() -> None:
    rig = Rig()
    rig.motors.broken = True
    assert rig.command(0).detail == 'the bus is gone'
    rig.motors.broken = False
    rig.arm.watch()
    np.testing.assert_allclose(rig.command(1).sent_target[:3], [0.255, 0.0, 0.15], atol=2e-5)


def test_cut_torque_refuses_and_the_arm_is_taken_up_where_it_fell() -> None:
    rig = Rig()
    rig.command(0)
    asyncio.run(rig.arm.torque(enable=False))
    rig.arm.watch()
    assert rig.command(1).detail == 'torque is off'
    rig.motors.observation = ArmObservation(100.0, KINEMATICS.inverse((0.25, 0.0, 0.1), START)[0], 0.03)
    asyncio.run(rig.arm.torque(enable=True))
    rig.arm.watch()
    np.testing.assert_allclose(rig.command(2).sent_target[:3], [0.255, 0.0, 0.1], atol=2e-5)


def test_an_unknown_backend_is_refused_with_the_valid_ones() -> None:
    with pytest.raises(ConfigError, match="got 'xz', expected one of 'sim'"):
        make_backend(None, WX250S, TASK, dataclasses.replace(CONFIG, backend='xz'), lambda: None)


def test_a_joint_state_is_read_by_name() -> None:
    names = [*reversed(WX250S.joint_names), 'gripper', 'left_finger', 'right_finger']
    observation = read_joint_state(WX250S, 1.5, names, [5.0, 4.0, 3.0, 2.0, 1.0, 0.0, 9.0, 0.026, -0.026])
    np.testing.assert_array_equal(observation.joints, np.arange(6.0))
    assert observation.opening == pytest.approx(0.030)
    assert observation.stamp == 1.5


@pytest.mark.parametrize(
    ('names', 'positions', 'message'),
    [
        (WX250S.joint_names, [0.0] * 6, 'left_finger, right_finger missing'),
        ((*WX250S.joint_names, 'left_finger', 'right_finger'), [0.0] * 7, 'right_finger missing'),
        ((*WX250S.joint_names, 'left_finger', 'right_finger'), [float('nan')] * 8, 'not finite'),
    ],
)
def test_an_incomplete_joint_state_is_refused(names: list[str], positions: list[float], message: str) -> None:
    with pytest.raises(BackendError, match=message):
        read_joint_state(WX250S, 0.0, names, positions)
