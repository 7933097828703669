"""What must hold at the gate, whatever comes in."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mile_learner.task import TaskConfig
from mile_policy_node.errors import GateError
from mile_policy_node.gate import GateConfig, SafetyGate
from mile_policy_node.kinematics import WX250S, Kinematics, pointing_down

TASK = TaskConfig.from_yaml(Path(__file__).with_name('task.yaml'))
CONFIG = GateConfig.from_task(TASK)
WIDE = dataclasses.replace(CONFIG, workspace_low=(-0.7, -0.7, -0.5), workspace_high=(0.7, 0.7, 0.9), step_size_m=0.04, rate_hz=10.0)
KINEMATICS = Kinematics(WX250S)
START = KINEMATICS.inverse((0.25, 0.0, 0.15), (0.0, -0.17, 0.4, 0.0, 1.34, 0.0))[0]
OPENING = 0.03
UNIT = st.floats(-1.0, 1.0)
HOSTILE = st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=7)
GOOD = st.lists(UNIT, min_size=4, max_size=4)
EXTREME = st.lists(st.sampled_from([-1.0, 0.0, 1.0, 3.0, -1e30]), min_size=4, max_size=4)


def make_gate(config: GateConfig = CONFIG, target: tuple[float, float, float] = (0.25, 0.0, 0.15)) -> SafetyGate:
    gate = SafetyGate(config, KINEMATICS)
    joints, reached = KINEMATICS.inverse(target, START)
    assert reached
    gate.reset(joints, OPENING)
    return gate


class GateMachine(RuleBasedStateMachine):
    """Random, hostile callers; the same rules for a box that is easily reached and for one far beyond reach."""

    config = CONFIG

    @initialize(x=st.floats(0.15, 0.38), y=st.floats(-0.15, 0.15), z=st.floats(0.03, 0.24), opening=st.floats(0.02, 0.05))
    def start(self, x: float, y: float, z: float, opening: float) -> None:
        self.gate = SafetyGate(self.config, KINEMATICS)
        joints, reached = KINEMATICS.inverse((x, y, z), START)
        assert reached
        self.gate.reset(joints, opening)
        self.joints = self.gate.hold('').joints
        np.testing.assert_allclose(self.gate.target, [x, y, z, opening], atol=2e-5)

    @rule(action=st.one_of(GOOD, EXTREME, HOSTILE))
    def act(self, action: list[float]) -> None:
        config, before, joints_before = self.config, self.gate.target, self.joints
        result = self.gate.apply(action)
        np.testing.assert_array_equal(result.target, self.gate.target)
        self.joints = result.joints
        valid = len(action) == 4 and bool(np.isfinite(action).all())
        assert result.accepted == valid
        if not valid:
            assert result.detail
            assert not result.limited
            np.testing.assert_array_equal(result.target, before)
            np.testing.assert_array_equal(result.joints, joints_before)
            return
        asked = np.clip(action, -1.0, 1.0)
        assert (np.abs(result.target - before)[:3] <= config.step_size_m * np.abs(asked[:3]) + 1e-5).all()
        assert abs(result.target[3] - before[3]) <= config.gripper_step_m + 1e-12
        assert (np.abs(result.joints - joints_before) <= KINEMATICS.velocity / config.rate_hz + 1e-12).all()
        unchanged = np.allclose(result.target[:3], before[:3] + config.step_size_m * np.asarray(action[:3]), atol=1e-12)
        assert result.limited == bool(result.detail)
        assert unchanged or result.limited

    @rule(reason=st.text(max_size=5))
    def hold(self, reason: str) -> None:
        before = self.gate.target
        result = self.gate.hold(reason)
        assert result.accepted
        assert result.detail == reason
        np.testing.assert_array_equal(result.target, before)
        np.testing.assert_array_equal(result.joints, self.joints)

    @precondition(lambda self: hasattr(self, 'gate'))
    @invariant()
    def within_every_limit(self) -> None:
        config, target = self.config, self.gate.target
        # the start pose is measured, so it may lie on the other side of a face by the accuracy of the solver
        assert (target[:3] >= np.array(config.workspace_low) - 2e-5).all()
        assert (target[:3] <= np.array(config.workspace_high) + 2e-5).all()
        assert config.gripper_closed_m - 0.002 <= target[3] <= config.gripper_open_m + 1e-12
        assert KINEMATICS.within_limits(self.joints, config.joint_margin_rad)

    @precondition(lambda self: hasattr(self, 'gate'))
    @invariant()
    def joints_are_at_the_target_pointing_down(self) -> None:
        pose = KINEMATICS.forward(self.joints)
        np.testing.assert_allclose(pose[:3, 3], self.gate.target[:3], atol=2e-5)
        np.testing.assert_allclose(pose[:3, :3], pointing_down(), atol=1e-3)


class WideGateMachine(GateMachine):
    config = WIDE


MACHINE_SETTINGS = settings(max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck))
TestGate = GateMachine.TestCase
TestGate.settings = MACHINE_SETTINGS
TestWideGate = WideGateMachine.TestCase
TestWideGate.settings = MACHINE_SETTINGS


@given(direction=st.tuples(UNIT, UNIT, UNIT))
@settings(max_examples=60, deadline=None)
def test_driven_for_long_in_one_direction_the_target_stays_where_the_arm_can_be(direction: tuple[float, float, float]) -> None:
    gate = make_gate(WIDE)
    for _ in range(40):
        result = gate.apply([*direction, 0.0])
    assert KINEMATICS.within_limits(result.joints, WIDE.joint_margin_rad)
    np.testing.assert_allclose(KINEMATICS.forward(result.joints)[:3, 3], result.target[:3], atol=2e-5)


def test_actions_add_up_to_displacements_of_the_commanded_target() -> None:
    gate = make_gate()
    for _ in range(4):
        result = gate.apply([1.0, -0.5, 0.25, -0.4286])
    np.testing.assert_allclose(result.target[:3], [0.27, -0.01, 0.155], atol=2e-5)
    assert not result.limited


def test_the_gripper_component_is_an_absolute_opening_under_a_slew_limit() -> None:
    gate = make_gate()
    openings = [gate.apply([0.0, 0.0, 0.0, 1.0]).target[3] for _ in range(6)]
    np.testing.assert_allclose(openings, [0.035, 0.04, 0.045, 0.05, 0.05, 0.05])
    assert gate.apply([0.0, 0.0, 0.0, -1.0]).detail == 'gripper slew'


@pytest.mark.parametrize(
    ('config', 'target', 'action', 'cause'),
    [
        (CONFIG, (0.25, 0.0, 0.15), [2.0, 0.0, 0.0, -0.4286], 'range'),
        (CONFIG, (0.38, 0.0, 0.15), [1.0, 0.0, 0.0, -0.4286], 'workspace'),
        (WIDE, (0.38, 0.15, 0.24), [1.0, 1.0, 1.0, -0.4286], 'reach'),
        (dataclasses.replace(WIDE, rate_hz=500.0), (0.25, 0.0, 0.15), [0.0, 1.0, 0.0, -0.4286], 'joint velocity of waist and wrist_rotate'),
        (dataclasses.replace(WIDE, joint_margin_rad=0.09), (0.38, 0.15, 0.24), [-0.02, 0.0, 0.1, -0.4286], 'joint limit of wrist_angle'),
    ],
)
def test_a_limited_action_says_what_limited_it(
    config: GateConfig, target: tuple[float, float, float], action: list[float], cause: str
) -> None:
    result = make_gate(config, target).apply(action)
    assert result.accepted
    assert result.limited
    assert cause in result.detail


@pytest.mark.parametrize(
    ('action', 'detail'),
    [
        ([0.0, float('nan'), 0.0, 0.0], 'action is not finite: [0.0, nan, 0.0, 0.0]'),
        ([0.0, 0.0, 0.0, float('inf')], 'action is not finite: [0.0, 0.0, 0.0, inf]'),
        ([0.0, 0.0, 0.0], 'action of shape (3,), expected (4,)'),
        ([[0.0, 0.0, 0.0, 0.0]], 'action of shape (1, 4), expected (4,)'),
    ],
)
def test_a_refused_action_says_why(action: list[float], detail: str) -> None:
    result = make_gate().apply(action)
    assert not result.accepted
    assert result.detail == detail


def test_without_a_start_pose_everything_is_refused() -> None:
    gate = SafetyGate(CONFIG, KINEMATICS)
    for result in (gate.apply([0.0, 0.0, 0.0, 0.0]), gate.hold('pad lost')):
        assert not result.accepted
        assert result.detail == 'no start pose; reset the arm'
        assert np.isnan(result.target).all()


@pytest.mark.parametrize(
    ('joints', 'opening', 'message'),
    [
        ([0.0] * 5, OPENING, 'expected 6 finite angles'),
        ([0.0, float('nan'), 0.0, 0.0, 0.0, 0.0], OPENING, 'expected 6 finite angles'),
        (START, float('nan'), 'expected 6 finite angles'),
        ([0.0] * 6, OPENING, 'from pointing down'),
        ([0.0, -1.8, 1.55, 0.0, 0.8, 0.0], OPENING, 'from pointing down'),
    ],
)
def test_a_start_pose_that_cannot_be_continued_is_refused(joints: list[float], opening: float, message: str) -> None:
    gate = make_gate()
    with pytest.raises(GateError, match=message):
        gate.reset(joints, opening)
    assert not gate.ready


def test_a_start_outside_the_box_returns_one_step_at_a_time() -> None:
    gate = make_gate(CONFIG, (0.25, 0.0, 0.26))
    heights = [gate.apply([0.0, 0.0, 1.0, -0.4286]).target[2] for _ in range(6)]
    np.testing.assert_allclose(heights, [0.255, 0.25, 0.245, 0.24, 0.24, 0.24], atol=2e-5)


def test_a_tilted_start_is_straightened_without_moving_the_target() -> None:
    gate = SafetyGate(CONFIG, KINEMATICS)
    tilted = START + np.array([0.02, -0.03, 0.02, 0.01, 0.05, -0.04])
    gate.reset(tilted, OPENING)
    np.testing.assert_allclose(gate.target[:3], KINEMATICS.forward(tilted)[:3, 3], atol=1e-12)
    commanded = gate.hold('').joints
    assert np.abs(commanded - tilted).max() <= CONFIG.start_tolerance_rad
    np.testing.assert_allclose(KINEMATICS.forward(commanded)[:3, :3], pointing_down(), atol=1e-3)
