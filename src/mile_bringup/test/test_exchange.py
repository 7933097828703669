"""Episodes to other tools' data sets and back: what comes back is what was recorded."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from mile_bringup import invariant_report
from mile_bringup.cli import main
from mile_bringup.errors import UsageError
from mile_bringup.exchange import lerobot, robomimic
from mile_bringup.exchange.demonstration import write_demonstration, write_steps
from mile_bringup.exchange.trajectory import Trajectory, checked, read_trajectory
from mile_bringup.run_setup import open_run
from mile_learner.bags import read_episode
from mile_learner.check import check_bag
from mile_learner.run_folder import Run
from mile_learner.step import Gate, Mode, Source
from mile_learner.task import TaskConfig

pytest.importorskip('pyarrow', reason='an environment from before mile export: make setup')
pytest.importorskip('h5py', reason='an environment from before mile export: make setup')
FORMATS = {'lerobot': lerobot, 'robomimic': robomimic}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run, _ = open_run(tmp_path / 'run', {'seed': 1})
    return run


@pytest.fixture
def task(run: Run) -> TaskConfig:
    return TaskConfig.from_mapping(run.config['task'])


def trajectory(seed: int, steps: int, *, success: bool = True, images: bool = False, width: int = 7) -> Trajectory:
    rng = np.random.default_rng(seed)
    pictures = [np.full((8, 12, 3), (20 * step, 100, 200), np.uint8) for step in range(steps)] if images else []
    return Trajectory(
        observations=rng.normal(size=(steps, width)).astype(np.float32),
        actions=rng.uniform(-1, 1, (steps, 4)).astype(np.float32),
        robot_actions=np.full((steps, 4), np.nan, np.float32),
        intervening=np.ones(steps, dtype=bool),
        success=success,
        images=tuple(cv2.imencode('.jpg', picture[..., ::-1])[1].tobytes() for picture in pictures),
        name=f'episode {seed}',
    )


def demonstrate(run: Run, task: TaskConfig, index: int, shown: Trajectory) -> Path:
    path = run.path / 'demonstrations' / f'episode_{index:03d}'
    return write_demonstration(shown, task, path, episode_id=f'e{index}', origin='a test')


def assert_equal(got: Trajectory, expected: Trajectory) -> None:
    for field in ('observations', 'actions', 'robot_actions', 'intervening'):
        np.testing.assert_array_equal(getattr(got, field), getattr(expected, field), err_msg=field)
    assert got.success is expected.success


@pytest.mark.parametrize('kind', FORMATS)
def test_demonstrations_go_out_and_come_back_into_another_run(
    kind: str, run: Run, task: TaskConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = [trajectory(number, 5 + number, success=number != 1) for number in range(3)]
    for index, one in enumerate(shown):
        demonstrate(run, task, index, one)
    out, other = tmp_path / 'out', tmp_path / 'other'
    assert main(['export', str(run.path), '--to', kind, '--out', str(out), '--demonstrations', '--json']) == 0
    assert json.loads(capsys.readouterr().out) == {'out': str(out), 'format': kind, 'episodes': 3, 'steps': 18, 'images': False}
    assert main(['import', str(out), '--from', kind, '--run', str(other)]) == 0
    bags = Run.open(other).recorded('demonstrations')
    assert list(bags) == [0, 1, 2]
    for path, expected in zip(bags.values(), shown, strict=True):
        assert check_bag(path) == []
        assert_equal(read_trajectory(path, '', images=False), expected)
    capsys.readouterr()
    assert main(['import', str(out), '--from', kind, '--run', str(other)]) == 0
    assert ': 0 demonstrations, 3 were there already' in capsys.readouterr().out
    copy = out.rename(tmp_path / 'elsewhere')
    assert main(['import', str(copy), '--from', kind, '--run', str(other)]) == 0
    assert list(Run.open(other).recorded('demonstrations')) == [0, 1, 2, 3, 4, 5], 'importing never overwrites'
    copy.rename(out)
    capsys.readouterr()
    assert main(['export', str(run.path), '--to', kind, '--out', str(out), '--demonstrations']) == 2
    assert 'nothing is ever overwritten' in capsys.readouterr().err


@pytest.mark.parametrize('kind', FORMATS)
def test_a_run_that_looks_goes_out_and_comes_back_number_by_number(kind: str, tmp_path: Path) -> None:
    run, _ = open_run(tmp_path / 'run', {'seed': 1, 'observation': 'pixels'})
    task = TaskConfig.from_mapping(run.config['task'])
    *_, image = task.observation_layout
    assert image == 'efficientnet_lite0:1280'
    shown = trajectory(0, 5, width=4 + 1280)
    demonstrate(run, task, 0, shown)
    out = tmp_path / 'out'
    assert main(['export', str(run.path), '--to', kind, '--out', str(out), '--demonstrations']) == 0
    assert main(['import', str(out), '--from', kind, '--run', str(run.path)]) == 0
    bags = run.recorded('demonstrations')
    assert list(bags) == [0, 1]
    assert check_bag(bags[1]) == []
    assert_equal(read_trajectory(bags[1], '', images=False), shown)
    if kind == 'lerobot':
        state = json.loads((out / 'meta/info.json').read_text())['features']['observation.state']
        assert state['shape'] == [len(state['names'])] == [1284]
        assert (state['names'][0], state['names'][4 + 17]) == ('ee_x', 'efficientnet_lite0[17]')


@pytest.mark.parametrize('kind', FORMATS)
def test_who_acted_and_what_was_seen_go_out_too(kind: str, run: Run, task: TaskConfig, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    episode = dataclasses.replace(
        trajectory(0, 6, images=True), robot_actions=rng.uniform(-1, 1, (6, 4)).astype(np.float32), intervening=np.arange(6) >= 4
    )
    (tmp_path / kind).mkdir()
    FORMATS[kind].write([episode], task, tmp_path / kind)
    (back,) = FORMATS[kind].read(tmp_path / kind, task)
    assert_equal(back, episode)
    assert main(['import', str(tmp_path / kind), '--from', kind, '--run', str(run.path)]) == 2, 'a policy acted in it'
    if kind == 'robomimic':
        import h5py

        with h5py.File(tmp_path / kind / 'demo.hdf5') as file:
            assert file['data/demo_0/obs/front_image'].shape == (6, 8, 12, 3)
            np.testing.assert_allclose(file['data/demo_0/obs/front_image'][3].mean(axis=(0, 1)), (60, 100, 200), atol=4)
            np.testing.assert_array_equal(file['data/demo_0/next_obs/state'][0], episode.observations[1])
            assert list(file['mask/success']) == [b'demo_0']
    else:
        from pyarrow import parquet

        table = parquet.read_table(tmp_path / kind / 'data/chunk-000/file-000.parquet')
        assert [image['bytes'] for image in table['observation.images.front'].to_pylist()] == list(episode.images)
        np.testing.assert_allclose(table['timestamp'].to_pylist(), np.arange(6) / task.rate_hz)
        info = json.loads((tmp_path / kind / 'meta/info.json').read_text())
        assert set(info['features']) == set(table.column_names)
        assert (info['total_frames'], info['fps'], info['features']['observation.state']['names']) == (6, 10, list(task.observation_layout))
        episodes = parquet.read_table(tmp_path / kind / 'meta/episodes/chunk-000/file-000.parquet').to_pylist()
        assert (episodes[0]['dataset_from_index'], episodes[0]['dataset_to_index'], episodes[0]['length']) == (0, 6, 6)
        stats = json.loads((tmp_path / kind / 'meta/stats.json').read_text())
        np.testing.assert_allclose(stats['action']['mean'], episode.actions.mean(axis=0), atol=1e-6)
        np.testing.assert_allclose(np.ravel(stats['observation.images.front']['mean']), np.array([0, 100, 200]) / 255, atol=0.02)


def test_steps_that_were_held_are_left_out(run: Run, task: TaskConfig) -> None:
    path = demonstrate(run, task, 0, trajectory(0, 4))
    steps = list(read_episode(path).steps)
    steps[1] = dataclasses.replace(steps[1], source=Source.HOLD, mode=Mode.HOLD, gate=Gate.NONE, intervening=False)
    held = write_steps(steps, run.path / 'held', {'outcome': 'failure'})
    got = read_trajectory(held, '', images=True)
    np.testing.assert_array_equal(got.observations, trajectory(0, 4).observations[[0, 2, 3]])
    assert (got.success, got.images) == (False, ())


def test_the_entries_of_a_named_state_are_found_by_name_in_older_data_sets_too(task: TaskConfig, tmp_path: Path) -> None:
    lerobot.write([trajectory(0, 4)], task, tmp_path)
    info = json.loads((tmp_path / 'meta/info.json').read_text())
    info['features']['observation.state']['names'].reverse()
    info['codebase_version'] = 'v2.1'
    (tmp_path / 'data/chunk-000/file-000.parquet').rename(tmp_path / 'data/chunk-000/episode_000000.parquet')
    (tmp_path / 'meta/info.json').write_text(json.dumps(info))
    (back,) = lerobot.read(tmp_path, task)
    np.testing.assert_array_equal(back.observations, trajectory(0, 4).observations[:, ::-1])


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (
            {'actions': np.zeros((4, 7), np.float32)},
            r'got \(7,\) observation and \(7,\) action values .* expected \(7,\).* and \(4,\)',
        ),
        ({'actions': np.full((4, 4), 1.5, np.float32)}, r'actions beyond \[-1, 1\]; scale the actions'),
        ({'observations': np.full((4, 7), np.nan, np.float32)}, 'not finite'),
    ],
)
def test_what_cannot_be_a_demonstration_is_refused(change: dict[str, np.ndarray], words: str, task: TaskConfig) -> None:
    with pytest.raises(UsageError, match=words):
        checked(dataclasses.replace(trajectory(0, 4), **change), task.observation_layout)


@pytest.mark.parametrize(('kind', 'words'), [('lerobot', 'is no LeRobot data set'), ('robomimic', 'is no HDF5 file')])
def test_what_is_no_data_set_is_one_line(kind: str, words: str, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['import', str(run.path), '--from', kind, '--run', str(run.path.with_name('new'))]) == 2
    assert not run.path.with_name('new').exists(), 'a run without anything in it'
    capsys.readouterr()
    assert main(['import', str(run.path), '--from', kind, '--run', str(run.path)]) == 2
    error = capsys.readouterr().err.strip()
    assert words in error
    assert '\n' not in error
    assert not run.recorded('demonstrations')


@pytest.mark.parametrize('kind', FORMATS)
def test_another_rate_or_another_observation_is_refused(kind: str, task: TaskConfig, tmp_path: Path) -> None:
    FORMATS[kind].write([trajectory(0, 4)], task, tmp_path)
    with pytest.raises(UsageError, match='has 10 steps per second, the task 20; give the run --rate 10'):
        list(FORMATS[kind].read(tmp_path, dataclasses.replace(task, rate_hz=20.0)))
    with pytest.raises(UsageError, match='choose the state by --observation'):
        list(FORMATS[kind].read(tmp_path, task, 'pose'))


def test_the_invariants_are_asked_of_what_a_deployment_recorded(run: Run, task: TaskConfig) -> None:
    demonstrate(run, task, 0, trajectory(0, 5))
    report = invariant_report.report(run.path)
    assert report.data['episodes'] == {}
    assert report.text.endswith('0 episodes, 1 imported ones left out')
