"""The WidowX 250s as a MuJoCo model, written from the manufacturer's published numbers.

Joint origins, axes, limits, efforts, masses, centres of mass and inertias are those of the published wx250s description.
The frame of the base is the world; x points forward, z up. Gravity is compensated on every link, as the real servos' integral term does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

Vector = tuple[float, float, float]

ARM_JOINTS = ('waist', 'shoulder', 'elbow', 'forearm_roll', 'wrist_angle', 'wrist_rotate')
FINGER_JOINTS = ('left_finger', 'right_finger')
EE_SITE = 'ee_gripper'
FINGER_LIMITS_M = (0.015, 0.037)
PAD_OFFSET_M = 0.011
"""From a finger joint's origin to the inner face of its pad [m]: the pads are 8 to 52 mm apart."""

_SERVO_STIFFNESS = 200.0
_SERVO_DAMPING_RATIO = 0.95
_ARMATURE = 0.1
_FRICTION_LOSS = 0.1
_FINGER_STIFFNESS = 6000.0
_FINGER_FORCE_N = 35.0
_DARK = (0.16, 0.17, 0.19, 1.0)
_BLACK = (0.08, 0.08, 0.09, 1.0)
_STEEL = (0.55, 0.57, 0.60, 1.0)
_ACCENT = (0.85, 0.33, 0.10, 1.0)


@dataclass(frozen=True)
class Link:
    """One moving link and the joint that carries it.

    Attributes:
        joint: name of the joint.
        origin: of the joint in the parent link's frame [m].
        axis: of the joint.
        limits_deg: of the joint [deg].
        effort: largest torque [N m].
        mass: [kg].
        centre: of mass, in the link's frame [m].
        inertia: xx, yy, zz, xy, xz, yz about the centre of mass [kg m^2], in the published inertial frame.
        yaw: of that inertial frame about z, or `flipped` by half a turn about x [rad].
        flipped: see `yaw`.
    """

    joint: str
    origin: Vector
    axis: Vector
    limits_deg: tuple[float, float]
    effort: float
    mass: float
    centre: Vector
    inertia: tuple[float, float, float, float, float, float]
    yaw: float = math.pi / 2
    flipped: bool = False


Z, Y, X = (0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)
LINKS = (
    Link(
        'waist',
        (0, 0, 0.072),
        Z,
        (-180, 180),
        10,
        0.480879,
        (2.2348e-5, 4.1461e-5, 0.0066287),
        (3.79e-4, 5.557e-4, 5.889e-4, 2.2e-9, -3.561e-7, 1.2245e-6),
    ),
    Link(
        'shoulder',
        (0, 0, 0.03865),
        Y,
        (-108, 114),
        20,
        0.430811,
        (0.0171605, 2.725e-7, 0.191323),
        (3.463e-3, 3.587e-3, 4.566e-4, -1e-10, -2e-10, 4.272e-4),
    ),
    Link(
        'elbow',
        (0.04975, 0, 0.25),
        Y,
        (-123, 92),
        15,
        0.234589,
        (0.107963, 1.15876e-4, 0),
        (3.971e-5, 8.878e-4, 8.88e-4, 2.3528e-6, 0, 0),
        yaw=0.0,
    ),
    Link(
        'forearm_roll',
        (0.175, 0, 0),
        X,
        (-180, 180),
        2,
        0.220991,
        (0.0374395, 0.00522252, 0),
        (6.369e-5, 1.677e-4, 1.834e-4, -2.292e-5, 0, 0),
        yaw=0.0,
        flipped=True,
    ),
    Link(
        'wrist_angle',
        (0.075, 0, 0),
        Y,
        (-100, 123),
        5,
        0.084957,
        (0.04236, -1.0663e-5, 0.010577),
        (3.082e-5, 2.822e-5, 3.152e-5, 1.91e-8, 2.3e-9, 2.5481e-6),
    ),
    Link(
        'wrist_rotate',
        (0.065, 0, 0),
        X,
        (-180, 180),
        1,
        0.072885,
        (0.021631, 2.516e-7, 0.01141),
        (2.537e-5, 1.836e-5, 1.674e-5, 0, 0, 4.34e-7),
    ),
)
"""From the base outwards; the last carries the gripper."""

_FINGERS_ORIGIN = (0.043 + 0.023, 0.0, 0.0)
_EE_ORIGIN = (0.043 + 0.023 + 0.027575, 0.0, 0.0)
_BASE_MASS = 0.538736
_GRIPPER_BAR_MASS = 0.034199
_FINGER_MASS = 0.016246
_HORN_RADIUS_M = 0.014
_HORN_ARM_M = 0.024
_CAMERA_EYE, _CAMERA_TARGET = (0.02, 0.0, 0.075), (0.17, 0.0, 0.0)
"""In front of the wrist, looking past the gripped block at what lies under it."""


