"""The model against the published product of exponentials, and against what the task needs of it."""

import modern_robotics
import mujoco
import numpy as np
import pytest

from mile_sim.model import ARM_JOINTS, EE_SITE, finger_position, joint_limits, pad_opening
from mile_sim.scene import SceneConfig, build_model
from mile_sim.world import World, draw_start

HOME = np.array([[1, 0, 0, 0.458325], [0, 1, 0, 0], [0, 0, 1, 0.36065], [0, 0, 0, 1.0]])
SCREW_AXES = np.array(
    [
        [0, 0, 1, 0, 0, 0],
        [0, 1, 0, -0.11065, 0, 0],
        [0, 1, 0, -0.36065, 0, 0.04975],
        [1, 0, 0, 0, 0.36065, 0],
        [0, 1, 0, -0.36065, 0, 0.29975],
        [1, 0, 0, 0, 0.36065, 0],
    ]
).T
"""M and the space screw axes of the wx250s as the vendor publishes them."""


def test_forward_kinematics_is_the_published_product_of_exponentials() -> None:
    model = build_model(SceneConfig())
    data = mujoco.MjData(model)
    addresses = [model.joint(name).qposadr[0] for name in ARM_JOINTS]
    lower, upper = joint_limits().T
    rng = np.random.default_rng(0)
    for _ in range(1000):
        joints = rng.uniform(lower, upper)
        data.qpos[addresses] = joints
        mujoco.mj_kinematics(model, data)
        expected = modern_robotics.FKinSpace(HOME, SCREW_AXES, joints)
        site = data.site(EE_SITE)
        np.testing.assert_allclose(site.xpos, expected[:3, 3], atol=1e-4)
        np.testing.assert_allclose(site.xmat.reshape(3, 3), expected[:3, :3], atol=1e-6)


def test_joint_limits_are_the_published_ones() -> None:
    model = build_model(SceneConfig())
    for name, limits in zip(ARM_JOINTS, joint_limits(), strict=True):
        np.testing.assert_allclose(model.joint(name).range, limits)
        np.testing.assert_allclose(model.actuator(name).ctrlrange, limits)


def test_pad_opening_is_the_inverse_of_finger_position() -> None:
    assert pad_opening(0.015) == pytest.approx(0.008)
    assert pad_opening(0.037) == pytest.approx(0.052)
    assert pad_opening(finger_position(0.03)) == pytest.approx(0.03)


def test_a_seed_gives_the_same_start_state_bit_for_bit() -> None:
    first, second = World(), World()
    first.reset(11)
    second.reset(5)
    second.advance(1.0)
    second.reset(11)
    np.testing.assert_array_equal(first.data.qpos, second.data.qpos)
    np.testing.assert_array_equal(first.block_to_hole, second.block_to_hole)
    second.reset(12)
    assert not np.array_equal(first.block_to_hole, second.block_to_hole)


def lower_block(offset: tuple[float, float]) -> World:
    """Carry the block straight down from above the hole, `offset` [m] beside its centre."""
    world = World()
    joints = world.reset(4)
    hole = draw_start(world.start, 4).hole
    end_effector = world.end_effector
    for tick in range(120):
        if tick < 40:
            end_effector[:2] += np.clip(0.5 * (world.block_to_hole[:2] - offset), -0.003, 0.003)
        else:
            end_effector[2] = max(end_effector[2] - 0.002, 0.094)
        joints, reached = world._kinematics.inverse(end_effector, joints)
        assert reached
        world.command(joints, 0.022)
        world.advance(0.1)
    assert np.hypot(*(world.end_effector[:2] - hole)) < 0.02
    return world


def test_the_block_fits_through_the_hole_only_within_the_clearance() -> None:
    assert lower_block((0.0, 0.0)).success
    assert lower_block((0.0005, -0.0003)).success
    for offset in ((0.0, 0.002), (0.0, -0.002), (-0.002, 0.0), (0.004, 0.0), (0.003, 0.003)):
        world = lower_block(offset)
        assert not world.success
        assert world.block_to_hole[2] < 0.003, 'the block must lie on the lid'


def test_the_block_stays_in_the_gripper_and_falls_when_it_opens() -> None:
    world = World()
    joints = world.reset(7)
    held = world.block_to_hole
    world.command(joints, 0.022)
    world.advance(5.0)
    np.testing.assert_allclose(world.block_to_hole, held, atol=0.001)
    world.command(joints, 0.05)
    world.advance(1.0)
    assert world.block_to_hole[2] > held[2] + 0.05


def test_effort_and_velocity_are_measured() -> None:
    world = World()
    joints = world.reset(1)
    joints[0] += 0.2
    world.command(joints, 0.022)
    world.advance(0.05)
    assert world.positions.shape == world.velocities.shape == world.efforts.shape == (8,)
    assert world.velocities[0] > 0.1
    assert world.efforts[6] < 0, 'the fingers squeeze the block'
