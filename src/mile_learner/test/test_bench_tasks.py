"""Every task: the same start state from the same seed whatever happened before, and the contract of `Task.make`."""

from __future__ import annotations

import dataclasses
import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from mile_learner.bench.cells import RunOptions
from mile_learner.bench.suites import Cell, configured
from mile_learner.bench.tasks import TASKS, Task, as_observation, environments, get_task, register_task
from mile_learner.errors import LearnerError

pytest.importorskip('metaworld')
NAMES = tuple(name for name in TASKS if not name.endswith(('_dqn', '_sac')))
"""The others' experts are trained for minutes when they are first asked for; see test_dqn_expert and test_sac_expert."""


def _play(task: Task, seed: int, steps: int, bias: float = 0.0) -> tuple[np.ndarray, list[float], dict]:
    env, expert = environments(task, 1)[0], task.expert(bias)
    observation, info = env.reset(seed=seed)
    seen, rewards = [as_observation(task, observation)], []
    for _ in range(steps):
        observation, reward, terminated, truncated, info = env.step(expert(env, seen[-1]))
        seen.append(as_observation(task, observation))
        rewards.append(float(reward))
        if terminated or truncated:
            break
    return np.stack(seen), rewards, info


@pytest.mark.parametrize('name', NAMES)
def test_same_seed_same_episode_after_another_history(name: str) -> None:
    task = get_task(name)
    first = _play(task, 7, 30)
    _play(task, 8, 13, bias=0.3)
    again = _play(task, 7, 30)
    np.testing.assert_array_equal(first[0], again[0])
    assert first[1] == again[1]
    other = _play(task, 8, 0)[0]
    assert np.abs(other[0] - first[0][0]).max() > 1e-3


@pytest.mark.parametrize('name', NAMES)
def test_the_expert_succeeds_and_warns_of_nothing(name: str) -> None:
    task = get_task(name)
    with warnings.catch_warnings():
        warnings.simplefilter('error', UserWarning)
        successes = [_play(task, seed, task.horizon)[2]['success'] for seed in range(5)]
    assert sum(successes) >= 4


def test_meta_world_ends_at_its_horizon_without_an_error() -> None:
    task = get_task('button_press')
    env = environments(task, 1)[0]
    env.reset(seed=0)
    ends = [env.step(np.zeros(4, np.float32))[2:4] for _ in range(task.horizon)]
    assert not any(terminated or truncated for terminated, truncated in ends[:-1])
    assert ends[-1] == (False, True)


def test_own_task(toy_task: str) -> None:
    assert get_task(toy_task).input_dim == 8
    assert _play(get_task(toy_task), 3, 40)[2]['success']


@pytest.mark.parametrize(
    ('name', 'scripted'),
    [('lunar_lander_dqn', 'lunar_lander'), *((f'{name}_sac', name) for name in ('button_press', 'drawer_open'))],
)
def test_a_task_with_a_trained_expert_is_otherwise_the_same(name: str, scripted: str) -> None:
    task, same = get_task(name), get_task(scripted)
    own = ('name', 'expert', 'value', 'initial', 'options_of', 'training')
    assert all(getattr(task, field.name) == getattr(same, field.name) for field in dataclasses.fields(task) if field.name not in own)
    assert task.initial.demonstrations == same.initial.demonstrations
    assert task.value is not None
    assert task.training is not None
    other = 'block_insertion'
    assert configured('mile', name) == configured('mile', scripted) != configured('mile', other)
    chosen = RunOptions(chosen=json.dumps({scripted: {'mile': {'learning_rate': 0.5}}}))
    assert chosen.configuration(Cell('single', name, 'delayed', 'mile', 0)).to_mapping()['learning_rate'] == 0.5


@pytest.mark.parametrize(('where', 'words'), [('no_such_module:TASK', 'cannot be imported'), ('math:pi', 'expected a Task')])
def test_what_is_no_task_is_refused(monkeypatch: pytest.MonkeyPatch, where: str, words: str) -> None:
    monkeypatch.setattr('mile_learner.bench.tasks.TASKS', {'bad': where})
    with pytest.raises(LearnerError, match=words):
        get_task('bad')
    with pytest.raises(LearnerError, match='expected one of bad'):
        get_task('good')


def test_a_name_belongs_to_one_task(toy_task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    register_task(toy_task, TASKS[toy_task])
    with pytest.raises(LearnerError, match='expected another name than that of mile_learner'):
        register_task('lunar_lander', TASKS[toy_task])
    monkeypatch.setitem(TASKS, 'line', TASKS[toy_task])
    with pytest.raises(LearnerError, match="bench_toy:TASK: got a Task whose name is 'point', expected 'line'"):
        get_task('line')


def test_a_task_is_judged_by_what_is_recorded(toy_task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import bench_toy

    monkeypatch.setattr(bench_toy, 'REWARDED', dataclasses.replace(bench_toy.TASK, metric='reward'), raising=False)
    monkeypatch.setitem(TASKS, toy_task, 'bench_toy:REWARDED')
    with pytest.raises(LearnerError, match="bench_toy:REWARDED: metric: got 'reward', expected one of success, return"):
        get_task(toy_task)


def test_a_module_that_breaks_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'breaks.py').write_text('1 / 0')
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(TASKS, 'breaks', 'breaks:TASK')
    with pytest.raises(LearnerError, match='ZeroDivisionError: division by zero'):
        get_task('breaks')


def test_an_observation_of_another_length_is_refused() -> None:
    with pytest.raises(LearnerError, match='expected \\(8,\\)'):
        as_observation(get_task('lunar_lander'), np.zeros(7))
