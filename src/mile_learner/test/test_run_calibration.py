"""c and sigma of a run: fitted with the mental model that is asked for, by operator, at a wanted rate; and what the next training takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mile_learner.bench.prediction import calibrated, scores
from mile_learner.bundle import Bundle
from mile_learner.classifier import InterventionClassifier
from mile_learner.dataset import recorded, run_data
from mile_learner.errors import LearnerError
from mile_learner.history import stack_episode
from mile_learner.intervention import gaussian_gains, intervention_probability
from mile_learner.meaning import LEARNED, NOTED, Meaning
from mile_learner.policy import Architecture, GaussianPolicy
from mile_learner.run_calibration import Fit, LoggedSteps, fit, logged_steps, save_calibrated, steps_ahead, steps_of
from mile_learner.run_folder import Run
from mile_learner.step import Step
from mile_learner.train import train

ALL_NOTED, ALL_LEARNED = Meaning(NOTED, 'all'), Meaning(LEARNED, 'all')
ANNA, BEN = (14.0, 3.0), (30.0, 6.0)


@pytest.fixture
def bundle(make_bundle: Callable[..., Bundle]) -> Bundle:
    """Its policy is narrow and its mental model errs widely, so that M varies."""
    bundle = make_bundle()
    policy, mental = bundle.policy.body[-1], bundle.mental_model.body[-1]  # type: ignore[union-attr]
    assert isinstance(policy, torch.nn.Linear)
    assert isinstance(mental, torch.nn.Linear)
    with torch.no_grad():
        policy.bias[4:] = mental.bias[4:] = -1.5
        mental.weight[:4] *= 2
    return bundle


def expected(bundle: Bundle, stacked: torch.Tensor, robot_action: torch.Tensor, meaning: Meaning) -> Any:
    """Mean and log-std of the action that the human expects."""
    if meaning.mental_model == NOTED:
        return robot_action, torch.full_like(robot_action, bundle.policy.architecture.log_std_min)
    assert bundle.mental_model is not None
    return bundle.mental_model(stacked)


@pytest.fixture
def record(
    tmp_path: Path, bundle: Bundle, make_step: Callable[..., Step], write_episode: Callable[..., Path]
) -> Callable[[Meaning, dict[str, tuple[float, float]]], Run]:
    """Records a run in which every operator, with c and sigma of their own, is in control wherever Eq. 2 says so."""

    def make(meaning: Meaning, people: dict[str, tuple[float, float]], episodes: int = 6, steps: int = 100) -> Run:
        run = Run.create(tmp_path / 'run', {'seed': 5})
        bundle.save(run.version_path('v000'))
        run.promote('v000')
        rng = np.random.default_rng(0)
        for number in range(episodes * len(people)):
            name, (c, sigma) = list(people.items())[number % len(people)]
            observations = rng.normal(size=(steps, 3)).astype(np.float32) * 3
            robot = rng.uniform(-1, 1, (steps, 4)).astype(np.float32)
            stacked = torch.from_numpy(stack_episode(observations, 4))
            with torch.no_grad():
                p = intervention_probability(
                    *bundle.policy(stacked), *expected(bundle, stacked, torch.from_numpy(robot), meaning), c, sigma
                )
            nu = rng.random(steps) < p.numpy()
            logged = [
                dataclasses.replace(
                    make_step(index, intervening=bool(nu[index])), observation=observations[index], robot_action=robot[index]
                )
                for index in range(steps)
            ]
            write_episode(run.episode_path(0, number), logged, **({'operator_name': name} if name else {}))
        return run

    return make


@pytest.mark.parametrize('meaning', [ALL_NOTED, ALL_LEARNED])
def test_what_generated_the_takeovers_is_found_with_its_mental_model(record: Callable[..., Run], bundle: Bundle, meaning: Meaning) -> None:
    run = record(meaning, {'': ANNA})
    found = fit(logged_steps(run, bundle, meaning)).calibration
    assert (found.steps, found.episodes) == (600, 6)
    assert found.c_interval[0] < ANNA[0] < found.c_interval[1]
    assert found.sigma_interval[0] < ANNA[1] < found.sigma_interval[1]
    other = fit(logged_steps(run, bundle, ALL_LEARNED if meaning == ALL_NOTED else ALL_NOTED)).calibration
    assert other.log_loss > found.log_loss + 0.1, 'the other says less about when the human intervened'


def test_a_prediction_by_fitted_c_and_sigma_is_better_than_by_others(record: Callable[..., Run], bundle: Bundle) -> None:
    run = record(ALL_LEARNED, {'': ANNA})
    data = run_data(recorded([(0, path) for path in run.episodes().values()], bundle.manifest.observation_layout), bundle.manifest.history)
    steps = steps_of(data, bundle, ALL_LEARNED)
    own = calibrated(bundle, [steps])
    found = fit(steps).calibration
    assert (own.manifest.c, own.manifest.sigma) == (found.c, found.sigma)
    told, fitted = (scores(of.act(data.stacked)[1], data.intervening)['log_loss'] for of in (bundle, own))
    assert fitted == pytest.approx(found.log_loss, abs=1e-4)
    assert fitted < told - 0.1
    never = dataclasses.replace(steps, intervening=torch.zeros_like(steps.intervening))
    assert calibrated(bundle, [never]) is calibrated(bundle, []) is bundle
    both = calibrated(bundle, [never, steps]).manifest
    assert both.c > own.manifest.c, 'as many steps more without an intervention'


def test_ahead_every_episode_has_the_gains_of_the_version_that_flew_it(
    tmp_path: Path, make_bundle: Callable[..., Bundle], make_step: Callable[..., Step], write_episode: Callable[..., Path]
) -> None:
    run = Run.create(tmp_path / 'run', {})
    versions = {}
    for number, parent in enumerate((None, 'v000', 'v001', 'v002')):
        made, name = make_bundle(), f'v00{number}'
        with torch.no_grad():
            made.policy.body[-1].bias += max(0, number - 1) / 10  # type: ignore[union-attr, operator]
        manifest = dataclasses.replace(made.manifest, parent=parent, method='mile')
        versions[name] = Bundle(made.policy, made.mental_model, manifest)
        versions[name].save(run.version_path(name))
    for number, version in enumerate(('v000', 'v001', 'v002', 'v003', 'v003')):
        steps = [make_step(index, intervening=index == number) for index in range(6)]
        path = run.episode_path(number // 2, number % 2)
        write_episode(path, steps, policy_version=version, operator_name=f'person {number}')
    ahead = steps_ahead(run, versions['v003'], ALL_LEARNED)
    assert ahead.operators == ('person 2', 'person 3', 'person 4')
    assert ahead.episode.tolist() == [0] * 6 + [1] * 6 + [2] * 6
    everything = {version: logged_steps(run, of, ALL_LEARNED) for version, of in versions.items()}
    of_each = [everything[version].gains.values[6 * number : 6 * number + 6] for number, version in ((2, 'v002'), (3, 'v003'), (4, 'v003'))]
    assert torch.equal(ahead.gains.values, torch.cat(of_each))
    assert torch.equal(ahead.intervening, everything['v000'].intervening[12:])
    assert not torch.equal(ahead.gains.values, everything['v003'].gains.values[12:])


def test_operators_are_told_apart(record: Callable[..., Run], bundle: Bundle) -> None:
    run = record(ALL_NOTED, {'anna': ANNA, 'ben': BEN, '': ANNA})
    alone = logged_steps(run, bundle, ALL_NOTED).by_operator()
    assert {name: len(steps) for name, steps in alone.items()} == {'anna': 600, 'ben': 600, 'unnamed': 600}
    found = {name: fit(steps).calibration for name, steps in alone.items()}
    for name, (c, sigma) in (('anna', ANNA), ('ben', BEN), ('unnamed', ANNA)):
        assert found[name].c_interval[0] < c < found[name].c_interval[1]
        assert found[name].sigma_interval[0] < sigma < found[name].sigma_interval[1]
    assert found['anna'].c_interval[1] < found['ben'].c_interval[0]


def test_the_cost_of_a_wanted_rate_and_when_the_floor_forbids_it(record: Callable[..., Run], bundle: Bundle) -> None:
    steps = logged_steps(record(ALL_LEARNED, {'': (6.0, 4.0)}), bundle, ALL_LEARNED)
    found = fit(steps, 0.25)
    assert found.c_for_rate is not None
    predicted = steps.gains.log_intervention_probability(found.c_for_rate, found.calibration.sigma)[0].exp()
    assert predicted.mean().item() == pytest.approx(0.25, abs=1e-3)
    assert not found.warnings
    agreeing = dataclasses.replace(steps, gains=gaussian_gains(torch.linspace(0.0, 4.0, len(steps)), 4, nodes=16))
    (warning,) = [text for text in fit(agreeing, 0.25).warnings if 'wanted' in text]
    assert warning.startswith('floor: with c =')
    assert warning.endswith('but 0.25 are wanted; no better policy comes below the floor')


def test_the_floor_is_where_robot_and_human_agree() -> None:
    policy, nothing = GaussianPolicy(Architecture(input_dim=12, action_dim=4)), gaussian_gains(torch.ones(1), 4, nodes=16)
    agreeing = [meaning.agreement(policy, torch.zeros(1, 12)) for meaning in (ALL_LEARNED, ALL_NOTED)]
    learned, noted = (LoggedSteps(nothing, torch.ones(1), torch.zeros(1), ('',), gains, False, ALL_LEARNED) for gains in agreeing)
    agree = intervention_probability(*[torch.zeros(1, 4)] * 4, 5.0, 3.0).item()
    assert learned.floor(5.0, 3.0) == pytest.approx(agree)
    assert noted.floor(5.0, 3.0) < agree, 'a noted action has hardly any spread of its own'


def test_onset_leaves_out_the_steps_after_it(tmp_path: Path, bundle: Bundle, make_step: Any, write_episode: Any) -> None:
    run = Run.create(tmp_path / 'run', {})
    write_episode(run.episode_path(0, 0), [make_step(index, intervening=10 <= index < 20) for index in range(40)])
    assert len(logged_steps(run, bundle, ALL_NOTED)) == 40
    steps = logged_steps(run, bundle, Meaning(NOTED, 'onset'))
    assert (len(steps), int(steps.intervening.sum())) == (31, 1)


@pytest.mark.parametrize(
    ('configuration', 'mental', 'meaning'),
    [
        ({}, True, ALL_LEARNED),
        ({'mental_model': 'bc_frozen', 'decisions': 'onset'}, True, Meaning(LEARNED, 'onset')),
        ({'mental_model': 'noted', 'decisions': 'onset'}, True, Meaning(NOTED, 'onset')),
        ({'mental_model': 'noted', 'calibrate': {'mental_model': 'learned', 'decisions': 'all'}}, True, ALL_LEARNED),
        ({'mental_model': 'noted', 'calibrate': False}, True, ALL_NOTED),
        ({}, False, None),
        ({'mental_model': ['?'], 'decisions': 3}, True, ALL_LEARNED),
    ],
)
def test_what_c_and_sigma_of_a_version_are_about(
    make_bundle: Callable[..., Bundle], configuration: dict[str, Any], mental: bool, meaning: Meaning | None
) -> None:
    bundle = make_bundle(mental=mental)
    bundle.manifest = dataclasses.replace(bundle.manifest, configuration=configuration)
    assert Meaning.of(bundle) == meaning


def test_the_next_training_takes_what_was_written(record: Callable[..., Run]) -> None:
    run = record(ALL_NOTED, {'': ANNA})
    start = Bundle.load(run.version_path('v000'))
    found = fit(logged_steps(run, start, ALL_NOTED))
    start.manifest = dataclasses.replace(start.manifest, iteration=0)
    written = save_calibrated(run, start, ALL_NOTED, found)
    assert (written.version, written.parent, written.iteration, len(written.data)) == ('v001', 'v000', None, 6)
    assert written.weights == start.manifest.weights
    assert run.current() == 'v000'
    run.promote('v001')
    assert Meaning.of(Bundle.load(run.version_path('v001'))) == ALL_NOTED
    trained = train(run, overrides={'epochs': 1, 'mental_model': 'noted'})
    assert (trained.c, trained.sigma) == (found.calibration.c, found.calibration.sigma)
    assert trained.parent == 'v001'
    wanted = dataclasses.replace(found, c_for_rate=17.0)
    assert save_calibrated(run, start, ALL_NOTED, wanted).c == 17.0


def test_what_the_data_do_not_determine_is_not_written(record: Callable[..., Run], bundle: Bundle) -> None:
    run = record(ALL_LEARNED, {'': ANNA})
    steps = logged_steps(run, bundle, ALL_LEARNED)
    found: Fit = fit(dataclasses.replace(steps, gains=gaussian_gains(torch.full((len(steps),), 4.0), 4, nodes=16)))
    assert 'the models hardly tell' in found.warnings[0]
    with pytest.raises(LearnerError, match='do not determine c'):
        save_calibrated(run, bundle, ALL_LEARNED, found)
    assert run.next_version() == 'v001'


def test_a_threshold_is_written_as_the_smallest_sigma(record: Callable[..., Run], bundle: Bundle) -> None:
    run = record(ALL_LEARNED, {'': ANNA})
    steps = logged_steps(run, bundle, ALL_LEARNED)
    found = fit(dataclasses.replace(steps, intervening=steps.gains.values[:, 0] > 13))
    assert found.warnings[0].startswith('threshold: ')
    written = save_calibrated(run, bundle, ALL_LEARNED, found)
    assert (written.c, written.sigma) == (found.calibration.c, pytest.approx(1.0, abs=1e-3))
    assert written.metrics['warnings'] == list(found.warnings)


def test_versions_that_expect_nothing_are_refused(tmp_path: Path, make_bundle: Callable[..., Bundle]) -> None:
    run = Run.create(tmp_path / 'run', {})
    with pytest.raises(LearnerError, match=r'got no mental model, expected a policy; .* --mental-model noted'):
        logged_steps(run, make_bundle(mental=False), ALL_LEARNED)
    bundle = make_bundle()
    bundle.mental_model = InterventionClassifier(Architecture(input_dim=12, action_dim=1, distribution='bernoulli'))
    with pytest.raises(LearnerError, match='got a bernoulli in the place of a mental model'):
        logged_steps(run, bundle, ALL_LEARNED)
    with pytest.raises(LearnerError, match='got no episodes'):
        logged_steps(run, bundle, ALL_NOTED)


def test_another_observation_layout_is_refused(record: Callable[..., Run], bundle: Bundle) -> None:
    run = record(ALL_NOTED, {'': ANNA}, episodes=1)
    bundle.manifest = dataclasses.replace(bundle.manifest, observation_layout=('x', 'z', 'y'))
    with pytest.raises(LearnerError, match='observation layout is'):
        logged_steps(run, bundle, ALL_NOTED)
