"""The kinematics against the Modern Robotics library, the arm's URDF chain, and themselves."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import modern_robotics
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mile_learner.config import ConfigError
from mile_learner.task import TaskConfig
from mile_policy_node.gate import GateConfig, SafetyGate
from mile_policy_node.kinematics import WX250, WX250S, ArmModel, Kinematics, pointing_down

# As the manufacturer publishes them for use with modern_robotics.
M = np.array([[1.0, 0.0, 0.0, 0.458325], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.36065], [0.0, 0.0, 0.0, 1.0]])
SLIST = np.array(
    [
        [0.0, 0.0, 1.0, 0.0, 0.0, 0.0],
        [0.0, 1.0, 0.0, -0.11065, 0.0, 0.0],
        [0.0, 1.0, 0.0, -0.36065, 0.0, 0.04975],
        [1.0, 0.0, 0.0, 0.0, 0.36065, 0.0],
        [0.0, 1.0, 0.0, -0.36065, 0.0, 0.29975],
        [1.0, 0.0, 0.0, 0.0, 0.36065, 0.0],
    ]
).T
# As its URDF states them: offset to the next joint [m] and that joint's axis.
URDF = (
    ((0.0, 0.0, 0.072), 'z'),
    ((0.0, 0.0, 0.03865), 'y'),
    ((0.04975, 0.0, 0.25), 'y'),
    ((0.175, 0.0, 0.0), 'x'),
    ((0.075, 0.0, 0.0), 'y'),
    ((0.065, 0.0, 0.0), 'x'),
)
URDF_END_EFFECTOR = (0.0936, 0.0, 0.0)
START = np.array([0.0, -0.17, 0.4, 0.0, 1.34, 0.0])
TASK = TaskConfig.from_yaml(Path(__file__).parents[3] / 'config' / 'task_block_insertion.yaml')


@pytest.fixture(scope='module')
def kinematics() -> Kinematics:
    return Kinematics(WX250S)


def random_joints(kinematics: Kinematics, count: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(kinematics.lower, kinematics.upper, (count, 6))


def test_forward_agrees_with_modern_robotics(kinematics: Kinematics) -> None:
    for joints in random_joints(kinematics, 10_000):
        np.testing.assert_allclose(kinematics.forward(joints), modern_robotics.FKinSpace(M, SLIST, joints), atol=1e-9)


def seeded_poses(kinematics: Kinematics, count: int) -> list[tuple[np.ndarray, float, np.ndarray]]:
    """Reachable positions with a yaw, and seeds up to 0.1 rad from joints that are there."""
    rng, poses = np.random.default_rng(2), []
    middle, _ = kinematics.inverse(
        (0.27, 0.0, 0.16), [{'elbow': 0.4, 'wrist_angle': 1.2}.get(name, 0.0) for name in kinematics.model.joint_names]
    )
    while len(poses) < count:
        target, yaw = rng.uniform((0.12, -0.25, 0.02), (0.42, 0.25, 0.30)), rng.uniform(-0.8, 0.8)
        joints, reached = kinematics.inverse(target, middle, yaw)
        if reached and kinematics.within_limits(joints, 0.1):
            poses.append((target, yaw, joints + rng.uniform(-0.1, 0.1, len(joints))))
    return poses


@pytest.mark.parametrize('model', [WX250S, WX250], ids=lambda model: model.name)
def test_inverse_agrees_with_modern_robotics(model: ArmModel) -> None:
    kinematics, axes = Kinematics(model), np.array(model.screw_axes).T
    for index, (target, yaw, seed) in enumerate(seeded_poses(kinematics, 5_000)):
        joints, reached = kinematics.inverse(target, seed, yaw)
        assert reached, (target, yaw, seed)
        pose = modern_robotics.FKinSpace(M, axes, joints)
        np.testing.assert_allclose(pose[:3, 3], target, atol=2e-5)
        np.testing.assert_allclose(pose[:3, :3], pointing_down(yaw), atol=2e-4)
        if index % 50 == 0:
            wanted = np.block([[pointing_down(yaw), target[:, None]], [np.zeros(3), 1.0]])
            theirs, converged = modern_robotics.IKinSpace(axes, M, wanted, seed, 1e-5, 1e-6)
            assert converged
            np.testing.assert_allclose(joints, theirs, atol=1e-3)


def test_forward_of_the_five_joints_agrees_with_modern_robotics() -> None:
    kinematics, axes = Kinematics(WX250), np.delete(SLIST, 3, axis=1)
    for joints in np.random.default_rng(0).uniform(kinematics.lower, kinematics.upper, (1000, 5)):
        np.testing.assert_allclose(kinematics.forward(joints), modern_robotics.FKinSpace(M, axes, joints), atol=1e-9)


@pytest.mark.parametrize('direction', [(1, 0, 0), (-1, 0, 0), (0, 0, 1), (0, 1, 0), (-1, 0.2, 0), (-1, 0, 1)])
@pytest.mark.parametrize('model', [WX250S, WX250], ids=lambda model: model.name)
def test_towards_a_singularity_the_arm_stops_at_the_last_reachable_target_and_says_so(
    model: ArmModel, direction: tuple[float, ...]
) -> None:
    """Outwards the elbow stretches; inwards the end effector comes over the waist's axis."""
    kinematics = Kinematics(model)
    task = dataclasses.replace(TASK, workspace_low=(-1.0, -1.0, -1.0), workspace_high=(1.0, 1.0, 1.0))
    gate = SafetyGate(GateConfig.from_task(task), kinematics)
    start, _ = kinematics.inverse((0.27, 0.0, 0.16), [{'elbow': 0.4, 'wrist_angle': 1.2}.get(name, 0.0) for name in model.joint_names])
    gate.reset(start, 0.03)
    joints = start
    for _ in range(150):
        result = gate.apply([*direction, 0.0])
        assert result.accepted
        assert np.abs(result.joints - joints).max() <= np.pi / task.rate_hz
        np.testing.assert_allclose(kinematics.forward(result.joints)[:3, 3], result.target[:3], atol=2e-5)
        joints = result.joints
    stopped = gate.apply([*direction, 0.0])
    assert stopped.limited
    assert 'reach' in stopped.detail or 'joint' in stopped.detail
    np.testing.assert_array_equal(stopped.target[:3], gate.target[:3])
    np.testing.assert_allclose(stopped.joints, joints, atol=2e-3)
    back = gate.apply([*(-np.array(direction)), 0.0])
    assert np.linalg.norm(back.target[:3] - stopped.target[:3]) > 0.2 * task.step_size_m, 'the way back is open'


