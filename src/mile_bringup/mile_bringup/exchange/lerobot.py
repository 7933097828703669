"""LeRobot data sets: written in version 3.0 (one Parquet file per episode, images inside), read in versions 2.0 to 3.0.

Format: https://huggingface.co/docs/lerobot/lerobot-dataset-v3, and src/lerobot/datasets/utils.py of huggingface/lerobot for what is
not documented: the columns of meta/episodes, and that tasks.parquet is indexed by the task's text. LeRobot 0.4.2 reads what this writes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mile_bringup.errors import UsageError
from mile_bringup.exchange.trajectory import ACTION_NAMES, Trajectory, decoded, image_shape, library
from mile_learner.layout import number_names
from mile_learner.step import ACTION_DIM
from mile_learner.task import TaskConfig

VERSION = 'v3.0'
CHUNK = 1000
DATA_PATH = 'data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet'
EPISODES_PATH = 'meta/episodes/chunk-000/file-000.parquet'
STATE, IMAGE = 'observation.state', 'observation.images.front'
COUNTERS = {'frame_index': 'int64', 'episode_index': 'int64', 'index': 'int64', 'task_index': 'int64', 'timestamp': 'float32'}


def write(trajectories: Sequence[Trajectory], task: TaskConfig, folder: Path) -> None:
    """Write all into an existing folder."""
    shape = image_shape(trajectories)
    with_robot = all(np.isfinite(trajectory.robot_actions).all() for trajectory in trajectories)
    state_names = number_names(task.observation_layout)
    features: dict[str, dict[str, Any]] = {
        STATE: {'dtype': 'float32', 'shape': [len(state_names)], 'names': state_names},
        'action': {'dtype': 'float32', 'shape': [ACTION_DIM], 'names': list(ACTION_NAMES)},
        **({'robot_action': {'dtype': 'float32', 'shape': [ACTION_DIM], 'names': list(ACTION_NAMES)}} if with_robot else {}),
        **{name: {'dtype': 'bool', 'shape': [1], 'names': None} for name in ('intervention', 'next.done', 'next.success')},
        **({IMAGE: {'dtype': 'image', 'shape': list(shape), 'names': ['height', 'width', 'channels']}} if shape else {}),
        **{name: {'dtype': dtype, 'shape': [1], 'names': None} for name, dtype in COUNTERS.items()},
    }
    pa, parquet = library('pyarrow'), library('pyarrow.parquet')
    rows: list[dict[str, Any]] = []
    numbers: dict[str, list[Any]] = {}
    begin = 0
    for episode, trajectory in enumerate(trajectories):
        chunk, file = divmod(episode, CHUNK)
        columns = _columns(trajectory, episode, begin, task.rate_hz)
        for name in features:
            if name != IMAGE:
                numbers.setdefault(name, []).append(columns[name])
        arrays = {name: _arrow(pa, feature, columns.get(name), trajectory) for name, feature in features.items()}
        path = folder / DATA_PATH.format(chunk_index=chunk, file_index=file)
        path.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(pa.table(arrays), path)
        rows.append(
            {
                'episode_index': episode,
                'tasks': [task.name],
                'length': len(trajectory),
                'data/chunk_index': chunk,
                'data/file_index': file,
                'dataset_from_index': begin,
                'dataset_to_index': begin + len(trajectory),
                'meta/episodes/chunk_index': 0,
                'meta/episodes/file_index': 0,
                'source': trajectory.name,
            }
        )
        begin += len(trajectory)
    (folder / EPISODES_PATH).parent.mkdir(parents=True)
    parquet.write_table(pa.Table.from_pylist(rows), folder / EPISODES_PATH)
    parquet.write_table(_tasks(pa, task.name), folder / 'meta/tasks.parquet')
    stats = {name: _statistics(np.concatenate(values)) for name, values in numbers.items()}
    if shape:
        stats[IMAGE] = _image_statistics(trajectories)
    _write_json(folder / 'meta/stats.json', stats)
    _write_json(
        folder / 'meta/info.json',
        {
            'codebase_version': VERSION,
            'robot_type': 'widowx',
            'total_episodes': len(trajectories),
            'total_frames': begin,
            'total_tasks': 1,
            'chunks_size': CHUNK,
            'data_files_size_in_mb': 100,
            'video_files_size_in_mb': 500,
            'fps': int(task.rate_hz) if task.rate_hz.is_integer() else task.rate_hz,
            'splits': {'train': f'0:{len(trajectories)}'},
            'data_path': DATA_PATH,
            'video_path': None,
            'features': features,
        },
    )


def read(folder: Path, task: TaskConfig, state: str = STATE) -> Iterator[Trajectory]:
    """Its episodes in order; one that does not say whether it succeeded is taken for a demonstration that did.

    Raises:
        UsageError: no data set, another rate, or a column that is missing.
    """
    parquet = library('pyarrow.parquet')
    info = _info(folder)
    if info['fps'] != task.rate_hz:
        msg = f'{folder}: has {info["fps"]} steps per second, the task {task.rate_hz:g}; give the run --rate {info["fps"]}'
        raise UsageError(msg)
    names = info['features'].get(state, {}).get('names')
    order = _order(names, task.observation_layout)
    for path in sorted(folder.glob('data/*/*.parquet')):
        table = parquet.read_table(path)
        missing = [name for name in (state, 'action', 'episode_index', 'frame_index') if name not in table.column_names]
        if missing:
            msg = f'{path}: has no column {missing[0]!r}, but {", ".join(table.column_names)}; choose the state by --observation'
            raise UsageError(msg)
        columns = {name: np.array(table[name].to_pylist()) for name in table.column_names if name in _READ or name == state}
        for episode in np.unique(columns['episode_index']):
            rows = np.flatnonzero(columns['episode_index'] == episode)
            rows = rows[np.argsort(columns['frame_index'][rows])]
            yield _trajectory({name: values[rows] for name, values in columns.items()}, state, order, f'{folder.name} episode {episode}')


_READ = ('action', 'robot_action', 'intervention', 'next.success', 'episode_index', 'frame_index')


def _trajectory(columns: Mapping[str, Any], state: str, order: list[int] | None, name: str) -> Trajectory:
    actions = columns['action'].astype(np.float32)
    observations = columns[state].astype(np.float32)
    return Trajectory(
        observations=observations if order is None else observations[:, order],
        actions=actions,
        robot_actions=columns['robot_action'].astype(np.float32) if 'robot_action' in columns else np.full_like(actions, np.nan),
        intervening=columns['intervention'].astype(bool) if 'intervention' in columns else np.ones(len(actions), dtype=bool),
        success=bool(columns['next.success'][-1]) if 'next.success' in columns else True,
        name=name,
    )


def _order(names: object, layout: Sequence[str]) -> list[int] | None:
    """Where each number of the layout is among the names, if they name them all."""
    named = {name: index for index, name in enumerate(names)} if isinstance(names, (list, tuple)) else {}
    wanted = number_names(layout)
    return [named[name] for name in wanted] if named.keys() >= set(wanted) else None


def _info(folder: Path) -> dict[str, Any]:
    try:
        info: dict[str, Any] = json.loads((folder / 'meta/info.json').read_text(encoding='utf-8'))
        version = info['codebase_version']
    except (OSError, ValueError, KeyError) as error:
        msg = f'{folder}: is no LeRobot data set (meta/info.json: {type(error).__name__}); give the folder that holds meta/ and data/'
        raise UsageError(msg) from error
    if not version.startswith(('v2.', 'v3.')) or 'fps' not in info or 'features' not in info:
        msg = f'{folder}: is a LeRobot data set of version {version!r}, expected v2.0 to v3.0; convert it with the tools of LeRobot'
        raise UsageError(msg)
    return info


def _columns(trajectory: Trajectory, episode: int, begin: int, rate_hz: float) -> dict[str, Any]:
    count = len(trajectory)
    frames = np.arange(count)
    return {
        STATE: trajectory.observations,
        'action': trajectory.actions,
        'robot_action': trajectory.robot_actions,
        'intervention': trajectory.intervening,
        'next.done': trajectory.done,
        'next.success': trajectory.done & trajectory.success,
        'timestamp': (frames / rate_hz).astype(np.float32),
        'frame_index': frames,
        'episode_index': np.full(count, episode),
        'index': begin + frames,
        'task_index': np.zeros(count, np.int64),
    }


def _arrow(pa: Any, feature: Mapping[str, Any], values: Any, trajectory: Trajectory) -> Any:
    """One column as LeRobot types it: scalars, lists of fixed size, or images as their bytes."""
    if feature['dtype'] == 'image':
        return pa.array(
            [{'bytes': image, 'path': None} for image in trajectory.images], pa.struct({'bytes': pa.binary(), 'path': pa.string()})
        )
    if feature['shape'] == [1]:
        return pa.array(values, getattr(pa, {'bool': 'bool_'}.get(feature['dtype'], feature['dtype']))())
    flat = pa.array(np.ascontiguousarray(values, np.float32).ravel(), pa.float32())
    return pa.FixedSizeListArray.from_arrays(flat, feature['shape'][0])


def _tasks(pa: Any, name: str) -> Any:
    """A pandas frame indexed by the task's text, as `pandas.read_parquet` finds it."""
    column = {'field_name': 'task', 'name': 'task', 'pandas_type': 'unicode', 'numpy_type': 'object', 'metadata': None}
    number = column | {'field_name': 'task_index', 'name': 'task_index', 'pandas_type': 'int64', 'numpy_type': 'int64'}
    header = {'index_columns': ['task'], 'column_indexes': [], 'columns': [number, column], 'pandas_version': '2.2.0'}
    table = pa.table({'task_index': pa.array([0], pa.int64()), 'task': pa.array([name], pa.string())})
    return table.replace_schema_metadata({'pandas': json.dumps(header)})


def _statistics(values: Any) -> dict[str, Any]:
    """Of one feature over all frames, (N,) or (N, width)."""
    columns = np.asarray(values, np.float64).reshape(len(values), -1)
    parts = {'min': columns.min(axis=0), 'max': columns.max(axis=0), 'mean': columns.mean(axis=0), 'std': columns.std(axis=0)}
    return {**{name: part.tolist() for name, part in parts.items()}, 'count': [len(columns)]}


def _image_statistics(trajectories: Sequence[Trajectory]) -> dict[str, Any]:
    """Of the channels, each in [0, 1], over the first image of every episode; shaped (3, 1, 1)."""
    pixels = np.concatenate([decoded(trajectory.images[0]).reshape(-1, 3) for trajectory in trajectories]) / 255.0
    statistics = _statistics(pixels)
    return {name: value if name == 'count' else [[[channel]] for channel in value] for name, value in statistics.items()}


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=4) + '\n', encoding='utf-8')
