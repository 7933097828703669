"""What a method is given of a recorded episode."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mile_learner.bags import read_episode
from mile_learner.dataset import episode_data
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
