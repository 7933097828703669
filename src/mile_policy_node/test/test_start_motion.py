"""The way to the start pose, what servos say of themselves, and what a robot must be to be driven."""

from __future__ import annotations

import types
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mile_learner.config import ConfigError
from mile_policy_node.errors import BackendError
from mile_policy_node.kinematics import WX250, WX250S, ArmModel, Kinematics
from mile_policy_node.servo_faults import HARDWARE_ERROR_STATUS, PROFILE_LOST, PROFILE_VELOCITY, SILENT, TORQUE_ENABLE, describe
from mile_policy_node.start_motion import start_joints, way_to_start

START = np.array([0.27, 0.0, 0.205])
SLEEP = {'shoulder': -1.80, 'elbow': 1.55, 'wrist_angle': 0.8}
RULES = {'change': 0.05, 'floor_m': 0.03, 'level_rad': 0.15}
MODELS = pytest.mark.parametrize('model', [WX250S, WX250], ids=lambda model: model.name)


def checked(kinematics: Kinematics, joints: np.ndarray, targets: list[np.ndarray]) -> np.ndarray:
    """End-effector positions of a way, shape (n, 3), after checking what holds on every way."""
    for before, after in pairwise([joints, *targets]):
        assert np.abs(after - before).max() <= RULES['change'] + 1e-9
        assert kinematics.within_limits(after)
    np.testing.assert_allclose(kinematics.forward(targets[-1])[:3, 3], START, atol=1e-4)
    return np.array([kinematics.forward(target)[:3, 3] for target in targets])


@MODELS
def test_from_sleep_it_unfolds_without_dipping(model: ArmModel) -> None:
    kinematics = Kinematics(model)
    joints = np.array([SLEEP.get(name, 0.0) for name in model.joint_names])
    way = checked(kinematics, joints, way_to_start(kinematics, joints, START, **RULES))
    assert way[:, 2].min() >= RULES['floor_m'] - 0.01


@given(st.tuples(st.floats(0.2, 0.34), st.floats(-0.12, 0.12), st.floats(0.05, 0.22)))
def test_an_arm_that_points_down_rises_straight_up_first(here: tuple[float, float, float]) -> None:
    kinematics = Kinematics(WX250S)
    joints = start_joints(kinematics, here)
    way = checked(kinematics, joints, way_to_start(kinematics, joints, START, **RULES))
    low = way[way[:, 2] < START[2] - 0.005]
    assert np.abs(low[:, :2] - here[:2]).max(initial=0.0) < 0.002


@MODELS
def test_a_way_that_would_dip_is_refused(model: ArmModel) -> None:
    kinematics = Kinematics(model)
    joints = np.array([{'shoulder': 0.9, 'elbow': -1.5, 'wrist_angle': -0.5}.get(name, 0.0) for name in model.joint_names])
    with pytest.raises(BackendError, match=r'the way to the start pose would dip to .* move the arm up by hand'):
        way_to_start(kinematics, joints, START, change=0.05, floor_m=0.3, level_rad=0.15)


def test_a_start_beyond_reach_is_refused() -> None:
    with pytest.raises(BackendError, match=r'start_position_m: got \[0.6, 0.0, 0.2\], which wx250s cannot reach pointing down'):
        start_joints(Kinematics(WX250S), (0.6, 0.0, 0.2))


@pytest.mark.parametrize(
    ('register', 'values', 'expected'),
    [
        (HARDWARE_ERROR_STATUS, [0, 0, 0], ''),
        (HARDWARE_ERROR_STATUS, [0, 0b100100, 0], 'shoulder: overheated, overload; remove the cause, support the arm, reboot the motor'),
        (HARDWARE_ERROR_STATUS, [0x40, 0, 0], 'waist: hardware error 0x40; remove the cause, support the arm, reboot the motor'),
        (HARDWARE_ERROR_STATUS, [0], f'shoulder: {SILENT}'),
        (TORQUE_ENABLE, [1, 1, 1], ''),
        (TORQUE_ENABLE, [1, 0, 0], 'shoulder and elbow: torque is off'),
        (PROFILE_VELOCITY, [150, 150, 150], ''),
        (
            PROFILE_VELOCITY,
            [150, 2000, 150],
            f'the servo profile is 2000 ms instead of 150; {PROFILE_LOST}',
        ),
    ],
)
def test_registers_are_put_into_words(register: str, values: list[int], expected: str) -> None:
    assert describe(register, ('waist', 'shoulder', 'elbow'), values, 150) == expected


@pytest.fixture
def startup(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3] / 'fakes' / 'python'))
    from mile_policy_node import xs_startup

    return xs_startup


def info(**changes: Any) -> types.SimpleNamespace:
    """A RobotInfo of group arm as a wx250s reports it, its URDF's full turns a little short."""
    values: dict[str, Any] = {
        'joint_names': list(WX250S.joint_names),
        'mode': 'position',
        'profile_type': 'time',
        'joint_lower_limits': [low + 1e-5 for low in WX250S.joint_lower],
        'joint_upper_limits': [high - 1e-5 for high in WX250S.joint_upper],
        'joint_velocity_limits': list(WX250S.joint_velocity),
    }
    return types.SimpleNamespace(**values | changes)


@pytest.mark.parametrize(
    ('changes', 'expected'),
    [
        ({'joint_names': list(WX250.joint_names)}, 'got joints waist, .*, expected those of wx250s'),
        ({'mode': 'velocity'}, "group arm is in mode 'velocity' with profile type 'time', expected 'position' and 'time'"),
        ({'profile_type': 'velocity'}, "expected 'position' and 'time'; start it with the vendor's own modes.yaml"),
        ({'joint_lower_limits': []}, 'knows no joint limits'),
        ({'joint_velocity_limits': [1.0] * 6}, 'waist allows .* at 1.00 rad/s, the model .* give the stricter limits by model_file'),
        ({'joint_upper_limits': [3.14, 1.0, 1.6, 3.14, 2.1, 3.14]}, 'shoulder allows -1.885 to 1.000 rad'),
    ],
)
def test_a_robot_that_is_not_the_model_is_refused(startup: Any, changes: dict[str, Any], expected: str) -> None:
    startup.check_arm(WX250S, info())
    with pytest.raises(ConfigError, match=expected):
        startup.check_arm(WX250S, info(**changes))


def test_a_gripper_must_be_driven_by_pwm(startup: Any) -> None:
    finger = {'joint_lower_limits': [0.015], 'joint_upper_limits': [0.037]}
    assert startup.check_gripper(WX250S, types.SimpleNamespace(mode='pwm', **finger)) == pytest.approx((0.008, 0.052))
    with pytest.raises(ConfigError, match="the gripper is in mode 'current_based_position', expected 'pwm'"):
        startup.check_gripper(WX250S, types.SimpleNamespace(mode='current_based_position', **finger))
