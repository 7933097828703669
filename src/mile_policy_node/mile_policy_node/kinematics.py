"""Product-of-exponentials kinematics of a serial arm, end effector pointing down.

Conventions (Lynch and Park, Modern Robotics, 2017, chapters 4 to 6): space screw axes S_i = (w_i, v_i), home pose M,
T(q) = exp([S_1] q_1) ... exp([S_n] q_n) M. All lengths in [m], angles in [rad], poses in the arm's base frame.

"Pointing down" means that the end effector's x axis (the approach direction) is the base's -z axis. The yaw is the rotation about the
base's z axis that remains: at yaw 0 the end effector is world-aligned, the fingers (its y axis) open along the base's y axis wherever the
arm is. With this fixed yaw the wrist turns against the waist, and the whole workspace box of the tasks is reachable.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mile_learner.config import Config, ConfigError, option

Floats = NDArray[np.float64]

POSITION_TOLERANCE_M = 1e-5
ORIENTATION_TOLERANCE_RAD = 1e-4
MAX_ITERATIONS = 20
MAX_JOINT_STEP_RAD = 0.5
DAMPING = 1e-3


@dataclass(frozen=True)
class ArmModel(Config):
    """A serial arm of revolute joints by its published numbers."""

    name: str = option(doc='name of the arm')
    joint_names: tuple[str, ...] = option(doc='names of the joints, from the base outwards')
    screw_axes: tuple[tuple[float, ...], ...] = option(doc='space screw axis (w, v) of every joint, [-] and [m]')
    home_position: tuple[float, float, float] = option(doc='end effector at zero joint angles [m]; its axes are then those of the base')
    joint_lower: tuple[float, ...] = option(doc='lower joint limits [rad]')
    joint_upper: tuple[float, ...] = option(doc='upper joint limits [rad]')
    joint_velocity: tuple[float, ...] = option(doc='joint velocity limits [rad/s]', gt=0.0)
    finger_pad_offset_m: float = option(doc='from the origin of a finger joint to the inner face of its pad [m]', ge=0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        joints = len(self.joint_names)
        for field in ('screw_axes', 'joint_lower', 'joint_upper', 'joint_velocity'):
            if len(getattr(self, field)) != joints:
                msg = f'{field}: got {len(getattr(self, field))} values, expected one for each of the {joints} joints'
                raise ConfigError(msg)
        if any(len(axis) != 6 for axis in self.screw_axes):
            msg = f'screw_axes: got lengths {[len(axis) for axis in self.screw_axes]}, expected 6 numbers per joint'
            raise ConfigError(msg)


WX250S = ArmModel(
    name='wx250s',
    joint_names=('waist', 'shoulder', 'elbow', 'forearm_roll', 'wrist_angle', 'wrist_rotate'),
    screw_axes=(
        (0.0, 0.0, 1.0, 0.0, 0.0, 0.0),
        (0.0, 1.0, 0.0, -0.11065, 0.0, 0.0),
        (0.0, 1.0, 0.0, -0.36065, 0.0, 0.04975),
        (1.0, 0.0, 0.0, 0.0, 0.36065, 0.0),
        (0.0, 1.0, 0.0, -0.36065, 0.0, 0.29975),
        (1.0, 0.0, 0.0, 0.0, 0.36065, 0.0),
    ),
    home_position=(0.458325, 0.0, 0.36065),
    joint_lower=tuple(float(np.deg2rad(degrees)) for degrees in (-180, -108, -123, -180, -100, -180)),
    joint_upper=tuple(float(np.deg2rad(degrees)) for degrees in (180, 114, 92, 180, 123, 180)),
    joint_velocity=(float(np.pi),) * 6,
    finger_pad_offset_m=0.011,
)
"""Trossen Robotics WidowX 250 with six degrees of freedom."""

WX250 = ArmModel(
    name='wx250',
    joint_names=('waist', 'shoulder', 'elbow', 'wrist_angle', 'wrist_rotate'),
    screw_axes=(*WX250S.screw_axes[:3], *WX250S.screw_axes[4:]),
    home_position=WX250S.home_position,
    joint_lower=(*WX250S.joint_lower[:3], *WX250S.joint_lower[4:]),
    joint_upper=(*WX250S.joint_upper[:3], *WX250S.joint_upper[4:]),
    joint_velocity=(float(np.pi),) * 5,
    finger_pad_offset_m=0.011,
)
"""The same arm without forearm_roll. Pointing down it loses nothing: the waist gives the direction and wrist_rotate the yaw."""

ARM_MODELS = {model.name: model for model in (WX250S, WX250)}


def pointing_down(yaw: float = 0.0) -> Floats:
    """Rotation (3, 3) of an end effector that points down, turned by `yaw` [rad] about the base's z axis."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.array([[0.0, -sin, cos], [0.0, cos, sin], [-1.0, 0.0, 0.0]])