def joint_limits() -> NDArray[np.float64]:
    """Limits of the arm's joints, shape (6, 2) [rad]."""
    return np.deg2rad([link.limits_deg for link in LINKS])


def finger_position(opening: float) -> float:
    """Position of the left finger joint [m] for an opening between the pads [m]."""
    return opening / 2 + PAD_OFFSET_M


def pad_opening(finger: float) -> float:
    """Opening between the pads [m] for a position of the left finger joint [m]."""
    return 2 * (finger - PAD_OFFSET_M)


def gripper_angle(finger: float) -> tuple[float, float]:
    """Angle of the gripper's motor [rad] and its change per distance [rad/m] for a position of the left finger joint [m]: a crank drive."""
    cosine = (_HORN_RADIUS_M**2 + finger**2 - _HORN_ARM_M**2) / (2 * _HORN_RADIUS_M * finger)
    slope = 1 / (2 * _HORN_RADIUS_M) - (_HORN_RADIUS_M**2 - _HORN_ARM_M**2) / (2 * _HORN_RADIUS_M * finger**2)
    return math.asin(cosine), slope / math.sqrt(1 - cosine**2)


def _inertia_in_link_frame(link: Link) -> list[float]:
    xx, yy, zz, xy, xz, yz = link.inertia
    c, s = math.cos(link.yaw), math.sin(link.yaw)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]]) @ (np.diag([1.0, -1.0, -1.0]) if link.flipped else np.eye(3))
    turned = turn @ np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]) @ turn.T
    return [turned[0, 0], turned[1, 1], turned[2, 2], turned[0, 1], turned[0, 2], turned[1, 2]]


def add_arm(spec: mujoco.MjSpec) -> None:
    """Add the arm at the world's origin, with six position servos and one for the fingers."""
    base = spec.worldbody.add_body(
        name='base_link',
        mass=_BASE_MASS,
        ipos=(-0.0380446, 0.000613892, 0.0193354),
        inertia=(2.115e-3, 6.921e-4, 2.524e-3),
        explicitinertial=True,
    )
    _box(base, (-0.04, 0, 0.02), (0.085, 0.06, 0.02), _DARK)
    _rod(base, (0, 0, 0.03), (0, 0, 0.07), 0.045, _BLACK)
    parent = base
    for link in LINKS:
        parent = parent.add_body(
            name=f'{link.joint}_link',
            pos=link.origin,
            gravcomp=1,
            mass=link.mass,
            ipos=link.centre,
            fullinertia=_inertia_in_link_frame(link),
            explicitinertial=True,
        )
        parent.add_joint(
            name=link.joint,
            type=mujoco.mjtJoint.mjJNT_HINGE,
            axis=link.axis,
            range=np.deg2rad(link.limits_deg),
            limited=True,
            armature=_ARMATURE,
            frictionloss=_FRICTION_LOSS,
        )
        _dress(link.joint, parent)
        _servo(spec, link.joint, _SERVO_STIFFNESS, (-link.effort, link.effort), tuple(np.deg2rad(link.limits_deg)))
    _add_gripper(spec, parent)


def _add_gripper(spec: mujoco.MjSpec, wrist: mujoco.MjsBody) -> None:
    wrist.add_site(name=EE_SITE, pos=_EE_ORIGIN, size=[0.004, 0.004, 0.004], group=4)
    _add_camera(wrist)
    bar = wrist.add_body(name='gripper_bar', pos=(0.043, 0, 0), gravcomp=1)
    bar.add_geom(
        type=mujoco.mjtGeom.mjGEOM_BOX,
        pos=(0.01, 0, 0),
        size=(0.012, 0.065, 0.012),
        rgba=_DARK,
        mass=_GRIPPER_BAR_MASS,
        contype=0,
        conaffinity=0,
    )
    for name, side in zip(FINGER_JOINTS, (1.0, -1.0), strict=True):
        finger = wrist.add_body(name=f'{name}_link', pos=_FINGERS_ORIGIN, gravcomp=1)
        limits = FINGER_LIMITS_M if side > 0 else (-FINGER_LIMITS_M[1], -FINGER_LIMITS_M[0])
        finger.add_joint(name=name, type=mujoco.mjtJoint.mjJNT_SLIDE, axis=Y, range=limits, limited=True, armature=0.01, damping=10.0)
        finger.add_geom(
            name=f'{name}_pad',
            type=mujoco.mjtGeom.mjGEOM_BOX,
            pos=(_EE_ORIGIN[0] - _FINGERS_ORIGIN[0], side * (0.004 - PAD_OFFSET_M), 0),
            size=(0.012, 0.004, 0.010),
            rgba=_ACCENT,
            mass=_FINGER_MASS,
            friction=(1.5, 0.05, 0.005),
            condim=6,
            contype=2,
            conaffinity=2,
        )
        _box(finger, (0.008, side * 0.002, 0), (0.022, 0.003, 0.009), _BLACK)
        _servo(spec, name, _FINGER_STIFFNESS, (-_FINGER_FORCE_N, _FINGER_FORCE_N), limits)
    spec.add_equality(
        type=mujoco.mjtEq.mjEQ_JOINT, objtype=mujoco.mjtObj.mjOBJ_JOINT, name1='right_finger', name2='left_finger', data=[0, -1] + [0] * 9
    )


