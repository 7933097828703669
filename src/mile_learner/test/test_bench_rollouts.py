"""Episodes in lockstep are those of a loop, on this process or on others; what they become for training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from mile_learner.bench.humans import Always, SimulatedHuman
from mile_learner.bench.prepare import Prepared, prepare
from mile_learner.bench.rollouts import Episode, RolloutPool, run_episodes, to_data
from mile_learner.errors import LearnerError
from mile_learner.history import HistoryStack


@pytest.fixture
def prepared(toy_task: str) -> Prepared:
    from bench_toy import TINY

    return prepare(toy_task, 0, TINY)


def _same(a: Sequence[Episode], b: Sequence[Episode]) -> None:
    assert [e.start for e in a] == [e.start for e in b]
    for one, other in zip(a, b, strict=True):
        assert (one.success, one.terminated, one.onsets) == (other.success, other.terminated, other.onsets)
        np.testing.assert_array_equal(one.intervening, other.intervening)
        np.testing.assert_allclose(one.observations, other.observations, atol=1e-5)
        np.testing.assert_allclose(one.executed_action, other.executed_action, atol=1e-5)


def test_lockstep_gives_the_episodes_of_a_loop(prepared: Prepared) -> None:
    loop, lockstep = (_play(prepared, batch=batch) for batch in (1, 4))
    assert any(e.onsets for e in loop)
    assert len({len(e.reward) for e in loop}) > 1, 'episodes of different length, or the test is too easy'
    _same(loop, lockstep)


@pytest.mark.slow
def test_processes_give_the_episodes_of_a_loop(prepared: Prepared) -> None:
    seen: list[int] = []
    starts, human = prepared.starts['test'], prepared.human('delayed', prepared.initial)
    with RolloutPool(2) as pool:
        found = pool.run('point', starts, bundle=prepared.initial, expert=prepared.expert, supervisor=human, batch=3, progress=seen.append)
    _same(_play(prepared, batch=1), found)
    assert sum(seen) == len(starts)


def _play(prepared: Prepared, *, batch: int) -> list[Episode]:
    human = prepared.human('delayed', prepared.initial)
    starts = prepared.starts['test']
    return list(run_episodes(prepared.task, starts, bundle=prepared.initial, expert=prepared.expert, supervisor=human, batch=batch))


def test_training_data_of_episodes(prepared: Prepared) -> None:
    robot = prepared.initial
    episodes = prepared.play(prepared.starts['train'][:4], bundle=robot, supervisor=prepared.human('as_published', robot))
    data = to_data(prepared.task, episodes, iteration=2, first=10)
    assert len(data) == sum(len(e.reward) for e in episodes)
    assert data.intervening.any()
    assert not data.intervening.all()
    assert np.isnan(data.human_action[~data.intervening]).all()
    assert np.isfinite(data.robot_action).all()
    assert set(data.episode) == {10, 11, 12, 13}
    assert set(data.iteration) == {2}
    second = data.take(data.episode == 11)
    np.testing.assert_array_equal(second.stacked[1:], second.next_stacked[:-1])
    stack = HistoryStack(prepared.task.history, 4)
    np.testing.assert_array_equal(second.stacked, [stack.push(o) for o in episodes[1].observations[:-1]])
    assert data.done.sum() == sum(e.terminated for e in episodes)
    assert int(data.onset.sum()) == sum(e.onsets for e in episodes)


def test_demonstrations_are_the_human_alone(prepared: Prepared) -> None:
    human = SimulatedHuman(Always(), std=0.05, slip=0.0, actions=None, seed=0)
    episodes = prepared.play(prepared.starts['train'][:3], supervisor=human)
    data = to_data(prepared.task, episodes, iteration=0, first=0, demonstration=True)
    assert data.intervening.all()
    assert data.demonstration.all()
    assert data.success.mean() > 0.5
    np.testing.assert_array_equal(data.robot_action, data.human_action)


def test_nobody_to_act_is_refused(prepared: Prepared) -> None:
    with pytest.raises(LearnerError, match='at least one of them to act'):
        list(run_episodes(prepared.task, [0], bundle=None))
