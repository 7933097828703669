"""The first policy from demonstrations, and the first mental model from what was shown."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mile_learner.bundle import Bundle
from mile_learner.check import check_bag
from mile_learner.errors import LearnerError
from mile_learner.initial import clone_demonstrations, warm_start
from mile_learner.run_folder import DEMONSTRATE, SHOW, SHOWN_EPISODES, Run
from mile_learner.run_state import Episode, next_action
from mile_learner.step import Source, Step

TASK = {
    'name': 'toy',
    'environment': 'none',
    'observation_layout': ['x', 'y', 'z'],
    'history': 2,
    'step_size_m': 0.01,
    'gripper_closed_m': 0.0,
    'gripper_open_m': 0.05,
    'workspace_low': [0.0, 0.0, 0.0],
    'workspace_high': [1.0, 1.0, 1.0],
}
HUMAN_ACTION = np.array([0.5, -0.25, 0.0, -1.0], np.float32)
QUICK = {'epochs': 300, 'learning_rate': 0.01, 'hidden': [16]}
Make = Callable[..., Step]
Write = Callable[..., Path]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / 'run', {'task': TASK, 'seed': 3})


def demonstrated(make_step: Make, index: int) -> Step:
    """A step of a demonstration: the human's, without a robot action."""
    step = make_step(index, intervening=True)
    nothing = np.full(4, np.nan, np.float32)
    return dataclasses.replace(
        step, robot_action=nothing, robot_action_valid=False, human_action=HUMAN_ACTION, executed_action=HUMAN_ACTION, policy_version=''
    )


def demonstrate(run: Run, make_step: Make, write_episode: Write, index: int, outcome: str = 'success') -> Path:
    steps = [demonstrated(make_step, number) for number in range(20)]
    return write_episode(run.path / 'demonstrations' / f'episode_{index:03d}', steps, outcome=outcome, mode=DEMONSTRATE)


def show(run: Run, make_step: Make, write_episode: Write, index: int) -> Path:
    steps = [make_step(number) for number in range(20)]
    return write_episode(run.path / 'shown_v000' / f'episode_{index:03d}', steps, mode=SHOW)


@pytest.mark.parametrize('distribution', ['gaussian', 'squashed'])
def test_the_first_policy_does_what_was_demonstrated_and_failures_teach_nothing(
    run: Run, make_step: Make, write_episode: Write, distribution: str
) -> None:
    paths = [demonstrate(run, make_step, write_episode, index) for index in range(2)]
    demonstrate(run, make_step, write_episode, 2, 'timeout')
    assert [finding for path in paths for finding in check_bag(path)] == []
    manifest = clone_demonstrations(run, overrides={**QUICK, 'distribution': distribution})
    assert (manifest.version, manifest.parent, manifest.iteration) == ('v000', None, None)
    assert [entry['episode'] for entry in manifest.data] == ['demonstrations/episode_000', 'demonstrations/episode_001']
    assert (manifest.metrics['demonstrations'], manifest.metrics['left_out']) == (2, 1)
    bundle = Bundle.load(run.version_path('v000'))
    action, p = bundle.act(np.zeros(6, np.float32))
    np.testing.assert_allclose(action, HUMAN_ACTION, atol=0.15)
    assert np.isnan(p), 'nobody has seen it yet'


@pytest.mark.parametrize(
    'kind',
    [{'distribution': 'gaussian', 'log_std_min': -3.0, 'log_std_max': 0.5}, {'distribution': 'mixture', 'components': 3}],
)
def test_the_mental_model_expects_what_was_shown(run: Run, make_step: Make, write_episode: Write, kind: dict[str, Any]) -> None:
    demonstrate(run, make_step, write_episode, 0)
    clone_demonstrations(run, overrides={**QUICK, **kind})
    run.promote('v000')
    for index in range(SHOWN_EPISODES):
        with pytest.raises(LearnerError, match=f'v000 was shown in {index} episodes, expected {SHOWN_EPISODES}'):
            warm_start(run)
        show(run, make_step, write_episode, index)
    manifest = warm_start(run)
    assert (manifest.version, manifest.parent, manifest.iteration, len(manifest.data)) == ('v001', 'v000', None, SHOWN_EPISODES)
    assert (manifest.c, manifest.sigma) == (5.7, 1.14), 'the version that was shown had no use for its own'
    first, second = Bundle.load(run.version_path('v000')), Bundle.load(run.version_path('v001'))
    for name, weight in first.policy.state_dict().items():
        torch.testing.assert_close(second.policy.state_dict()[name], weight, rtol=0, atol=0)
    for architecture in (manifest.architecture, manifest.mental_architecture):
        assert architecture is not None
        assert kind.items() <= architecture.to_mapping().items()
    assert 0 <= second.act(np.zeros(6, np.float32))[1] <= 1
    run.promote('v001')
    assert next_action(run.state(), 1, 1) == Episode(0, 0), 'demonstrations and showings belong to no iteration'


def test_without_a_successful_demonstration_there_is_nothing_to_clone(run: Run, make_step: Make, write_episode: Write) -> None:
    demonstrate(run, make_step, write_episode, 0, 'failure')
    with pytest.raises(LearnerError, match='got 1 demonstrations of which none succeeded') as caught:
        clone_demonstrations(run)
    assert '\n' not in str(caught.value)
    assert run.versions() == {}


def test_a_policy_that_acts_in_a_demonstration_is_found(run: Run, make_step: Make, write_episode: Write) -> None:
    steps = [demonstrated(make_step, 0), make_step(1)]
    assert steps[1].source is Source.POLICY
    path = write_episode(run.path / 'demonstrations' / 'episode_000', steps, mode=DEMONSTRATE)
    assert [(finding.kind, finding.index) for finding in check_bag(path)] == [('robot_action', 1)]