def test_forward_agrees_with_the_urdf_chain(kinematics: Kinematics) -> None:
    for joints in random_joints(kinematics, 1000):
        position, rotation = np.zeros(3), Rotation.identity()
        for (offset, axis), angle in zip(URDF, joints, strict=True):
            position = position + rotation.apply(offset)
            rotation = rotation * Rotation.from_euler(axis, angle)
        position = position + rotation.apply(URDF_END_EFFECTOR)
        pose = kinematics.forward(joints)
        np.testing.assert_allclose(pose[:3, 3], position, atol=1e-4)
        np.testing.assert_allclose(pose[:3, :3], rotation.as_matrix(), atol=1e-9)


@pytest.mark.parametrize('yaw', [0.0, 0.7, -1.2])
def test_pointing_down_is_a_rotation_whose_x_axis_is_down(yaw: float) -> None:
    rotation = pointing_down(yaw)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1.0)
    np.testing.assert_allclose(rotation[:, 0], [0.0, 0.0, -1.0], atol=1e-12)
    np.testing.assert_allclose(rotation[:, 1], [-np.sin(yaw), np.cos(yaw), 0.0], atol=1e-12)


def test_the_whole_workspace_box_is_reached_from_one_seed_with_limits_to_spare(kinematics: Kinematics) -> None:
    axes = [np.linspace(low, high, 7) for low, high in zip(TASK.workspace_low, TASK.workspace_high, strict=True)]
    for target in itertools.product(*axes):
        joints, reached = kinematics.inverse(target, START)
        assert reached, target
        assert kinematics.within_limits(joints, margin=np.deg2rad(2.0)), target
        pose = kinematics.forward(joints)
        np.testing.assert_allclose(pose[:3, 3], target, atol=1e-4)
        np.testing.assert_allclose(pose[:3, :3], pointing_down(), atol=1e-3)


def test_a_walk_of_small_steps_stays_on_one_branch(kinematics: Kinematics) -> None:
    rng = np.random.default_rng(1)
    low, high = np.array(TASK.workspace_low), np.array(TASK.workspace_high)
    target, joints = (low + high) / 2, START
    joints, reached = kinematics.inverse(target, joints)
    assert reached
    for _ in range(2000):
        target = np.clip(target + TASK.step_size_m * rng.choice([-1.0, 0.0, 1.0], 3), low, high)
        following, reached = kinematics.inverse(target, joints)
        assert reached
        assert np.abs(following - joints).max() < 0.15
        joints = following


@pytest.mark.parametrize('yaw', [-0.5, 0.0, 0.5])
def test_inverse_holds_the_yaw(kinematics: Kinematics, yaw: float) -> None:
    joints, reached = kinematics.inverse((0.25, 0.05, 0.15), START, yaw)
    assert reached
    np.testing.assert_allclose(kinematics.forward(joints)[:3, :3], pointing_down(yaw), atol=1e-3)


@pytest.mark.parametrize('target', [(0.6, 0.0, 0.2), (0.0, 0.0, 1.0), (0.38, 0.15, 0.3), (5.0, 5.0, 5.0), (0.2, 0.0, 0.4)])
def test_an_unreachable_target_leaves_the_last_joints(kinematics: Kinematics, target: tuple[float, float, float]) -> None:
    joints, reached = kinematics.inverse(target, START)
    assert not reached
    np.testing.assert_array_equal(joints, START)


def test_a_target_beyond_the_joint_limits_is_solved_but_not_reached(kinematics: Kinematics) -> None:
    joints = kinematics.solve((0.2, 0.0, 0.4), START)
    assert joints is not None
    np.testing.assert_allclose(kinematics.forward(joints)[:3, 3], [0.2, 0.0, 0.4], atol=1e-4)
    assert not kinematics.within_limits(joints)
    assert not kinematics.inverse((0.2, 0.0, 0.4), START)[1]


def test_inverse_changes_none_of_its_arguments(kinematics: Kinematics) -> None:
    target, seed = np.array([0.25, 0.0, 0.15]), START.copy()
    kinematics.inverse(target, seed)
    np.testing.assert_array_equal(seed, START)
    np.testing.assert_array_equal(target, [0.25, 0.0, 0.15])


def test_a_model_of_inconsistent_length_is_refused() -> None:
    values = WX250S.to_mapping()
    with pytest.raises(ConfigError, match='joint_lower: got 5 values, expected one for each of the 6 joints'):
        ArmModel.from_mapping({**values, 'joint_lower': values['joint_lower'][:5]})
    with pytest.raises(ConfigError, match='expected 6 numbers per joint'):
        ArmModel.from_mapping({**values, 'screw_axes': [[0.0, 0.0, 1.0]] * 6})
