"""A run folder: what comes next, which version flies, and that nothing is overwritten or lost."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mile_learner.bundle import Bundle
from mile_learner.config import ConfigError
from mile_learner.errors import LearnerError
from mile_learner.run_folder import Run, torn_path
from mile_learner.run_state import Done, Episode, RunState, Train, next_action


def add_version(run: Run, bundle: Bundle, parent: str | None = None, iteration: int | None = None) -> str:
    bundle.manifest = dataclasses.replace(bundle.manifest, parent=parent, iteration=iteration)
    version = run.next_version()
    bundle.save(run.version_path(version))
    return version


def add_episode(path: Path) -> None:
    path.mkdir(parents=True)
    (path / 'metadata.yaml').write_text('rosbag2_bagfile_information: {}\n')


@given(iterations=st.integers(0, 4), per_iteration=st.integers(1, 4))
def test_following_the_next_action_does_everything_once_and_in_order(iterations: int, per_iteration: int) -> None:
    episodes: dict[int, frozenset[int]] = {}
    trained: frozenset[int] = frozenset()
    done: list[object] = []
    while not isinstance(action := next_action(RunState(episodes, trained), iterations, per_iteration), Done):
        done.append(action)
        if isinstance(action, Episode):
            episodes = episodes | {action.iteration: episodes.get(action.iteration, frozenset()) | {action.index}}
        else:
            trained |= {action.iteration}
    expected: list[object] = []
    for i in range(iterations):
        expected += [*(Episode(i, k) for k in range(per_iteration)), Train(i)]
    assert done == expected


def test_a_lost_episode_is_recorded_again() -> None:
    assert next_action(RunState({0: frozenset({0, 2})}, frozenset()), 2, 3) == Episode(0, 1)
    assert next_action(RunState({0: frozenset({0, 1, 2})}, frozenset()), 2, 3) == Train(0)


def test_state_is_read_from_what_is_whole(tmp_path: Path, make_bundle: Callable[..., Bundle]) -> None:
    run = Run.create(tmp_path / 'run', {'seed': 3})
    assert Run.open(tmp_path / 'run').config == {'seed': 3}
    add_episode(run.episode_path(0, 0))
    add_episode(run.episode_path(0, 1).with_suffix('.incomplete'))
    assert next_action(run.state(), 1, 2) == Episode(0, 1)
    (torn,) = run.set_aside_torn_episodes()
    assert torn.name == 'episode_001.torn-0'
    add_episode(run.episode_path(0, 1).with_suffix('.incomplete'))
    assert run.set_aside_torn_episodes()[0].name == 'episode_001.torn-1'
    add_episode(run.episode_path(0, 1))
    assert list(run.episodes()) == [(0, 0), (0, 1)]
    add_episode(run.path / 'demonstrations' / 'episode_000')
    assert run.bags() == [run.path / 'demonstrations' / 'episode_000', *run.episodes().values()]
    assert next_action(run.state(), 1, 2) == Train(0)
    add_version(run, make_bundle(), iteration=None)
    assert next_action(run.state(), 1, 2) == Train(0)
    add_version(run, make_bundle(), parent='v000', iteration=0)
    assert next_action(run.state(), 1, 2) == Done()


def test_the_number_of_a_torn_or_salvaged_attempt_is_not_used_again_while_one_of_them_is_there(tmp_path: Path) -> None:
    run = Run.create(tmp_path, {})
    episode = run.episode_path(0, 1)
    for name, number in (('torn-1', 2), ('salvaged-4', 5), ('salvaged-6.incomplete', 7)):
        episode.with_name(f'{episode.name}.{name}').mkdir(parents=True)
        assert torn_path(episode).name == f'episode_001.torn-{number}'
    assert run.set_aside_torn_episodes() == [], 'a repair that was killed left no episode'
    under_way = run.episode_path(0, 2).with_suffix('.incomplete')
    under_way.mkdir()
    assert run.torn() == [episode.with_name('episode_001.torn-1'), under_way]
    episode.with_name('episode_001.salvaged-1').mkdir()
    assert run.torn() == [under_way]
    under_way.rmdir()
    assert torn_path(run.episode_path(0, 2)).name == 'episode_002.torn-0'


def test_promote_and_rollback(tmp_path: Path, make_bundle: Callable[..., Bundle]) -> None:
    run = Run.create(tmp_path, {})
    with pytest.raises(LearnerError, match='no policy flies'):
        run.current()
    with pytest.raises(LearnerError, match=r"`mile train '.*/my run' --method"):
        Run.create(tmp_path / 'my run', {}).current()
    run.promote(add_version(run, make_bundle()))
    with pytest.raises(LearnerError, match='nothing to roll back to'):
        run.rollback()
    run.promote(add_version(run, make_bundle(), parent='v000', iteration=0))
    assert run.current() == 'v001'
    assert run.rollback() == 'v000'
    assert run.current() == 'v000'
    assert run.next_version() == 'v002'
    with pytest.raises(LearnerError, match=r"no policy version 'v009'; there are: v000, v001"):
        run.promote('v009')


def test_a_run_is_not_created_twice_and_not_opened_from_nothing(tmp_path: Path) -> None:
    with pytest.raises(LearnerError, match='is not a run folder'):
        Run.open(tmp_path)
    Run.create(tmp_path, {'seed': 1})
    with pytest.raises(LearnerError, match='holds a run already'):
        Run.create(tmp_path, {'seed': 2})
    assert Run.open(tmp_path).config == {'seed': 1}


@pytest.mark.parametrize('seed', [None, 'abc', -1, 1.5, True, [1]])
def test_a_seed_that_is_none_is_named_with_its_file(tmp_path: Path, seed: object) -> None:
    assert (Run(tmp_path, {}).seed, Run(tmp_path, {'seed': 10**30}).seed) == (0, 10**30)
    with pytest.raises(ConfigError, match=r'run\.yaml: seed: got .*, expected a whole number >= 0'):
        _ = Run(tmp_path, {'seed': seed}).seed


def test_metrics_survive_a_torn_line(tmp_path: Path) -> None:
    run = Run.create(tmp_path, {})
    assert run.metrics() == []
    run.append_metrics({'version': 'v001', 'loss': 0.5})
    with (tmp_path / 'metrics.jsonl').open('a') as file:
        file.write('{"version": "v0')
    run.append_metrics({'version': 'v002'})
    assert run.metrics() == [{'version': 'v001', 'loss': 0.5}, {'version': 'v002'}]


@given(trained=st.frozensets(st.integers(0, 3)))
def test_trainings_come_to_an_end_whichever_versions_were_deleted(trained: frozenset[int]) -> None:
    whole = {iteration: frozenset({0, 1}) for iteration in range(4)}
    missing = 4 - len(trained)
    trainings = 0
    while (action := next_action(state := RunState(whole, trained), 4, 2)) != Done():
        assert action == Train(state.due)
        trained |= {state.due}
        trainings += 1
    assert trainings == missing


def test_what_is_no_version_but_called_alike_is_none(tmp_path: Path, make_bundle: Callable[..., Bundle]) -> None:
    run = Run.create(tmp_path / 'run', {})
    add_version(run, make_bundle())
    shutil.copytree(run.version_path('v000'), run.path / 'policies' / 'v000 backup')
    assert list(run.versions()) == ['v000']
    assert run.next_version() == 'v001'


@pytest.mark.parametrize('task', [None, [], {'name': 'x'}])
def test_a_task_that_is_missing_or_damaged_is_one_line(tmp_path: Path, task: object) -> None:
    run = Run.create(tmp_path / 'run', {} if task is None else {'task': task})
    with pytest.raises(ConfigError, match=r'run\.yaml: task'):
        _ = run.task
