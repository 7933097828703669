"""What an episode is to other tools: the steps on which somebody commanded the arm, as arrays."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mile_bringup.errors import UsageError
from mile_learner.bags import STEP_TYPE, read_messages, read_metadata, seconds, to_step
from mile_learner.layout import layout_width
from mile_learner.step import ACTION_DIM, Array, Source

IMAGE_TYPE = 'sensor_msgs/msg/CompressedImage'
ACTION_NAMES = ('dx', 'dy', 'dz', 'gripper')


@dataclass(frozen=True)
class Trajectory:
    """T steps.

    Attributes:
        observations: before stacking, (T, d).
        actions: executed, (T, 4), each in [-1, 1].
        robot_actions: a_r, (T, 4); NaN in a demonstration.
        intervening: whether the human acted, (T,).
        success: whether the episode succeeded.
        images: one compressed image (JPEG) per step, or none at all.
        name: of the episode where it comes from.
    """

    observations: Array
    actions: Array
    robot_actions: Array
    intervening: NDArray[np.bool_]
    success: bool
    images: tuple[bytes, ...] = ()
    name: str = ''

    def __len__(self) -> int:
        return len(self.actions)

    @property
    def done(self) -> NDArray[np.bool_]:
        """The last step, (T,)."""
        return np.arange(len(self)) == len(self) - 1


def read_trajectory(path: Path, name: str, *, images: bool) -> Trajectory:
    """One recorded episode; each step with the newest image that had been taken, where there are any.

    Raises:
        LearnerError: the bag cannot be read.
        UsageError: it holds no step on which the arm was commanded.
    """
    steps, taken = [], []
    for kind, _, message in read_messages(path, (STEP_TYPE, IMAGE_TYPE) if images else (STEP_TYPE,)):
        if kind == STEP_TYPE:
            steps.append(to_step(message))
        else:
            taken.append((seconds(message.header.stamp), message.data.tobytes()))
    used = [step for step in steps if step.source is not Source.HOLD and len(step.observation)]
    if not used:
        msg = f'{path}: got no step on which the arm was commanded, expected at least one; remove the episode from the run'
        raise UsageError(msg)
    newest = np.searchsorted([stamp for stamp, _ in taken], [step.stamp for step in used], side='right') - 1
    return Trajectory(
        observations=np.stack([step.observation for step in used]),
        actions=np.stack([step.executed_action for step in used]),
        robot_actions=np.stack([step.robot_action for step in used]),
        intervening=np.array([step.intervening for step in used]),
        success=read_metadata(path).get('outcome') == 'success',
        images=tuple(taken[max(0, index)][1] for index in newest) if taken else (),
        name=name,
    )


def checked(trajectory: Trajectory, layout: Sequence[str]) -> Trajectory:
    """The same, if it can be a demonstration of a task with this observation layout.

    Raises:
        UsageError: other shapes, values that are not finite, or actions beyond [-1, 1].
    """
    width = layout_width(layout)
    shapes = trajectory.observations.shape[1:], trajectory.actions.shape[1:]
    if shapes != ((width,), (ACTION_DIM,)):
        msg = (
            f'{trajectory.name}: got {shapes[0]} observation and {shapes[1]} action values per step, expected ({width},) '
            f'({", ".join(layout)}) and ({ACTION_DIM},) ({", ".join(ACTION_NAMES)}); bring the data into this form'
        )
        raise UsageError(msg)
    if not np.isfinite(trajectory.observations).all() or not (np.abs(trajectory.actions) <= 1.0 + 1e-6).all():
        msg = (
            f'{trajectory.name}: got values that are not finite, or actions beyond [-1, 1]; scale the actions by the step size of the task'
        )
        raise UsageError(msg)
    return trajectory


def library(name: str) -> ModuleType:
    """A library that only this package needs.

    Raises:
        UsageError: it is not installed; says how to.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        msg = f'{name.partition(".")[0]} is not installed; mile export and mile import need it: make setup, or pip install pyarrow h5py'
        raise UsageError(msg) from error


def decoded(image: bytes) -> NDArray[np.uint8]:
    """A compressed image as (H, W, 3), RGB.

    Raises:
        UsageError: it is damaged.
    """
    import cv2

    pixels: Any = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        msg = f'got an image of {len(image)} bytes that cannot be decoded; export without images: --no-images'
        raise UsageError(msg)
    return np.ascontiguousarray(pixels[..., ::-1])


def image_shape(trajectories: Iterator[Trajectory] | Sequence[Trajectory]) -> tuple[int, int, int] | None:
    """Height, width and channels, if every step of every trajectory has an image."""
    first = [trajectory.images[:1] for trajectory in trajectories]
    if not first or not all(first):
        return None
    height, width, channels = decoded(first[0][0]).shape
    return height, width, channels
