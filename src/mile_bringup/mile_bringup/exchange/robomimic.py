"""robomimic data sets: one HDF5 file with a group per trajectory.

Format: https://robomimic.github.io/docs/datasets/overview.html. Beside what it names, each trajectory has `robot_actions` and
`interventions`, and `mask/success` lists those that succeeded. robomimic 0.3.0 reads what is written here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mile_bringup.errors import UsageError
from mile_bringup.exchange.trajectory import Trajectory, decoded, image_shape, library
from mile_learner.task import TaskConfig

FILE = 'demo.hdf5'
STATE, IMAGE = 'state', 'front_image'
GYM_TYPE = 2
"""robomimic's number for environments with the gymnasium interface."""


def write(trajectories: Sequence[Trajectory], task: TaskConfig, folder: Path) -> None:
    """Write all into one file in an existing folder."""
    shape = image_shape(trajectories)
    kwargs = {'control_freq': task.rate_hz, 'observation_layout': list(task.observation_layout)}
    with library('h5py').File(folder / FILE, 'w') as file:
        data = file.create_group('data')
        data.attrs['total'] = sum(map(len, trajectories))
        data.attrs['env_args'] = json.dumps({'env_name': task.environment, 'env_type': GYM_TYPE, 'env_kwargs': kwargs})
        for number, trajectory in enumerate(trajectories):
            group = data.create_group(f'demo_{number}')
            group.attrs['num_samples'] = len(trajectory)
            group.attrs['source'] = trajectory.name
            group['actions'] = trajectory.actions
            group['robot_actions'] = trajectory.robot_actions
            group['interventions'] = trajectory.intervening
            group['dones'] = trajectory.done.astype(np.int64)
            group['rewards'] = (trajectory.done & trajectory.success).astype(np.float64)
            _write_observations(group.create_group('obs'), trajectory, range(len(trajectory)), images=shape is not None)
            later = [*range(1, len(trajectory)), len(trajectory) - 1]
            _write_observations(group.create_group('next_obs'), trajectory, later, images=shape is not None)
        succeeded = [f'demo_{number}'.encode() for number, trajectory in enumerate(trajectories) if trajectory.success]
        if succeeded:
            file.create_group('mask')['success'] = succeeded


def read(path: Path, task: TaskConfig, state: str = STATE) -> Iterator[Trajectory]:
    """Its trajectories in order; one without rewards is taken for a demonstration that succeeded.

    Raises:
        UsageError: no such file, another rate, or the observation `state` is not in it.
    """
    file_path = path / FILE if path.is_dir() else path
    try:
        file = library('h5py').File(file_path, 'r')
    except OSError as error:
        msg = f'{file_path}: is no HDF5 file ({" ".join(str(error).split())[:100]}); give the .hdf5 file of a robomimic data set'
        raise UsageError(msg) from error
    with file:
        data = file.get('data')
        if data is None or not len(data):
            msg = f'{file_path}: has no group "data" with trajectories; give the .hdf5 file of a robomimic data set'
            raise UsageError(msg)
        rate_hz = json.loads(data.attrs.get('env_args', '{}')).get('env_kwargs', {}).get('control_freq', task.rate_hz)
        if rate_hz != task.rate_hz:
            msg = f'{file_path}: has {rate_hz:g} steps per second, the task {task.rate_hz:g}; give the run --rate {rate_hz:g}'
            raise UsageError(msg)
        for name in sorted(data, key=lambda name: (len(name), name)):
            yield _trajectory(data[name], state, f'{file_path.name} {name}')


def _trajectory(group: Any, state: str, name: str) -> Trajectory:
    observations = group.get(f'obs/{state}')
    if observations is None or 'actions' not in group:
        known = ', '.join(group.get('obs', ()))
        msg = f'{name}: has no actions, or no observation {state!r} but: {known}; choose the state by --observation'
        raise UsageError(msg)
    actions = group['actions'][()].astype(np.float32)
    return Trajectory(
        observations=observations[()].astype(np.float32),
        actions=actions,
        robot_actions=group['robot_actions'][()].astype(np.float32) if 'robot_actions' in group else np.full_like(actions, np.nan),
        intervening=group['interventions'][()].astype(bool) if 'interventions' in group else np.ones(len(actions), dtype=bool),
        success=bool(group['rewards'][-1] > 0) if 'rewards' in group else True,
        name=name,
    )


def _write_observations(group: Any, trajectory: Trajectory, rows: Sequence[int], *, images: bool) -> None:
    group[STATE] = trajectory.observations[list(rows)]
    if images:
        pixels = np.stack([decoded(trajectory.images[row]) for row in rows])
        group.create_dataset(IMAGE, data=pixels, compression='gzip')