class Kinematics:
    """Forward and seeded inverse kinematics of one `ArmModel`; n is its number of joints."""

    def __init__(self, model: ArmModel = WX250S) -> None:
        self.model = model
        self.lower = _read_only(model.joint_lower)
        self.upper = _read_only(model.joint_upper)
        self.velocity = _read_only(model.joint_velocity)
        self._axes = _read_only(model.screw_axes)
        self._home = np.eye(4)
        self._home[:3, 3] = model.home_position
        self._terms = _exponential_terms(self._axes)

    def forward(self, joints: ArrayLike) -> Floats:
        """Pose (4, 4) of the end effector at `joints`, shape (n,) [rad]."""
        return self._chain(np.asarray(joints, np.float64))[-1]

    def inverse(self, target_xyz: ArrayLike, seed_joints: ArrayLike, yaw: float = 0.0) -> tuple[Floats, bool]:
        """Joints that put the end effector at `target_xyz`, shape (3,) [m], pointing down with `yaw` [rad].

        Returns:
            (joints, shape (n,) [rad], whether the target was reached within the joint limits). A target that is out of reach, or so near a
            singularity that the solver does not get there, leaves the joints at `seed_joints`, the last reachable ones.
        """
        seed = np.array(seed_joints, np.float64)
        joints = self.solve(target_xyz, seed, yaw)
        if joints is None or not self.within_limits(joints):
            return seed, False
        return joints, True

    def solve(self, target_xyz: ArrayLike, seed_joints: ArrayLike, yaw: float = 0.0) -> Floats | None:
        """As `inverse`, without regard to the joint limits; None if the solver does not get there.

        Damped least squares on the geometric Jacobian, dq = J^T (J J^T + damping^2 I)^-1 e (Nakamura and Hanafusa, 1986).
        """
        position, rotation = np.asarray(target_xyz, np.float64), pointing_down(yaw)
        joints = np.array(seed_joints, np.float64)
        damping = DAMPING**2 * np.eye(6)
        for _ in range(MAX_ITERATIONS + 1):
            poses = self._chain(joints)
            error = np.concatenate((position - poses[-1, :3, 3], _rotation_vector(rotation @ poses[-1, :3, :3].T)))
            if np.abs(error[:3]).max() < POSITION_TOLERANCE_M and np.abs(error[3:]).max() < ORIENTATION_TOLERANCE_RAD:
                return joints
            jacobian = self._jacobian(poses)
            step = jacobian.T @ np.linalg.solve(jacobian @ jacobian.T + damping, error)
            joints += step * min(1.0, MAX_JOINT_STEP_RAD / max(float(np.abs(step).max()), 1e-12))
        return None

    def within_limits(self, joints: Floats, margin: float = 0.0) -> bool:
        """Whether every joint keeps `margin` [rad] from its limits."""
        return bool(np.all((joints >= self.lower + margin) & (joints <= self.upper - margin)))

    def _chain(self, joints: Floats) -> Floats:
        """Poses (n + 1, 4, 4): what moves joint i, for every i, then the end effector."""
        constant, linear, sine, cosine = self._terms
        angles = joints[:, None, None]
        exponentials = constant + linear * angles + sine * np.sin(angles) + cosine * np.cos(angles)
        poses = np.empty((len(joints) + 1, 4, 4))
        poses[0] = np.eye(4)
        for index, exponential in enumerate(exponentials):
            np.matmul(poses[index], exponential, out=poses[index + 1])
        poses[-1] = poses[-1] @ self._home
        return poses

    def _jacobian(self, poses: Floats) -> Floats:
        """Geometric Jacobian (6, n): linear velocity of the end effector, then angular velocity, in the base frame."""
        rotations, origins = poses[:-1, :3, :3], poses[:-1, :3, 3]
        angular = np.einsum('nij,nj->ni', rotations, self._axes[:, :3])
        linear = np.einsum('nij,nj->ni', rotations, self._axes[:, 3:]) + np.cross(angular, poses[-1, :3, 3] - origins)
        return np.concatenate((linear, angular), axis=1).T


def _read_only(values: ArrayLike) -> Floats:
    array = np.array(values, np.float64)
    array.setflags(write=False)
    return array


def _exponential_terms(axes: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Matrices (n, 4, 4) A, B, C, D with exp([S] q) = A + B q + C sin q + D cos q (Modern Robotics, eq. 3.88, |w| = 1)."""
    constant, linear, sine, cosine = (np.zeros((len(axes), 4, 4)) for _ in range(4))
    for i, (w, v) in enumerate(zip(axes[:, :3], axes[:, 3:], strict=True)):
        skew = np.array([[0.0, -w[2], w[1]], [w[2], 0.0, -w[0]], [-w[1], w[0], 0.0]])
        square = skew @ skew
        constant[i] = np.eye(4)
        constant[i, :3, :3] += square
        constant[i, :3, 3] = skew @ v
        linear[i, :3, 3] = v + square @ v
        sine[i, :3, :3] = skew
        sine[i, :3, 3] = -square @ v
        cosine[i, :3, :3] = -square
        cosine[i, :3, 3] = -skew @ v
    return constant, linear, sine, cosine


def _rotation_vector(rotation: Floats) -> Floats:
    """Axis times angle, shape (3,) [rad], of a rotation (3, 3); exact but for angles next to pi, where its length is still right."""
    axis = np.array([rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]])
    doubled_sine = float(np.linalg.norm(axis))
    angle = float(np.arctan2(doubled_sine, np.trace(rotation) - 1.0))
    if doubled_sine < 1e-9:
        return 0.5 * axis if angle < 1.0 else np.array([angle, 0.0, 0.0])
    return axis * (angle / doubled_sine)
