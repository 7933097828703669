"""What a method is given: where an episode ends, and that nothing in it is not finite."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mile_learner.bags import read_episode
from mile_learner.bundle import Bundle
from mile_learner.dataset import episode_data
from mile_learner.errors import LearnerError
from mile_learner.methods import METHODS
from mile_learner.methods.base import InterventionData
from mile_learner.methods.rlif import rewards_of
from mile_learner.step import Mode, Source, Step

MakeStep = Callable[..., Step]
WriteEpisode = Callable[..., Path]
NAN = np.full(4, np.nan, dtype=np.float32)


def held(step: Step) -> Step:
    """The same tick, if nobody had commanded the arm and the policy had not answered."""
    nothing = {'robot_action': NAN, 'robot_action_valid': False, 'human_action': NAN, 'executed_action': NAN}
    return dataclasses.replace(step, source=Source.HOLD, mode=Mode.HOLD, intervening=False, **nothing)


@pytest.mark.parametrize(('outcome', 'ended'), [('success', True), ('failure', True), ('timeout', False)])
def test_an_episode_that_ends_on_a_hold_has_ended_at_the_last_step_that_was_commanded(
    tmp_path: Path, make_step: MakeStep, write_episode: WriteEpisode, outcome: str, *, ended: bool
) -> None:
    steps = [make_step(i, intervening=i == 2) for i in range(6)]
    steps[4:] = map(held, steps[4:])
    data = episode_data(read_episode(write_episode(tmp_path / 'e', steps, outcome=outcome)), history=1, number=0, iteration=0)
    assert data.done.tolist() == [False, False, False, ended]
    assert np.array_equal(data.next_stacked[-1], steps[4].observation), 'what was seen during the hold'


def test_after_the_last_step_that_was_recorded_nothing_was_seen(tmp_path: Path, make_step: MakeStep, write_episode: WriteEpisode) -> None:
    path = write_episode(tmp_path / 'e', [make_step(i) for i in range(3)], outcome='timeout')
    data = episode_data(read_episode(path), history=1, number=0, iteration=0)
    assert np.array_equal(data.next_stacked, data.stacked[[1, 2, 2]])


@pytest.mark.parametrize(
    ('text', 'onsets', 'penalised'),
    [
        ('..HHHH..', [2], [1]),
        ('..HH__HH..', [2, 6], [1]),
        ('..HH?HH..', [2, 5], [1]),
        ('...______HH', [9], []),
        ('.._.HH', [4], [3]),
    ],
)
def test_what_was_left_out_stands_between_the_steps_around_it(
    tmp_path: Path, make_step: MakeStep, write_episode: WriteEpisode, text: str, onsets: list[int], penalised: list[int]
) -> None:
    """'.' the robot, 'H' the human, '_' nobody, '?' nobody, as nothing was seen; by the numbers of the steps in the bag."""
    steps = [make_step(i, intervening=letter == 'H') for i, letter in enumerate(text)]
    steps = [held(step) if letter in '_?' else step for step, letter in zip(steps, text, strict=True)]
    blind = np.zeros(0, np.float32)
    steps = [dataclasses.replace(step, observation=blind) if letter == '?' else step for step, letter in zip(steps, text, strict=True)]
    data = episode_data(read_episode(write_episode(tmp_path / 'e', steps)), history=1, number=0, iteration=0)
    assert data.step[data.onset].tolist() == onsets
    assert data.step[rewards_of(data) < 0].tolist() == penalised


def data_of(*, demonstration: bool = False, **changes: np.ndarray) -> InterventionData:
    """Eight steps, nu = 1 in the last two, or in a demonstration in all."""
    step = np.arange(8)
    nu = (step >= 6) | demonstration
    never = np.zeros(8, dtype=bool)
    human = np.where(nu[:, None], np.float32(0.5), NAN)
    columns = {'stacked': np.zeros((8, 12), np.float32), 'next_stacked': np.zeros((8, 12), np.float32)}
    columns |= {'robot_action': np.zeros((8, 4), np.float32), 'human_action': human, 'intervening': nu, 'step': step}
    columns |= {'episode': 0 * step, 'iteration': 0 * step, 'done': never, 'success': never, 'demonstration': never | demonstration}
    return InterventionData(**(columns | changes))


def without(columns: int, row: int, value: float) -> np.ndarray:
    """Zeros, but for one row."""
    values = np.zeros((8, columns), np.float32)
    values[row] = value
    return values


@pytest.mark.parametrize(
    ('changes', 'said'),
    [
        ({'stacked': without(12, 3, np.nan)}, 'stacked: not finite at 1 of 8 steps, first at step 3 of episode 0'),
        ({'next_stacked': without(12, 3, np.inf)}, 'next_stacked: not finite at 1 of 8 steps, first at step 3 of episode 0'),
        ({'robot_action': without(4, 7, np.nan)}, 'robot_action: not finite at 1 of 8 steps, first at step 7 of episode 0'),
        ({'human_action': without(4, 7, np.inf)}, 'human_action: not finite at 1 of 8 steps, first at step 7 of episode 0'),
    ],
)
def test_data_that_are_not_finite_are_refused_where_they_come_in(changes: dict[str, np.ndarray], said: str) -> None:
    with pytest.raises(LearnerError, match=f'{said}; remove the episodes') as refused:
        data_of(**changes)
    assert '\n' not in str(refused.value)
    data_of()


def test_a_demonstration_has_no_robot_action_and_every_step_without_an_intervention_no_human_one() -> None:
    nothing = np.full((8, 4), np.nan, np.float32)
    data_of(demonstration=True, robot_action=nothing)
    assert np.isnan(data_of().human_action[:6]).all()


def test_an_oracle_that_says_nothing_is_refused_by_who_imitates_it(make_bundle: Callable[..., Bundle]) -> None:
    data = data_of(oracle_action=np.full((8, 4), np.nan, np.float32))
    with pytest.raises(LearnerError, match='dagger: got actions to imitate that are not finite'):
        METHODS['dagger'].fit(data, make_bundle(), config=METHODS['dagger'].configure('toy'), seed=0)


@pytest.mark.parametrize(
    ('changes', 'name'),
    [({'observation': np.full(3, np.nan, np.float32)}, 'observation'), ({'robot_action': NAN}, 'robot_action')],
)
def test_a_bag_that_is_not_finite_is_named(
    tmp_path: Path, make_step: MakeStep, write_episode: WriteEpisode, changes: dict[str, np.ndarray], name: str
) -> None:
    steps = [make_step(i) for i in range(4)]
    steps[2] = dataclasses.replace(steps[2], **changes)
    path = write_episode(tmp_path / 'e', steps)
    with pytest.raises(LearnerError, match=f'{name} is not finite; `mile inspect {path} --check` names the steps'):
        episode_data(read_episode(path), history=1, number=0, iteration=0)
    shown = write_episode(tmp_path / 'shown', [make_step(i, intervening=True) for i in range(4)], mode='demonstrate')
    episode_data(read_episode(shown), history=1, number=0, iteration=0)
