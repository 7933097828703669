"""Rollouts and evaluation in a small environment of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from scipy.stats import binomtest

from mile_learner.bundle import Bundle
from mile_learner.errors import LearnerError
from mile_learner.evaluate import evaluate, make_environment, wilson_interval
from mile_learner.rollout import rollout
from mile_learner.step import Array

TOY_MODULE = """
import gymnasium
import numpy as np

class Toy(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (3,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (4,), np.float32)

    def reset(self, *, seed=None, options=None):
        self.seed, self.ticks, self.actions = seed, 0, []
        return np.array([seed / 10, 0, 0], np.float32), {}

    def step(self, action):
        self.ticks += 1
        self.actions.append(action)
        over = self.ticks == 6
        return np.array([self.seed / 10, self.ticks, 0], np.float32), 0.0, False, over, {'success': over and self.seed % 3 == 0}

gymnasium.register(id='toy/Toy-v0', entry_point=Toy)
"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module that registers toy/Toy-v0, in which every third seed succeeds at the sixth tick."""
    (tmp_path / 'toy_environment.py').write_text(TOY_MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv('PYTHONPATH', f'{tmp_path}:{Path(__file__).parents[1]}')
    return 'toy_environment'


class TakesOver:
    """Takes over at ticks 2 and 3."""

    def reset(self, seed: int) -> None:  # noqa: ARG002
        self.seen: list[Array] = []

    def act(self, observation: Array, stacked: Array) -> Array | None:  # noqa: ARG002
        self.seen.append(stacked)
        return np.full(4, 0.5, dtype=np.float32) if len(self.seen) in (3, 4) else None


def test_the_human_replaces_the_robot_and_both_actions_are_kept(toy: str, make_bundle: Callable[..., Bundle]) -> None:
    environment: gymnasium.Env[Any, Any] = make_environment('toy/Toy-v0', toy)
    human = TakesOver()
    episode = rollout(environment, make_bundle(), seed=3, human=human)
    assert episode.success
    assert episode.intervening.tolist() == [False, False, True, True, False, False]
    assert np.isfinite(episode.robot_actions).all()
    assert np.isnan(episode.human_actions[~episode.intervening]).all()
    assert np.array_equal(np.stack(environment.unwrapped.actions), episode.executed_actions)
    assert episode.observations[:, 1].tolist() == [0, 1, 2, 3, 4, 5]
    assert np.array_equal(human.seen[4][1::3], [1, 2, 3, 4])
    assert ((episode.probabilities > 0) & (episode.probabilities < 1)).all()


@pytest.mark.parametrize('workers', [1, 2])
def test_evaluation_counts_each_start_state_in_order(toy: str, tmp_path: Path, make_bundle: Callable[..., Bundle], workers: int) -> None:
    make_bundle().save(tmp_path / 'v000')
    calls: list[tuple[int, int]] = []
    result = evaluate(tmp_path / 'v000', 'toy/Toy-v0', [3, 4, 5, 6], module=toy, workers=workers, progress=lambda *done: calls.append(done))
    assert result == [True, False, False, True]
    assert calls == [(1, 1), (2, 1), (3, 1), (4, 2)]


def test_what_cannot_be_evaluated_is_named(toy: str, tmp_path: Path, make_bundle: Callable[..., Bundle]) -> None:
    with pytest.raises(LearnerError, match='expected the folder of a policy version'):
        evaluate(tmp_path, 'toy/Toy-v0', [0], module=toy)
    make_bundle().save(tmp_path / 'v000')
    with pytest.raises(LearnerError, match="environment 'toy/Nothing-v0'"):
        evaluate(tmp_path / 'v000', 'toy/Nothing-v0', [0], module=toy)
    with pytest.raises(LearnerError, match="module 'no_such_module'"):
        evaluate(tmp_path / 'v000', 'toy/Toy-v0', [0], module='no_such_module')


@pytest.mark.parametrize(('successes', 'episodes'), [(0, 10), (8, 10), (25, 50), (50, 50)])
def test_wilson_interval_is_that_of_scipy(successes: int, episodes: int) -> None:
    expected = binomtest(successes, episodes).proportion_ci(method='wilson')
    assert wilson_interval(successes, episodes) == pytest.approx((expected.low, expected.high), abs=1e-6)


@pytest.mark.parametrize(('successes', 'episodes'), [(1, 0), (0, 0), (3, 2), (-1, 2)])
def test_impossible_counts_are_refused(successes: int, episodes: int) -> None:
    with pytest.raises(LearnerError, match='expected 0 <= successes'):
        wilson_interval(successes, episodes)
