"""The guards judge what the training did: which steps it counted, whether it used c and sigma, and each dimension for itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mile_learner.bundle import POLICIES, Bundle, Manifest
from mile_learner.guards import data_warnings, model_warnings, training_warnings
from mile_learner.meaning import LEARNED, NOTED, Meaning, mean_probability
from mile_learner.methods import METHODS
from mile_learner.methods.base import InterventionData
from mile_learner.policy import Architecture
from mile_learner.run_folder import Run
from mile_learner.step import Step
from mile_learner.train import train

MakeBundle = Callable[..., Bundle]


def data_of(*episodes: str) -> InterventionData:
    """Episodes as text: '.' the robot, which does 0, 'I' an intervention, 'D' a demonstration, in both of which the human does 0.8."""
    text = ''.join(episodes)
    nu = np.array([letter in 'ID' for letter in text])
    stacked = np.random.default_rng(0).normal(size=(len(text), 12)).astype(np.float32)
    number, never = np.arange(len(text)), np.zeros(len(text), dtype=bool)
    return InterventionData(
        stacked=stacked,
        next_stacked=stacked,
        robot_action=np.zeros((len(text), 4), np.float32),
        human_action=np.where(nu[:, None], np.full(4, 0.8), np.nan).astype(np.float32),
        intervening=nu,
        episode=np.repeat(np.arange(len(episodes)), [len(episode) for episode in episodes]),
        step=number,
        iteration=0 * number,
        done=never,
        success=never,
        demonstration=np.array([letter == 'D' for letter in text]),
    )


def small_bundle(kind: str, seed: int = 0, method: str = 'mile', c: float = 5.0, sigma: float = 3.0, **configuration: Any) -> Bundle:
    torch.manual_seed(seed)
    architecture = Architecture(input_dim=12, action_dim=4, hidden=(16,), distribution=kind, components=2)
    manifest = Manifest(
        'v000', 'toy', ('x', 'y', 'z'), 4, architecture, architecture, c, sigma, method, configuration=configuration, metrics={}
    )
    return Bundle(POLICIES[kind](architecture), POLICIES[kind](architecture), manifest)


def names(warnings: list[str]) -> list[str]:
    return [text.partition(':')[0] for text in warnings]


def floor_of(bundle: Bundle, mental_model: str = LEARNED) -> float:
    gains = Meaning(mental_model, 'all').agreement(bundle.policy, torch.zeros(1, 12))
    return mean_probability(gains, bundle.manifest.c, bundle.manifest.sigma)


def test_the_floor_is_compared_with_what_counts_for_the_training() -> None:
    """A fifth of the steps are of takeovers, but only one in 41 decisions is to take over."""
    data = data_of('.' * 40 + 'I' * 10)
    for decisions, wanted, expected in (
        ('all', None, []),
        ('onset', None, ['floor']),
        ('all', 0.05, ['floor']),
        ('onset', 0.9, ['floor']),  # a rate of steps says nothing of onsets
    ):
        bundle = small_bundle('gaussian', decisions=decisions)
        assert 1 / 41 < floor_of(bundle) < 0.2
        assert names(training_warnings(data, bundle, bundle, wanted)) == expected, (decisions, wanted)
    assert training_warnings(data, bundle, bundle)[0].endswith('but 0.02 were seen; fit c and sigma: `mile calibrate`')


def test_with_noted_actions_the_floor_is_theirs() -> None:
    bundle = small_bundle('gaussian', mental_model='noted')
    learned, noted = floor_of(bundle), floor_of(bundle, NOTED)
    rate = (learned + noted) / 2
    assert names(data_warnings(data_of('.' * 9 + 'I'), bundle, Meaning(NOTED, 'all'), target_rate=rate)) == []
    assert names(data_warnings(data_of('.' * 9 + 'I'), bundle, Meaning(LEARNED, 'all'), target_rate=rate)) == ['floor']


def test_demonstrations_are_no_decisions_to_intervene() -> None:
    bundle = small_bundle('gaussian')
    assert floor_of(bundle) > 0.05
    assert names(training_warnings(data_of('.' * 19 + 'I', 'D' * 40), bundle, bundle)) == ['floor'], 'the rate is 0.05, not 0.68'
    never = training_warnings(data_of('....', 'DDDD'), bundle, bundle)
    assert never == ['one class: nu = 1 at 0 of the 4 steps that count; they cannot tell when a human intervenes']
    assert names(training_warnings(data_of('DDDD'), bundle, bundle)) == ['one class']
    sure = small_bundle('gaussian', c=1e6, sigma=1.0)  # that nobody intervenes
    assert names(training_warnings(data_of('.' * 99 + 'I', 'D' * 40), sure, sure)) == []
    assert names(training_warnings(data_of('.' * 97 + 'III', 'D' * 40), sure, sure)) == ['saturation']


@pytest.mark.parametrize('method', sorted(METHODS))
def test_nobody_is_warned_of_a_c_that_is_not_used(method: str) -> None:
    data = data_of('.' * 90 + 'I' * 10)
    for c, expected in ((-1e6, ['floor', 'saturation']), (1e6, ['saturation'])):
        bundle = small_bundle('gaussian', method=method, c=c, sigma=1.0)
        assert names(training_warnings(data, bundle, bundle)) == (expected if method in ('mile', 'mile_iwr') else [])


def test_a_deployment_is_not_warned_either(
    tmp_path: Path, make_bundle: MakeBundle, make_step: Callable[..., Step], write_episode: Callable[..., Path]
) -> None:
    start = make_bundle()
    start.manifest = dataclasses.replace(start.manifest, c=-50.0)
    run = Run.create(tmp_path / 'run', {})
    start.save(run.version_path('v000'))
    run.promote('v000')
    write_episode(run.episode_path(0, 0), [make_step(i, intervening=10 <= i < 14) for i in range(40)])
    said = {}
    for method in ('mile', 'hg_dagger', 'bc_intervention'):
        said[method] = names(train(run, method=method, overrides={'epochs': 1}).metrics['warnings'])
    assert 'floor' in said['mile']
    assert said['hg_dagger'] == said['bc_intervention'] == []


def test_c_and_sigma_that_are_about_something_else_are_noticed() -> None:
    data = data_of('.' * 90 + 'I' * 10)
    fitted: dict[str, Any] = {'calibrate': {'mental_model': NOTED, 'decisions': 'onset'}}
    as_fitted = small_bundle('gaussian', mental_model=NOTED, decisions='onset')
    as_published = small_bundle('gaussian', mental_model='bc_frozen', decisions='all')
    start = small_bundle('gaussian', **fitted)
    said = training_warnings(data, start, as_published)[0]
    assert said == (
        'meaning: c and sigma of v000 are about noted/onset, this training takes them for learned/all; fit them to that: '
        '`mile calibrate RUN --mental-model learned --decisions all --write`'
    )
    assert '--mental-model noted --decisions onset' in training_warnings(data, as_published, as_fitted)[0], 'as trained with, too'
    for before, after in ((start, as_fitted), (as_fitted, as_fitted), (as_published, as_published)):
        assert 'meaning' not in names(training_warnings(data, before, after))
    assert 'meaning' not in names(training_warnings(data, small_bundle('gaussian'), as_fitted)), 'nobody has fitted those of a first policy'
    assert 'meaning' not in names(training_warnings(data, start, small_bundle('gaussian', method='iwr'))), 'it has no use for them'


def test_a_training_that_does_not_use_c_and_sigma_passes_on_what_they_are_about(
    tmp_path: Path, make_bundle: MakeBundle, make_step: Callable[..., Step], write_episode: Callable[..., Path]
) -> None:
    start, run = make_bundle(), Run.create(tmp_path / 'run', {})
    start.manifest = dataclasses.replace(
        start.manifest, configuration={'calibrate': {'mental_model': NOTED, 'decisions': 'onset', 'ahead': True}}
    )
    start.save(run.version_path('v000'))
    write_episode(run.episode_path(0, 0), [make_step(i, intervening=10 <= i < 14) for i in range(40)])
    for version, method in (('v000', 'iwr'), ('v001', 'hg_dagger')):
        run.promote(version)
        trained = train(run, method=method, overrides={'epochs': 1})
        assert Meaning.of(Bundle.load(run.version_path(trained.version))) == Meaning(NOTED, 'onset')
    run.promote(trained.version)
    assert 'meaning' in names(train(run, overrides={'epochs': 1}).metrics['warnings'])


def log_std(bundle: Bundle, *raw: float) -> Bundle:
    """The same with this log-std, before the sigmoid, in each action dimension."""
    with torch.no_grad():
        last = bundle.policy.body[-1]
        assert isinstance(last, torch.nn.Linear)
        last.weight[-4:], last.bias[-4:] = 0.0, torch.tensor(raw)
        if bundle.policy.distribution == 'mixture':
            last.weight[5:9], last.bias[5:9] = 0.0, torch.tensor(raw)
    return bundle


@pytest.mark.parametrize('kind', ['gaussian', 'squashed', 'mixture'])
def test_one_dimension_that_collapses_in_training_is_enough(kind: str) -> None:
    data = data_of('.' * 8 + 'II')
    start, one, other = (log_std(small_bundle(kind), *raw) for raw in ((0, 0, 0, -20.0), (0, -20.0, 0, -20.0), (0, 20.0, -20.0, 20.0)))
    (collapse,) = model_warnings(data, start, one, None)
    assert collapse == 'std collapse: the mean log-std has come to its floor -2.00: -2.00 in action dimension 1'
    assert names(model_warnings(data, start, other, None)) == ['std collapse', 'std blow-up']
    assert model_warnings(data, start, other, None)[1].endswith('ceiling 1.00: 1.00 in action dimension 1, 1.00 in action dimension 3')
    assert model_warnings(data, one, one, None) == [], 'it was there before'


@pytest.mark.parametrize('mental_model', [LEARNED, NOTED])
@pytest.mark.parametrize('kind', ['gaussian', 'squashed', 'mixture'])
def test_the_floor_is_what_the_training_takes_for_agreement(kind: str, mental_model: str) -> None:
    data, bundle = data_of('.' * 9 + 'I'), log_std(small_bundle(kind), *[-3.0] * 4)
    states = torch.from_numpy(data.stacked)
    human = bundle.policy(states)
    expected = human if mental_model == LEARNED else human.around(human.mode(), bundle.policy.architecture.log_std_min)
    p = human.log_intervention_probability(expected, 5.0, 3.0)[0].exp().mean().item()
    assert 0.01 < p < 0.9
    for rate, said in ((p - 0.005, ['floor']), (p + 0.005, [])):
        assert names(data_warnings(data, bundle, Meaning(mental_model, 'all'), target_rate=rate)) == said
