"""The gripper's servo against a simple gripper, and against any that one can think of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mile_learner.config import ConfigError
from mile_policy_node.gripper_servo import GripperServo
from mile_policy_node.xs_config import XsConfig

CONFIG = XsConfig()
PERIOD_S = 1 / 30
SPEED_PER_PWM = 0.1 / 250
OPENINGS = st.floats(0.008, 0.052)


def drive(
    servo: GripperServo, opening: float, seconds: float, *, blocked_at: float = 0.0, start_s: float = 0.0
) -> tuple[float, list[float]]:
    """A gripper whose speed is its PWM, measured one period late; returns where it ends, and every PWM."""
    pwms, measured = [], opening
    for tick in range(round(seconds / PERIOD_S)):
        pwm = servo.step(start_s + tick * PERIOD_S, measured)
        measured = opening
        opening = max(blocked_at, opening + pwm * SPEED_PER_PWM * PERIOD_S)
        pwms.append(pwm)
    return opening, pwms


def test_without_a_target_it_rests() -> None:
    assert GripperServo(CONFIG).step(0.0, 0.03) == 0.0


@given(OPENINGS, OPENINGS)
def test_it_arrives_and_rests_whichever_way_it_goes(start: float, target: float) -> None:
    servo = GripperServo(CONFIG)
    servo.target = target
    end, pwms = drive(servo, start, 3.0)
    assert end == pytest.approx(target, abs=3 * CONFIG.gripper_tolerance_m)
    assert pwms[-1] == 0.0
    assert servo.resting
    assert not servo.blocked


@given(st.lists(st.tuples(OPENINGS, OPENINGS, st.floats(0.01, 0.5)), min_size=1, max_size=60))
def test_it_never_pushes_beyond_its_limit_nor_away_from_the_target(course: list[tuple[float, float, float]]) -> None:
    servo, now = GripperServo(CONFIG), 0.0
    for target, measured, wait_s in course:
        now += wait_s
        servo.target = target
        pwm = servo.step(now, measured)
        assert abs(pwm) <= CONFIG.gripper_pwm_max
        if abs(pwm) > CONFIG.gripper_pwm_hold:
            assert pwm * (target - measured) > 0, 'it is driven towards the target'


def test_what_it_holds_is_squeezed_gently_and_followed_when_it_slips() -> None:
    servo = GripperServo(CONFIG)
    servo.target = 0.022
    opening, pwms = drive(servo, 0.05, 3.0, blocked_at=0.03)
    assert opening == 0.03
    assert servo.blocked
    assert servo.resting
    assert pwms[-1] == -CONFIG.gripper_pwm_hold
    strong = sum(abs(pwm) > CONFIG.gripper_pwm_hold for pwm in pwms) * PERIOD_S
    assert strong < 1.0, 'it does not push hard for longer than it takes to know'
    opening, _ = drive(servo, opening, 2.0, start_s=3.0)
    assert opening == pytest.approx(0.022, abs=3 * CONFIG.gripper_tolerance_m)


def test_a_blocked_gripper_opens_when_told_to() -> None:
    servo = GripperServo(CONFIG)
    servo.target = 0.022
    opening, _ = drive(servo, 0.05, 2.0, blocked_at=0.03)
    servo.target = 0.05
    opening, pwms = drive(servo, opening, 2.0, blocked_at=0.03, start_s=2.0)
    assert opening == pytest.approx(0.05, abs=3 * CONFIG.gripper_tolerance_m)
    assert min(pwms) >= 0.0


def test_small_steps_of_the_target_do_not_make_a_blocked_gripper_push_again() -> None:
    servo = GripperServo(CONFIG)
    servo.target = 0.025
    opening, _ = drive(servo, 0.05, 2.0, blocked_at=0.03)
    servo.target = 0.022
    _, pwms = drive(servo, opening, 1.0, blocked_at=0.03, start_s=2.0)
    assert set(pwms) == {-CONFIG.gripper_pwm_hold}


@pytest.mark.parametrize(
    ('values', 'expected'),
    [
        ({'gripper_pwm_hold': 300.0, 'gripper_pwm_max': 250.0}, 'expected both at most gripper_pwm_max, 250'),
        ({'profile_acceleration_periods': 0.9}, 'expected at most half of profile_periods, 0.75'),
        ({'following_error_rad': float('nan')}, 'following_error_rad: got nan, expected a finite number'),
    ],
)
def test_values_that_cannot_be_are_refused(values: dict[str, float], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        XsConfig(**values)


def test_held_it_stops_where_it_is_and_what_it_squeezes_stays_squeezed() -> None:
    servo = GripperServo(CONFIG)
    servo.target = 0.022
    opening, _ = drive(servo, 0.05, 0.2)
    servo.hold(opening)
    end, pwms = drive(servo, opening, 2.0, start_s=0.2)
    assert end == pytest.approx(opening, abs=CONFIG.gripper_pwm_max * SPEED_PER_PWM * PERIOD_S + 1e-9), (
        'but for the period that it is measured late'
    )
    assert not any(pwms[1:])
    servo.target = 0.022
    opening, _ = drive(servo, end, 2.0, blocked_at=0.03, start_s=2.2)
    servo.target = 0.05
    servo.hold(opening)
    _, pwms = drive(servo, opening, 1.0, blocked_at=0.03, start_s=4.2)
    assert set(pwms) == {-CONFIG.gripper_pwm_hold}, 'an order to open that came just before does not count any more'


def test_held_without_a_target_it_goes_on_resting() -> None:
    servo = GripperServo(CONFIG)
    servo.hold(0.03)
    assert servo.target is None
