"""Training on a run: reproducible, provenance complete, nothing left behind; MILE moves both models the right way."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import norm

from mile_learner.bags import content_hash, read_episode
from mile_learner.bundle import Bundle
from mile_learner.config import ConfigError
from mile_learner.dataset import episode_data
from mile_learner.errors import LearnerError
from mile_learner.guards import data_warnings, model_warnings
from mile_learner.intervention import intervention_probability
from mile_learner.meaning import LEARNED, Meaning
from mile_learner.methods.base import InterventionData
from mile_learner.methods.behaviour_cloning import BehaviourCloningConfig, clone
from mile_learner.methods.mile import Mile
from mile_learner.methods.mile_losses import Batch, MileConfig, mile_losses
from mile_learner.methods.training import TrainingCancelled
from mile_learner.run_folder import Run
from mile_learner.step import Mode, Source, Step
from mile_learner.train import train

EVERY_STEP = Meaning(LEARNED, 'all')
QUICK = {'epochs': 3, 'batch_size': 16, 'learning_rate': 1e-3}


@pytest.fixture
def run(tmp_path: Path, make_bundle: Callable[..., Bundle], make_step: Callable[..., Step], write_episode: Callable[..., Path]) -> Run:
    """A run with an initial policy and two recorded episodes."""
    run = Run.create(tmp_path / 'run', {'seed': 5})
    make_bundle().save(run.version_path('v000'))
    run.promote('v000')
    for index in range(2):
        steps = [make_step(i, intervening=10 <= i < 20) for i in range(40)]
        write_episode(run.episode_path(0, index), steps)
    return run


def files_of(run: Run) -> list[str]:
    return sorted(path.relative_to(run.path).as_posix() for path in run.path.rglob('*'))


def test_a_version_names_its_parent_its_data_and_its_configuration(run: Run) -> None:
    manifest = train(run, overrides=QUICK, iteration=0)
    assert (manifest.version, manifest.parent, manifest.iteration, manifest.method) == ('v001', 'v000', 0, 'mile')
    assert manifest.configuration['epochs'] == 3
    assert [entry['episode'] for entry in manifest.data] == ['iter_00/episode_000', 'iter_00/episode_001']
    assert manifest.data[0]['sha256'] == content_hash(run.episode_path(0, 0))
    assert manifest.metrics['steps'] == 80
    assert manifest.metrics['intervention_rate'] == pytest.approx(0.25)
    assert run.current() == 'v000'
    assert run.state().trained == {0}
    assert Bundle.load(run.version_path('v001')).manifest == manifest


def test_training_is_reproducible_bit_for_bit(run: Run) -> None:
    one = train(run, overrides=QUICK, seed=1)
    torch.rand(7)  # the state of the global generator must not matter
    other = train(run, overrides=QUICK, seed=1)
    assert (one.version, other.version, one.seed) == ('v001', 'v002', 1)
    assert one.weights == other.weights
    assert train(run, overrides=QUICK, seed=2).weights != one.weights
    by_default, the_next = (train(run, overrides=QUICK) for _ in range(2))
    assert by_default.weights != the_next.weights, 'each version has a seed of its own'
    run.version_path(the_next.version).rename(run.path / 'kept')
    assert train(run, overrides=QUICK).weights == the_next.weights


def test_a_run_in_which_nobody_took_over_goes_on_with_a_copy(
    run: Run, make_step: Callable[..., Step], write_episode: Callable[..., Path]
) -> None:
    for index in range(2):
        shutil.rmtree(run.episode_path(0, index))
        write_episode(run.episode_path(0, index), [make_step(i, intervening=False) for i in range(40)])
    manifest = train(run, overrides=QUICK)
    assert manifest.weights == Bundle.load(run.version_path('v000')).manifest.weights
    assert (manifest.version, manifest.parent, manifest.metrics['intervention_rate']) == ('v001', 'v000', 0.0)
    assert manifest.metrics['warnings'][0].startswith('nobody took over in 80 steps')
    assert (manifest.method, manifest.configuration) == ('behaviour_cloning', {}), 'there was no training by MILE'


def test_cancelling_leaves_nothing_behind(run: Run) -> None:
    before = files_of(run)
    calls = []

    def progress(epoch: int, epochs: int, losses: Any) -> bool:
        calls.append((epoch, epochs, dict(losses)))
        return epoch < 2

    with pytest.raises(TrainingCancelled):
        train(run, overrides={'epochs': 10}, progress=progress)
    assert [call[:2] for call in calls] == [(1, 10), (2, 10)]
    assert np.isfinite(list(calls[0][2].values())).all()
    assert files_of(run) == before


@pytest.mark.parametrize(
    ('arguments', 'error', 'text'),
    [
        ({'method': 'miel'}, LearnerError, "got 'miel', expected one of"),
        ({'overrides': {'epoch': 3}}, ConfigError, "did you mean 'epochs'"),
        ({'overrides': {'learning_rate': -1.0}}, ConfigError, 'expected > 0'),
    ],
)
def test_bad_requests_are_refused_in_one_line(run: Run, arguments: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        train(run, **arguments)
    assert run.next_version() == 'v001'


def test_another_observation_layout_is_refused(run: Run, make_step: Callable[..., Step], write_episode: Callable[..., Path]) -> None:
    write_episode(run.episode_path(0, 2), [make_step(i) for i in range(5)], observation_layout=['x', 'z', 'y'])
    with pytest.raises(LearnerError, match='observation layout is'):
        train(run)


def test_data_leave_out_what_says_nothing(tmp_path: Path, make_step: Callable[..., Step], write_episode: Callable[..., Path]) -> None:
    steps = [make_step(i, intervening=i == 4) for i in range(8)]
    steps[2] = dataclasses.replace(steps[2], observation=np.zeros(0, dtype=np.float32), source=Source.HOLD, mode=Mode.HOLD)
    steps[5] = dataclasses.replace(steps[5], source=Source.HOLD, mode=Mode.HOLD)
    data = episode_data(read_episode(write_episode(tmp_path / 'e', steps)), history=2, number=7, iteration=3)
    assert len(data) == 6
    assert data.step.tolist() == [0, 1, 3, 4, 6, 7]
    assert np.array_equal(data.stacked[2], np.concatenate([steps[1].observation, steps[3].observation]))  # the lost tick was never stacked
    assert np.array_equal(data.stacked[4], np.concatenate([steps[5].observation, steps[6].observation]))  # the held one was
    assert data.intervening.tolist() == [False, False, False, True, False, False]
    assert data.done.tolist() == [False] * 5 + [True]


def test_behaviour_cloning_learns_a_linear_controller_and_stops_early() -> None:
    g = torch.Generator().manual_seed(0)
    inputs = torch.randn((600, 6), generator=g)
    actions = inputs[:, :4] * 0.4 + 0.02 * torch.randn((600, 4), generator=g)
    config = BehaviourCloningConfig(hidden=(32,), epochs=300, patience=10)
    policy, metrics = clone(inputs, actions, torch.arange(600) // 60, config, seed=0)
    mean, log_std = policy(inputs)
    assert (mean - actions).abs().mean() < 0.06
    assert log_std.min() >= -2.0
    assert metrics['epoch'] < 299
    again, _ = clone(inputs, actions, torch.arange(600) // 60, config, seed=0)
    assert all(torch.equal(a, b) for a, b in zip(policy.state_dict().values(), again.state_dict().values(), strict=True))


def toy_data(seed: int = 0, steps: int = 400) -> InterventionData:
    """The robot and its mental model act as 0; the human wants 0.8 where x > 0 and intervenes there."""
    rng = np.random.default_rng(seed)
    stacked = rng.normal(size=(steps, 12)).astype(np.float32)
    intervening = stacked[:, 0] > 0.3
    human = np.where(intervening[:, None], 0.8, np.nan).astype(np.float32) * np.ones(4, dtype=np.float32)
    flags = np.zeros(steps, dtype=bool)
    numbers = np.arange(steps)
    robot = np.zeros((steps, 4), dtype=np.float32)
    return InterventionData(stacked, stacked, robot, human, intervening, numbers // 50, numbers % 50, 0 * numbers, flags, flags, flags)


def batch_of(data: InterventionData) -> Batch:
    human_actions, nu = torch.as_tensor(np.nan_to_num(data.human_action)), torch.as_tensor(data.intervening)
    return Batch(torch.as_tensor(data.stacked), torch.as_tensor(data.robot_action), human_actions, nu, torch.ones_like(nu))


def zero_bundle(make_bundle: Callable[..., Bundle]) -> Bundle:
    bundle = make_bundle()
    assert bundle.mental_model is not None
    for model in (bundle.policy, bundle.mental_model):
        last = model.body[-1]
        assert isinstance(last, torch.nn.Linear)
        with torch.no_grad():
            last.weight.zero_()
            last.bias.zero_()
            last.bias[4:] = -1.0
    return bundle


def test_mile_learns_when_and_how_the_human_intervenes(make_bundle: Callable[..., Bundle]) -> None:
    start, data = zero_bundle(make_bundle), toy_data()
    config = MileConfig(epochs=150, learning_rate=3e-3, mental_model='bc_frozen', std_gradient=False)
    trained = Mile().fit(data, start, config=config, seed=0)
    action, p = trained.act(data.stacked)
    nu = data.intervening
    assert np.abs(action[nu] - 0.8).mean() < 0.15
    assert np.abs(action[~nu]).mean() < 0.3
    assert p[nu].mean() > p[~nu].mean() + 0.2
    before, _ = start.act(data.stacked)
    assert np.abs(before).max() == 0.0  # the start was not changed


def test_only_the_policy_gets_the_action_loss_and_the_std_only_where_asked(make_bundle: Callable[..., Bundle]) -> None:
    start, data = make_bundle(), toy_data()
    assert start.mental_model is not None
    batch = batch_of(data)

    def gradients(config: MileConfig) -> tuple[float, float]:
        assert start.mental_model is not None
        losses = mile_losses(start.policy, start.mental_model, batch, c=5.0, sigma=3.0, config=config)
        start.policy.zero_grad()
        start.mental_model.zero_grad()
        losses.total.backward()
        last, mental = start.policy.body[-1], start.mental_model.body[-1]
        assert isinstance(last, torch.nn.Linear)
        assert isinstance(mental, torch.nn.Linear)
        assert last.bias.grad is not None
        assert mental.bias.grad is not None
        return last.bias.grad[4:].abs().sum().item(), mental.bias.grad.abs().sum().item()

    std, mental = gradients(MileConfig(intervention_weight=0.0))
    assert std > 0
    assert mental == 0
    std, mental = gradients(MileConfig(intervention_weight=1.0, std_gradient=False))
    assert std == 0
    assert mental > 0
    assert gradients(MileConfig(intervention_weight=1.0, std_gradient=True))[0] > 0


def test_loss_equals_a_hand_calculation(make_bundle: Callable[..., Bundle]) -> None:
    start, data = make_bundle(), toy_data(steps=30)
    assert start.mental_model is not None
    batch = batch_of(data)
    inputs, human, nu = batch.inputs, batch.human_actions, batch.intervening
    config = MileConfig(intervention_weight=0.3, std_gradient=True)
    losses = mile_losses(start.policy, start.mental_model, batch, c=5.0, sigma=3.0, config=config)
    (mean, log_std), (mental_mean, mental_log_std) = start.policy(inputs), start.mental_model(inputs)
    p = intervention_probability(mean, log_std, mental_mean, mental_log_std, 5.0, 3.0)
    bce = torch.nn.functional.binary_cross_entropy(p, nu.double())
    density = norm.logpdf(human[nu].numpy(), mean[nu].detach().numpy(), log_std[nu].exp().detach().numpy())
    assert losses.total.item() == pytest.approx(0.3 * bce.item() - 0.7 * np.sum(density, axis=-1).mean(), rel=1e-4)


def test_data_without_interventions_are_refused(make_bundle: Callable[..., Bundle]) -> None:
    data = toy_data()
    quiet = data.take(~data.intervening)
    with pytest.raises(LearnerError, match='without an intervention'):
        Mile().fit(quiet, make_bundle(), config=MileConfig(), seed=0)
    with pytest.raises(LearnerError, match='no mental model'):
        Mile().fit(data, make_bundle(mental=False), config=MileConfig(), seed=0)


def with_models(bundle: Bundle, *, log_std: float = 0.0, mental_mean: float = 0.0, sigma: float = 3.0) -> Bundle:
    assert bundle.mental_model is not None
    policy, mental = bundle.policy.body[-1], bundle.mental_model.body[-1]
    assert isinstance(policy, torch.nn.Linear)
    assert isinstance(mental, torch.nn.Linear)
    with torch.no_grad():
        policy.bias[4:] = log_std
        mental.bias[:4] = mental_mean
    bundle.manifest = dataclasses.replace(bundle.manifest, sigma=sigma)
    return bundle


@pytest.mark.parametrize(
    ('changes', 'word'),
    [({'log_std': -20.0}, 'std collapse'), ({'log_std': 20.0}, 'std blow-up'), ({'mental_mean': 9.0, 'sigma': 1.0}, 'saturation')],
)
def test_guards_on_the_models(make_bundle: Callable[..., Bundle], changes: dict[str, float], word: str) -> None:
    start = zero_bundle(make_bundle)
    (warning,) = model_warnings(toy_data(), start, with_models(zero_bundle(make_bundle), **changes), EVERY_STEP)
    assert word in warning
    assert model_warnings(toy_data(), start, start, EVERY_STEP) == []


def test_guards_on_the_data(make_bundle: Callable[..., Bundle]) -> None:
    data, start = toy_data(), make_bundle()
    assert data_warnings(data, start, EVERY_STEP) == []
    assert 'one class' in data_warnings(data.take(~data.intervening), start, EVERY_STEP)[0]
    assert data_warnings(data, start, EVERY_STEP, target_rate=0.05)[0].endswith('0.05 are wanted; fit c and sigma')
    start.manifest = dataclasses.replace(start.manifest, c=75.0, sigma=1000.0)
    assert 'floor' in data_warnings(data, start, EVERY_STEP)[0]
    assert data_warnings(data, start, EVERY_STEP, target_rate=0.6) == []


def test_a_non_finite_policy_is_not_saved(make_bundle: Callable[..., Bundle]) -> None:
    for name, changes in (('policy', {'log_std': float('nan')}), ('mental model', {'mental_mean': float('inf')})):
        with pytest.raises(LearnerError, match=f'the {name} has non-finite weights'):
            model_warnings(toy_data(), zero_bundle(make_bundle), with_models(zero_bundle(make_bundle), **changes), None)


def test_a_policy_that_the_intervention_loss_pulls_to_the_mental_model_is_noticed(make_bundle: Callable[..., Bundle]) -> None:
    """J1's second shortcut: where the state does not tell when the human intervenes, J1 is least where policy and mental model agree."""
    data, start = toy_data(steps=1000), zero_bundle(make_bundle)
    rare = data.step % 10 == 0
    human = np.where(rare[:, None], 0.8, np.nan) * np.ones(4)
    data = dataclasses.replace(data, intervening=rare, human_action=human.astype(np.float32))
    start.manifest = dataclasses.replace(start.manifest, c=3.0)
    last = start.policy.body[-1]
    assert isinstance(last, torch.nn.Linear)
    with torch.no_grad():
        last.bias[:4] = 0.5
    distances, found = {}, {}
    for weight in (1.0, 0.0):
        config = MileConfig(intervention_weight=weight, mental_model='bc_frozen', std_gradient=False, epochs=30, learning_rate=3e-3)
        trained = Mile().fit(data, start, config=config, seed=0)
        distances[weight], found[weight] = trained.manifest.metrics['mental_distance'], model_warnings(data, start, trained, EVERY_STEP)
    assert distances[1.0] < 0.1 < 0.5 < distances[0.0]
    assert [text.partition(':')[0] for text in found[1.0]] == ['mental distance']
    assert not any(text.startswith('mental distance') for text in found[0.0])