def _add_camera(wrist: mujoco.MjsBody) -> None:
    """It rides with the gripper, so that its image depends on where the block is over the hole, and on little else."""
    ahead = np.subtract(_CAMERA_TARGET, _CAMERA_EYE)
    x, _, z = ahead / np.linalg.norm(ahead)
    wrist.add_camera(name='wrist', pos=_CAMERA_EYE, xyaxes=(0.0, 1.0, 0.0, z, 0.0, -x), fovy=50)


def _servo(spec: mujoco.MjSpec, joint: str, stiffness: float, force: tuple[float, float], limits: tuple[float, ...]) -> None:
    """A position servo; a positive third bias parameter is MuJoCo's damping ratio."""
    spec.add_actuator(
        name=joint,
        target=joint,
        trntype=mujoco.mjtTrn.mjTRN_JOINT,
        gaintype=mujoco.mjtGain.mjGAIN_FIXED,
        biastype=mujoco.mjtBias.mjBIAS_AFFINE,
        gainprm=[stiffness] + [0] * 9,
        biasprm=[0, -stiffness, _SERVO_DAMPING_RATIO] + [0] * 7,
        ctrllimited=True,
        ctrlrange=limits,
        forcelimited=True,
        forcerange=force,
    )


def _dress(joint: str, body: mujoco.MjsBody) -> None:
    """Primitive shapes that look like the arm; they take no part in collisions or inertia."""
    match joint:
        case 'waist':
            _rod(body, (0, 0, -0.02), (0, 0, 0.01), 0.038, _DARK)
            _box(body, (0, 0, 0.036), (0.026, 0.036, 0.028), _BLACK)
        case 'shoulder':
            _rod(body, (0, -0.045, 0), (0, 0.045, 0), 0.026, _DARK)
            for side in (-0.024, 0.024):
                _box(body, (0, side, 0.125), (0.017, 0.006, 0.125), _STEEL)
            _box(body, (0.025, 0, 0.25), (0.042, 0.030, 0.018), _BLACK)
        case 'elbow':
            _rod(body, (0, -0.038, 0), (0, 0.038, 0), 0.022, _DARK)
            _rod(body, (0.02, 0, 0), (0.165, 0, 0), 0.016, _STEEL)
        case 'forearm_roll':
            _box(body, (0.02, 0, 0), (0.030, 0.020, 0.020), _BLACK)
            _box(body, (0.06, 0, 0), (0.022, 0.024, 0.012), _DARK)
        case 'wrist_angle':
            _rod(body, (0, -0.028, 0), (0, 0.028, 0), 0.018, _DARK)
            _box(body, (0.035, 0, 0), (0.026, 0.018, 0.018), _BLACK)
        case 'wrist_rotate':
            _rod(body, (-0.005, 0, 0), (0.035, 0, 0), 0.022, _DARK)


def _box(body: mujoco.MjsBody, centre: Vector, half: Vector, rgba: tuple[float, ...]) -> None:
    body.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, pos=centre, size=half, rgba=rgba, contype=0, conaffinity=0, mass=0, group=1)


def _rod(body: mujoco.MjsBody, start: Vector, end: Vector, radius: float, rgba: tuple[float, ...]) -> None:
    body.add_geom(
        type=mujoco.mjtGeom.mjGEOM_CYLINDER,
        fromto=[*start, *end],
        size=[radius, 0, 0],
        rgba=rgba,
        contype=0,
        conaffinity=0,
        mass=0,
        group=1,
    )
