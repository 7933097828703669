"""A trajectory from elsewhere as a demonstration of a run: a bag like those that were recorded here."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ament_index_python.packages import get_package_share_directory
from rosbags.typesys.store import Typestore

from mile_bringup.exchange.trajectory import Trajectory
from mile_learner.bags import STEP_TYPE, encode_metadata
from mile_learner.run_folder import DEMONSTRATE, IMPORTED
from mile_learner.step import ACTION_DIM, Gate, Mode, Source, Step
from mile_learner.task import TaskConfig
from mile_teleop.bag_metadata import Topic
from mile_teleop.bag_writer import BagWriter
from mile_teleop.message_types import encode, load_types

STEP_TOPIC = '/mile/step'


def write_demonstration(trajectory: Trajectory, task: TaskConfig, path: Path, *, episode_id: str, origin: str) -> Path:
    """Write it as a bag, whole or not at all.

    Args:
        trajectory: by the human alone; see `trajectory.checked`.
        task: of the run.
        path: of the bag.
        episode_id: of the episode.
        origin: where it comes from, for the bag's metadata.

    Raises:
        BagError: it exists, or the disk failed.
    """
    began = time.time()
    steps = [
        Step(
            stamp=began + index / task.rate_hz,
            episode_id=episode_id,
            index=index,
            observation=observation,
            observation_stamp=began + index / task.rate_hz,
            image_stamp=0.0,
            robot_action=np.full(ACTION_DIM, np.nan, np.float32),
            robot_action_valid=False,
            human_action=action,
            intervening=True,
            executed_action=action,
            sent_target=np.full(ACTION_DIM, np.nan, np.float32),
            source=Source.HUMAN,
            mode=Mode.HUMAN,
            gate=Gate.HUMAN,
            intervention_probability=float('nan'),
            policy_version='',
            inference_ms=float('nan'),
            tick_late_ms=0.0,
        )
        for index, (observation, action) in enumerate(zip(trajectory.observations, np.clip(trajectory.actions, -1, 1), strict=True))
    ]
    metadata = {
        'task': task.name,
        'operator': IMPORTED,
        'mode': DEMONSTRATE,
        'episode_id': episode_id,
        'origin': origin,
        'observation_layout': list(task.observation_layout),
        'outcome': 'success' if trajectory.success else 'failure',
        'steps': len(steps),
    }
    return write_steps(steps, path, metadata)


def write_steps(steps: list[Step], path: Path, metadata: Mapping[str, Any]) -> Path:
    """Steps as a bag with nothing else in it."""
    typestore = load_types(Path(get_package_share_directory('mile_msgs')) / 'msg')
    writer = BagWriter(path, [Topic(STEP_TOPIC, STEP_TYPE, essential=True)], typestore, encode_metadata(metadata))
    for step in steps:
        writer.write(STEP_TOPIC, encode(typestore, STEP_TYPE, _message(typestore, step)), round(step.stamp * 1e9))
    return writer.close(encode_metadata(metadata))


def _message(typestore: Typestore, step: Step) -> Any:
    values = {field.name: getattr(step, field.name) for field in dataclasses.fields(step)}
    fields = {name: np.ascontiguousarray(value) if isinstance(value, np.ndarray) else value for name, value in values.items()}
    stamps = {name: _time(typestore, float(fields.pop(name))) for name in ('stamp', 'observation_stamp', 'image_stamp')}
    header = typestore.types['std_msgs/msg/Header'](stamp=stamps.pop('stamp'), frame_id='')
    return typestore.types[STEP_TYPE](header=header, **stamps, **fields)


def _time(typestore: Typestore, seconds: float) -> Any:
    whole, rest = divmod(round(seconds * 1e9), 10**9)
    return typestore.types['builtin_interfaces/msg/Time'](sec=whole, nanosec=rest)
