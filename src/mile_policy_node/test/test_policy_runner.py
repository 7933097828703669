"""The policy tick by tick: its history is the one that training stacks, a version is checked before it flies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mile_learner.bundle import Bundle
from mile_learner.history import stack_episode
from mile_learner.step import Array
from mile_learner.task import TaskConfig
from mile_policy_node.errors import PolicyError
from mile_policy_node.observation import ObservationConfig, Reading, arm_reading
from mile_policy_node.policy_runner import PolicyRunner


class Clock:
    """Every reading takes `inference_s`: an answer begins at `now` and leaves `inference_s` later."""

    def __init__(self) -> None:
        self.now = 100.0
        self.inference_s = 0.001

    def __call__(self) -> float:
        now, self.now = self.now, self.now + self.inference_s
        return now


def inputs(value: float, stamp: float) -> tuple[Reading, Reading]:
    scene = dict.fromkeys(('block_to_hole_x', 'block_to_hole_y', 'block_to_hole_z'), value)
    return arm_reading(stamp, [value, 2 * value, -value], 0.03), Reading(stamp, scene)


def make_runner(task: TaskConfig, folder: Path | None) -> tuple[PolicyRunner, Clock]:
    clock = Clock()
    runner = PolicyRunner(task, ObservationConfig(), clock)
    if folder is not None:
        runner.load(folder)
    return runner, clock


@pytest.fixture(scope='module')
def folder(save_bundle: Callable[..., Path]) -> Path:
    return save_bundle()


@given(seen=st.lists(st.booleans(), min_size=1, max_size=25))
@settings(max_examples=60, deadline=None)
def test_the_history_is_what_training_stacks_from_the_recorded_steps(seen: list[bool], task: TaskConfig, folder: Path) -> None:
    """Scenes come and go; every answer is recorded."""
    bundle = Bundle.load(folder)
    runner, clock = make_runner(task, folder)
    recorded: list[Array] = []
    for index, there in enumerate(seen):
        clock.now += 0.1
        arm, scene = inputs(0.01 * (index + 1), clock.now)
        answer = runner.answer('e', index, arm, scene if there else None)
        assert answer.valid == there
        if there:
            recorded.append(answer.observation)
            expected, probability = bundle.act(stack_episode(np.stack(recorded), task.history)[-1])
            np.testing.assert_array_equal(answer.action, expected)
            assert answer.intervention_probability == pytest.approx(float(probability))
            assert answer.inference_ms == pytest.approx(1e3 * clock.inference_s)
        else:
            assert len(answer.observation) == 0
            assert np.isnan(answer.action).all()


def test_a_new_episode_forgets_the_last_one(task: TaskConfig, folder: Path) -> None:
    runner, clock = make_runner(task, folder)
    first = runner.answer('a', 0, *inputs(0.1, clock.now))
    for index in range(1, 4):
        runner.answer('a', index, *inputs(0.9, clock.now))
    for episode, index in (('a', 0), ('b', 3)):
        again = runner.answer(episode, index, *inputs(0.1, clock.now))
        np.testing.assert_array_equal(again.action, first.action)


def test_without_a_policy_every_tick_is_answered_with_the_reason(task: TaskConfig) -> None:
    runner, clock = make_runner(task, None)
    answer = runner.answer('a', 0, *inputs(0.1, clock.now))
    assert not answer.valid
    assert answer.detail == 'no policy is loaded; call load_policy'
    assert len(answer.observation) == len(task.observation_layout), 'a demonstration records what was seen'
    assert runner.version == ''


def test_an_observation_that_makes_the_output_not_finite_is_recorded_with_an_invalid_answer(
    task: TaskConfig, save_bundle: Callable[..., Path]
) -> None:
    runner, clock = make_runner(task, save_bundle(weight=1e38))
    answer = runner.answer('a', 0, *inputs(0.4, clock.now))
    assert not answer.valid
    assert 'policy output is not finite' in answer.detail
    assert len(answer.observation) == len(task.observation_layout)


def damaged(folder: Path) -> Path:
    weights = folder / 'policy.safetensors'
    weights.write_bytes(weights.read_bytes()[:-1] + b'x')
    return folder


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda save: save().parent / 'v999', 'cannot be read'),
        (lambda save: damaged(save('v001')), 'SHA-256'),
        (lambda save: save('v001', observation_layout=('a', 'b')), 'is made for a, b; the task has ee_x'),
        (lambda save: save('v001', history=7), 'does not run on 49 numbers'),
        (lambda save: save('v001', weight=float('nan')), 'policy output is not finite'),
    ],
)
def test_a_version_that_cannot_fly_leaves_the_one_that_does(
    task: TaskConfig, save_bundle: Callable[..., Path], make: Callable[[Callable[..., Path]], Path], message: str
) -> None:
    runner, clock = make_runner(task, save_bundle('v000'))
    with pytest.raises(PolicyError, match=message):
        runner.load(make(save_bundle))
    assert runner.version == 'v000'
    assert runner.answer('a', 0, *inputs(0.1, clock.now)).valid