def test_noted_actions_hold_the_policy_where_nobody_intervened(make_bundle: Callable[..., Bundle]) -> None:
    data = toy_data()
    options: dict[str, Any] = {'epochs': 60, 'learning_rate': 3e-3, 'std_gradient': False}
    moved = {}
    for mental_model in ('learned', 'noted'):
        config = MileConfig(mental_model=mental_model, **options)
        trained = Mile().fit(data, zero_bundle(make_bundle), config=config, seed=0)
        moved[mental_model] = np.abs(trained.act(data.stacked)[0][~data.intervening]).mean()
    assert moved['noted'] < 0.75 * moved['learned']
    assert trained.mental_model is not None
    assert np.array_equal(trained.mental_model.state_dict()['input_std'], zero_bundle(make_bundle).policy.input_std)


def test_keeping_control_is_no_decision_to_take_over(make_bundle: Callable[..., Bundle]) -> None:
    """Where the human merely keeps control, doing what the robot does, only decisions=all pushes the policy away from them."""
    data, start = toy_data(), zero_bundle(make_bundle)
    nu = data.step >= 30
    data.stacked[:, 0] = np.where(nu, 3.0, -3.0)  # the policy can tell the two apart
    agreeing = dataclasses.replace(data, intervening=nu, human_action=np.where(nu[:, None], 0.1, np.nan * np.ones(4)).astype(np.float32))
    moved = {}
    for decisions in ('all', 'onset'):
        config = MileConfig(mental_model='noted', decisions=decisions, epochs=80, learning_rate=3e-3, std_gradient=False)
        trained = Mile().fit(agreeing, start, config=config, seed=0)
        moved[decisions] = np.abs(trained.act(data.stacked)[0][nu] - 0.1).mean()
    assert moved['onset'] < 0.5 * moved['all']


def test_every_task_has_valid_options() -> None:
    assert Mile().configure('peg_insert').learning_rate == 1e-4
    assert Mile().configure('something_new') == MileConfig()
