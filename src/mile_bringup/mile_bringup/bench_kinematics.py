"""The kinematics beside the Modern Robotics library, on random poses: how well both agree, and how long one seeded solve takes.

A pose points down at a random place in front of the arm with a random yaw; one that the arm cannot reach is drawn again. The seed is that
pose's joints, each displaced by up to `SEED_ERROR_RAD`: more than one control period ever does. What cannot be solved is timed, too.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import modern_robotics
import numpy as np
from tqdm import tqdm

from mile_bringup.cli_common import Report, table
from mile_policy_node.kinematics import ARM_MODELS, ArmModel, Floats, Kinematics, pointing_down
from mile_policy_node.start_motion import start_joints

LOW, HIGH = (0.12, -0.25, 0.02), (0.42, 0.25, 0.30)
LARGEST_YAW_RAD = 0.8
SEED_ERROR_RAD = 0.1
BEYOND_M = 0.5
LIMIT_MS = 2.0


def measure(poses: int) -> Report:
    """Both models on `poses` poses each; exit code 1 if the median solve takes longer than `LIMIT_MS`."""
    with tqdm(total=poses * len(ARM_MODELS), unit='pose', file=sys.stderr, mininterval=1.0) as bar:
        models = {name: run(model, poses, bar) for name, model in ARM_MODELS.items()}
    columns = ('solve_ms_p50', 'solve_ms_p99', 'refusal_ms_p50', 'modern_robotics_ms_p50', 'worst_position_m', 'joint_difference_rad_p99')
    text = table(('arm', *columns), [[name, *(f'{found[column]:.2g}' for column in columns)] for name, found in models.items()])
    slow = any(found['solve_ms_p50'] > LIMIT_MS for found in models.values())
    return Report({'poses': poses, 'seed_error_rad': SEED_ERROR_RAD, 'limit_ms': LIMIT_MS, 'models': models}, text, int(slow))


def run(model: ArmModel, poses: int, bar: tqdm[Any]) -> dict[str, float]:
    """Figures of one arm.

    Returns:
        worst_forward: largest difference of an element of the pose at random joints [m, -]; worst_position_m and worst_rotation: of the
        library's pose at the joints found from the pose asked for; not_found: solves that failed; joint_difference_rad: between
        the joints found and those that the library finds from the same seed (to 1e-5 rad and 1e-6 m), large where two solutions meet, at a
        singularity; times [ms].
    """
    rng = np.random.default_rng(0)
    kinematics = Kinematics(model)
    home, axes = _as_the_library_wants(model)
    middle = start_joints(kinematics, (np.array(LOW) + HIGH) / 2)
    solved, refused, library, apart = [], [], [], []
    errors = {'worst_forward': 0.0, 'worst_position_m': 0.0, 'worst_rotation': 0.0, 'not_found': 0.0}

    def worst(name: str, difference: Floats) -> None:
        errors[name] = max(errors[name], float(np.abs(difference).max()))

    for _ in range(poses):
        anything = rng.uniform(kinematics.lower, kinematics.upper)
        worst('worst_forward', kinematics.forward(anything) - modern_robotics.FKinSpace(home, axes, anything))
        target, yaw, truth = _reachable(kinematics, middle, rng)
        seed = truth + rng.uniform(-SEED_ERROR_RAD, SEED_ERROR_RAD, len(truth))
        began = time.perf_counter()
        joints, reached = kinematics.inverse(target, seed, yaw)
        solved.append(time.perf_counter() - began)
        errors['not_found'] += not reached
        if reached:
            pose = modern_robotics.FKinSpace(home, axes, joints)
            worst('worst_position_m', pose[:3, 3] - target)
            worst('worst_rotation', pose[:3, :3] - pointing_down(yaw))
            wanted = np.eye(4)
            wanted[:3, :3], wanted[:3, 3] = pointing_down(yaw), target
            began = time.perf_counter()
            theirs, converged = modern_robotics.IKinSpace(axes, home, wanted, seed, 1e-5, 1e-6)
            library.append(time.perf_counter() - began)
            if converged:
                apart.append(float(np.abs(joints - theirs).max()))
        beyond = target + np.array([BEYOND_M, 0.0, 0.0])
        began = time.perf_counter()
        kinematics.inverse(beyond, seed, yaw)
        refused.append(time.perf_counter() - began)
        bar.update()
    differences = zip(('p50', 'p99', 'max'), np.percentile(apart, (50, 99, 100)), strict=True)
    return errors | {
        **{f'joint_difference_rad_{name}': float(value) for name, value in differences},
        **_spread('solve', solved),
        **_spread('refusal', refused),
        **_spread('modern_robotics', library),
    }


def _as_the_library_wants(model: ArmModel) -> tuple[Floats, Floats]:
    """Home pose (4, 4) and screw axes (6, n)."""
    home = np.eye(4)
    home[:3, 3] = model.home_position
    return home, np.array(model.screw_axes).T


def _reachable(kinematics: Kinematics, middle: Floats, rng: np.random.Generator) -> tuple[Floats, float, Floats]:
    """A random position (3,) [m] with a yaw [rad] within reach, and its joints (n,) [rad]."""
    while True:
        target, yaw = rng.uniform(LOW, HIGH), float(rng.uniform(-LARGEST_YAW_RAD, LARGEST_YAW_RAD))
        joints, reached = kinematics.inverse(target, middle, yaw)
        if reached and kinematics.within_limits(joints, SEED_ERROR_RAD):
            return target, yaw, joints


def _spread(name: str, seconds: list[float]) -> dict[str, float]:
    p50, p99 = np.percentile(seconds, (50, 99)) * 1000
    return {f'{name}_ms_p50': round(p50, 4), f'{name}_ms_p99': round(p99, 4), f'{name}_ms_max': round(max(seconds) * 1000, 4)}
