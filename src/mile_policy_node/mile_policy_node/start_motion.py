"""The way of a real arm to its start pose: slow, along joint targets one control period apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from mile_policy_node.errors import BackendError
from mile_policy_node.kinematics import Floats, Kinematics

ELBOW_UP = {'shoulder': -0.3, 'elbow': 0.6, 'wrist_angle': 1.2}
"""Pointing down over the middle of the table, the elbow up; every other joint at zero [rad]."""
WAYPOINT_M = 0.005
DIP_M = 0.01


def start_joints(kinematics: Kinematics, position: ArrayLike) -> Floats:
    """Joints that point down at `position`, shape (3,) [m], the elbow up.

    Raises:
        BackendError: out of reach.
    """
    seed = np.array([ELBOW_UP.get(name, 0.0) for name in kinematics.model.joint_names])
    joints, reached = kinematics.inverse(position, seed)
    if not reached:
        msg = f'start_position_m: got {np.asarray(position).tolist()}, which {kinematics.model.name} cannot reach pointing down'
        raise BackendError(msg)
    return joints


def way_to_start(
    kinematics: Kinematics, joints: Floats, position: Floats, *, change: float, floor_m: float, level_rad: float
) -> list[Floats]:
    """Targets, each shape (n,) [rad], from `joints` to pointing down at `position`; no joint moves more than `change` [rad] between two.

    An arm that points down (each joint within `level_rad`) rises straight up to the start's height and then goes there in a straight line,
    as it may stand in a hole. One that does not, asleep say, goes the straight way in joint space.

    Raises:
        BackendError: the end effector would dip under `floor_m`, or under where it is, whichever is lower.
    """
    here = kinematics.forward(joints)[:3, 3]
    level = kinematics.solve(here, joints)
    goal = start_joints(kinematics, position)
    corners = [joints, goal]
    if level is not None and np.abs(level - joints).max() <= level_rad:
        above = np.array([*here[:2], max(here[2], position[2])])
        corners = [joints, level, *_straight(kinematics, level, [here, above, position])]
        if np.abs(corners[-1] - goal).max() > 0.1:
            corners.append(goal)
    targets = _fill(corners, change)
    lowest = min(float(kinematics.forward(target)[2, 3]) for target in targets)
    if lowest < min(floor_m, float(here[2])) - DIP_M:
        msg = f'the way to the start pose would dip to {lowest:.3f} m; move the arm up by hand (support it, torque off), then reset again'
        raise BackendError(msg)
    return targets


def _straight(kinematics: Kinematics, joints: Floats, corners: Sequence[Floats]) -> list[Floats]:
    """Joints every `WAYPOINT_M` along straight lines between `corners`; ends early where the arm cannot follow."""
    found: list[Floats] = []
    for start, end in pairwise(corners):
        count = math.ceil(float(np.linalg.norm(end - start)) / WAYPOINT_M)
        for part in range(1, count + 1):
            solved = kinematics.solve(start + (end - start) * part / count, joints)
            if solved is None or not kinematics.within_limits(solved):
                return found
            found.append(solved)
            joints = solved
    return found


def _fill(corners: Sequence[Floats], change: float) -> list[Floats]:
    """Straight lines in joint space through `corners`, no joint moving more than `change` between two; the last corner is the end."""
    targets = []
    for start, end in pairwise(corners):
        count = max(1, math.ceil(float(np.abs(end - start).max()) / change))
        targets += [start + (end - start) * part / count for part in range(1, count + 1)]
    return targets
