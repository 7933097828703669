"""MILE's named variants and its discrete form: each is what its source says, and differs from the others where it should."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from torch.nn import functional

from mile_learner.bundle import Bundle, Manifest
from mile_learner.categorical import CategoricalPolicy
from mile_learner.classifier import InterventionClassifier
from mile_learner.errors import LearnerError
from mile_learner.guards import data_warnings, training_warnings
from mile_learner.intervention import intervention_probability_sampled
from mile_learner.meaning import LEARNED, Meaning
from mile_learner.methods import METHODS
from mile_learner.methods.base import InterventionData
from mile_learner.methods.mile import Mile
from mile_learner.methods.mile_losses import Batch, Losses, MileConfig, continuous_model, mile_losses
from mile_learner.network import Policy
from mile_learner.policy import Architecture, Gaussian
from mile_learner.rollout import rollout

MakeBundle = Callable[..., Bundle]
ACTIONS = 3


def discrete_bundle(*, mental: bool = True, seed: int = 0) -> Bundle:
    torch.manual_seed(seed)
    architecture = Architecture(input_dim=12, action_dim=ACTIONS, hidden=(16,), distribution='categorical')
    models = [CategoricalPolicy(architecture) for _ in range(2)]
    manifest = Manifest('v000', 'toy', ('x', 'y', 'z'), 4, architecture, architecture if mental else None, 0.4, 0.5, 'test')
    return Bundle(models[0], models[1] if mental else None, manifest)


def data_of(steps: int = 300, *, discrete: bool, seed: int = 0) -> InterventionData:
    """The robot does 0 everywhere; where x > 0.3 the human takes over, and does 0.8, or 2."""
    rng = np.random.default_rng(seed)
    stacked = rng.normal(size=(steps, 12)).astype(np.float32)
    nu = stacked[:, 0] > 0.3
    width, meant = (1, 2.0) if discrete else (4, 0.8)
    human = np.where(nu[:, None], meant, np.nan).astype(np.float32) * np.ones(width, np.float32)
    number, never = np.arange(steps), np.zeros(steps, dtype=bool)
    robot = np.zeros((steps, width), np.float32)
    return InterventionData(stacked, stacked, robot, human, nu, number // 50, number % 50, 0 * number, never, never, never)


def losses_of(bundle: Bundle, data: InterventionData, config: MileConfig, c: float = 0.4, sigma: float = 0.5):
    return mile_losses(bundle.policy, bundle.mental_model, Batch.of(data, config.decisions), c=c, sigma=sigma, config=config)


def fit(data: InterventionData, start: Bundle, **options) -> Bundle:
    return Mile().fit(data, start, config=MileConfig(**{'epochs': 60, 'learning_rate': 3e-3, **options}), seed=0)


def same_weights(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@pytest.mark.parametrize('form', ['product', 'joint'])
def test_the_discrete_loss_is_the_cross_entropy_over_actions_and_none(form: str) -> None:
    bundle, data = discrete_bundle(), data_of(discrete=True)
    inputs = torch.from_numpy(data.stacked)
    pi, expected = (model(inputs).log_probs.double().exp() for model in (bundle.policy, bundle.mental_model))
    whether = torch.special.ndtr((pi.log() - (expected * pi.log()).sum(1, keepdim=True) - 0.4) / 0.5)
    p = (pi * whether).sum(1, keepdim=True)
    classes = torch.cat([pi * (whether if form == 'joint' else p), 1 - p], dim=1)
    labels = torch.from_numpy(np.where(data.intervening, np.nan_to_num(data.human_action[:, 0]), ACTIONS)).long()
    losses = losses_of(bundle, data, MileConfig(discrete_form=form))
    assert 2 * losses.total.item() == pytest.approx(functional.nll_loss(classes.log(), labels).item(), rel=1e-5)
    assert losses.intervention.item() == pytest.approx(
        functional.binary_cross_entropy(p[:, 0], torch.from_numpy(data.intervening).double()).item(), rel=1e-5
    )


@pytest.mark.parametrize('discrete', [False, True])
def test_robot_weight_adds_the_imitation_of_what_nobody_objected_to(make_bundle: MakeBundle, *, discrete: bool) -> None:
    bundle, data = discrete_bundle() if discrete else make_bundle(), data_of(discrete=discrete)
    published, added = (losses_of(bundle, data, MileConfig(robot_weight=weight)) for weight in (0.0, 0.7))
    alone = ~data.intervening
    nll = -bundle.policy(torch.from_numpy(data.stacked[alone])).log_prob(torch.from_numpy(data.robot_action[alone]))
    expected = nll.sum() / len(data) if discrete else nll.mean()
    assert added.total.item() - published.total.item() == pytest.approx(0.7 * expected.item(), rel=1e-4)


@pytest.mark.parametrize('weight', [0.2, 0.5])
@pytest.mark.parametrize('robot_weight', [0.0, 0.7])
def test_with_the_mean_of_eq_4_over_all_steps_another_lambda_is_the_same(
    make_bundle: MakeBundle, weight: float, robot_weight: float
) -> None:
    bundle, data = make_bundle(), data_of(discrete=False)
    share = data.intervening.mean()
    alone = torch.from_numpy(~data.intervening)
    printed = losses_of(bundle, data, MileConfig(action_mean='all', intervention_weight=weight, robot_weight=robot_weight))
    factor = weight + (1 - weight) * share
    same = losses_of(bundle, data, MileConfig(intervention_weight=weight / factor))
    robot = -bundle.policy(torch.from_numpy(data.stacked)).log_prob(torch.from_numpy(data.robot_action))[alone].sum().item() / len(data)
    assert share < 0.5
    assert printed.total.item() == pytest.approx(factor * same.total.item() + robot_weight * robot, rel=1e-5)
    assert printed.intervention == same.intervention
    assert printed.action.item() == pytest.approx(share * same.action.item(), rel=1e-5)


def test_discrete_actions_have_that_mean_anyway() -> None:
    bundle, data = discrete_bundle(), data_of(discrete=True)
    one, other = (losses_of(bundle, data, MileConfig(action_mean=mean)) for mean in ('interventions', 'all'))
    assert one.total == other.total
    assert one.action == other.action


def test_with_robot_weight_the_policy_stays_with_the_robot_where_nobody_intervened(make_bundle: MakeBundle) -> None:
    data, start = data_of(discrete=False), make_bundle()
    alone = torch.from_numpy(data.stacked[~data.intervening])
    errors = [fit(data, start, robot_weight=weight).policy(alone).mean.abs().mean().item() for weight in (0.0, 5.0)]
    assert errors[1] < 0.5 * errors[0]


def test_mile_iwr_is_mile_with_that_weight(make_bundle: MakeBundle) -> None:
    data, start = data_of(discrete=False), make_bundle()
    method = METHODS['mile_iwr']
    config = method.configure('drawer_open')
    assert dataclasses.replace(config, robot_weight=0.0) == METHODS['mile'].configure('drawer_open')
    few = dataclasses.replace(config, epochs=5)
    ours, mile = (one.fit(data, start, config=few, seed=0) for one in (method, METHODS['mile']))
    assert same_weights(ours.policy, mile.policy)
    assert (ours.manifest.method, mile.manifest.method) == ('mile_iwr', 'mile')


def test_the_discrete_loss_as_released() -> None:
    bundle, data = discrete_bundle(), data_of(discrete=True)
    inputs = torch.from_numpy(data.stacked)
    pi, expected = (model(inputs).log_probs.double().exp() for model in (bundle.policy, bundle.mental_model))
    whether = torch.special.ndtr(pi - (expected * pi.log()).sum(1, keepdim=True) - 0.4)
    p = (pi * whether).sum(1, keepdim=True)
    losses = losses_of(bundle, data, MileConfig(variant='as_released'))
    assert torch.allclose(losses.probability, p[:, 0])
    classes = torch.cat([pi * p, 1 - p], dim=1)
    labels = torch.from_numpy(np.where(data.intervening, np.nan_to_num(data.human_action[:, 0]), ACTIONS)).long()
    assert 2 * losses.total.item() == pytest.approx(functional.nll_loss(classes.log(), labels).item(), rel=1e-5)


@pytest.mark.parametrize('form', ['product', 'joint'])
@pytest.mark.parametrize('mental_model', ['learned', 'bc_frozen', 'snapshot', 'none', 'noted'])
def test_discrete_mile_learns_what_the_human_does(form: str, mental_model: str) -> None:
    data, start = data_of(discrete=True), discrete_bundle()
    trained = fit(data, start, discrete_form=form, mental_model=mental_model)
    action, p = trained.act(data.stacked)
    assert (action[data.intervening] == 2).mean() > 0.95
    if mental_model not in ('none', 'noted'):
        assert p[data.intervening].mean() > p[~data.intervening].mean() + 0.3
    assert all(math.isfinite(value) for value in trained.manifest.metrics.values())
    assert training_warnings(data, start, trained) == []


def test_the_guards_know_categorical_policies() -> None:
    data, start = data_of(discrete=True), discrete_bundle()
    floor, every_step = torch.special.ndtr(torch.tensor(-0.4 / 0.5)).item(), Meaning(LEARNED, 'all')
    assert data_warnings(data, start, every_step, target_rate=floor + 0.01) == []
    assert data_warnings(data, start, every_step, target_rate=floor - 0.01)[0].startswith('floor: with c = 0.4 and sigma = 0.5')
    assert data_warnings(data, start, None, target_rate=floor - 0.01) == []
    hardly = fit(data, start, mental_model='snapshot', epochs=1, learning_rate=1e-6)
    assert [text.partition(':')[0] for text in training_warnings(data, start, hardly)] == ['mental distance']
    start.policy.body[-1].bias.data[0] = math.nan
    with pytest.raises(LearnerError, match='the policy has non-finite weights'):
        training_warnings(data, start, start)


def test_steps_without_an_intervention_teach_discrete_mile() -> None:
    """With the robot's action noted, silence says that it was good enough: the action 0 becomes likelier where nobody intervened."""
    data, start = data_of(discrete=True), discrete_bundle()
    quiet = torch.from_numpy(data.stacked[~data.intervening])
    likely = {}
    for weight in (0.0, 0.5):
        trained = fit(data, start, mental_model='noted', intervention_weight=weight)
        likely[weight] = trained.policy(quiet).log_probs[:, 0].exp().mean().item()
    assert likely[0.5] > likely[0.0] + 0.2


def test_which_models_each_mental_model_uses(make_bundle: MakeBundle) -> None:
    for discrete in (False, True):
        start, data = (discrete_bundle() if discrete else make_bundle()), data_of(discrete=discrete)
        trained = {name: fit(data, start, mental_model=name, epochs=3) for name in ('learned', 'bc_frozen', 'snapshot', 'none', 'noted')}
        assert not same_weights(trained['learned'].mental_model, start.mental_model)
        assert same_weights(trained['bc_frozen'].mental_model, start.mental_model)
        assert same_weights(trained['snapshot'].mental_model, start.policy)
        assert same_weights(trained['none'].mental_model, trained['none'].policy)
        again = {name: fit(data, trained[name], mental_model=name, epochs=3) for name in ('bc_frozen', 'snapshot')}
        assert same_weights(again['bc_frozen'].mental_model, start.mental_model), 'the clone of the initial policy for good'
        assert same_weights(again['snapshot'].mental_model, trained['snapshot'].policy), 'the policy that flew last'
        assert not any(same_weights(bundle.policy, start.policy) for bundle in trained.values())
        for name, bundle in trained.items():
            parameters = list(bundle.mental_model.parameters())
            assert all(parameter.requires_grad for parameter in parameters), 'a bundle can be trained further'
            if name in ('bc_frozen', 'snapshot', 'noted'):
                assert all(parameter.grad is None for parameter in parameters), 'no time is spent on gradients that nobody uses'


def test_without_a_mental_model_only_the_human_actions_teach_a_gaussian(make_bundle: MakeBundle) -> None:
    start, data = make_bundle(), data_of(discrete=False)
    for std_gradient in (True, False):
        config = MileConfig(mental_model='none', intervention_weight=1.0, std_gradient=std_gradient)
        losses = losses_of(start, data, config, c=5.0, sigma=3.0)
        assert losses.probability.std() < 1e-6
        gradients = torch.autograd.grad(losses.total, list(start.policy.parameters()), allow_unused=True, materialize_grads=True)
        assert max(gradient.abs().max().item() for gradient in gradients) < 1e-6


def test_the_released_likelihood_scales_the_variable_and_trains_the_mental_model(make_bundle: MakeBundle) -> None:
    start, data = make_bundle(), data_of(discrete=False)
    nu = torch.from_numpy(data.intervening)
    inputs, human = torch.from_numpy(data.stacked), torch.from_numpy(np.nan_to_num(data.human_action))
    (mean, log_std), (mental_mean, mental_log_std) = start.policy(inputs), start.mental_model(inputs)
    generator = torch.Generator().manual_seed(0)
    p = intervention_probability_sampled(
        mean, log_std, mental_mean, mental_log_std, 5.0, 3.0, samples=4000, generator=generator
    )  # as that code estimates it
    scaled = torch.distributions.Normal(p[:, None] * mean, (p[:, None].log() + log_std).exp())
    by_hand = -scaled.log_prob(human)[nu].sum(-1).mean()
    released = losses_of(start, data, MileConfig(variant='as_released', intervention_weight=0.0), c=5.0, sigma=3.0)
    published = losses_of(start, data, MileConfig(intervention_weight=0.0), c=5.0, sigma=3.0)
    assert released.action.item() == pytest.approx(by_hand.item(), rel=0.02)
    assert released.action.item() > 1.2 * published.action.item(), 'an action that is not shrunk is unlikely under the shrunk distribution'
    assert torch.allclose(released.probability, published.probability, rtol=1e-6)
    parameters = list(start.mental_model.parameters())
    moved = [
        max(g.abs().max().item() for g in torch.autograd.grad(losses.total, parameters, allow_unused=True, materialize_grads=True))
        for losses in (released, published)
    ]
    assert moved[0] > 0
    assert moved[1] == 0.0


def test_the_released_code_forgets_its_mental_model_once_and_clamps(make_bundle: MakeBundle) -> None:
    start, data = make_bundle(), data_of(discrete=False)
    options = {'variant': 'as_released', 'epochs': 1, 'learning_rate': 1e-9}
    first = fit(data, start, **options)
    second = fit(data, first, **options)
    weights = [bundle.mental_model.body[0].weight for bundle in (start, first, second)]
    assert (weights[1] - weights[0]).abs().max() > 0.01
    assert torch.allclose(weights[2], weights[1], atol=1e-6)
    assert torch.equal(first.mental_model.input_mean, start.mental_model.input_mean)
    hopeless = losses_of(start, data, MileConfig(variant='as_released', intervention_weight=1.0), c=1e4, sigma=1.0)
    assert hopeless.total.item() == pytest.approx(-math.log(1e-7) * data.intervening.mean(), rel=1e-3)


def test_the_released_code_leaves_out_a_fifth_of_the_steps(make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    data, seen = data_of(discrete=False), []

    def spy(policy: Policy, mental_model: Policy, batch: Batch, **rest: Any) -> Losses:
        seen.append(sorted(batch.inputs[:, 0].tolist()))
        return mile_losses(policy, mental_model, batch, **rest)

    monkeypatch.setattr('mile_learner.methods.mile.mile_losses', spy)
    for variant, seed in (('as_published', 0), ('as_released', 0), ('as_released', 1)):
        Mile().fit(data, make_bundle(), config=MileConfig(epochs=2, batch_size=1024, variant=variant), seed=seed)
    assert [len(rows) for rows in seen] == [300, 300, 240, 240, 240, 240]
    assert seen[2] == seen[3], 'the same in all epochs of a round'
    assert seen[3] != seen[4], 'others in the next'


def test_the_released_code_does_not_clip_gradients(make_bundle: MakeBundle) -> None:
    data, start = data_of(discrete=False), make_bundle()
    for variant, clipped in (('as_published', True), ('as_released', False)):
        one, other = (fit(data, start, variant=variant, epochs=2, grad_clip=largest) for largest in (1e-9, 1e9))
        assert same_weights(one.policy, other.policy) != clipped


@pytest.mark.parametrize(('c', 'log_std', 'mean', 'clamped'), [(1e4, 0.0, 0.0, -20.0), (-1e4, 3.0, 0.3, 2.0)])
def test_the_released_code_clamps_the_scale_of_the_likelihood(c: float, log_std: float, mean: float, clamped: float) -> None:
    human = Gaussian(torch.full((1, 2), 0.3), torch.full((1, 2), log_std))
    _, nll = continuous_model(
        human, human, torch.full((1, 2), 0.8), torch.ones(1, dtype=torch.bool), c, 1.0, MileConfig(variant='as_released')
    )
    by_hand = -torch.distributions.Normal(mean, math.exp(clamped)).log_prob(torch.tensor(0.8))
    assert nll.item() == pytest.approx(2 * by_hand.item(), rel=1e-5)


def test_what_mile_refuses(make_bundle: MakeBundle) -> None:
    discrete = data_of(discrete=True)
    with pytest.raises(LearnerError, match='no mental model'):
        fit(discrete, discrete_bundle(mental=False))
    fit(discrete, discrete_bundle(mental=False), mental_model='snapshot', epochs=1)
    start = make_bundle()
    start.mental_model = InterventionClassifier(Architecture(input_dim=12, action_dim=1, hidden=(8,), distribution='bernoulli'))
    with pytest.raises(LearnerError, match='classifier for a mental model'):
        fit(data_of(discrete=False), start)


@pytest.mark.parametrize('kind', ['categorical', 'classifier'])
def test_bundles_of_other_networks_come_back_as_they_were_saved(tmp_path: Path, make_bundle: MakeBundle, kind: str) -> None:
    if kind == 'categorical':
        bundle = discrete_bundle()
    else:
        bundle = make_bundle()
        bundle.mental_model = InterventionClassifier(Architecture(input_dim=12, action_dim=1, hidden=(8,), distribution='bernoulli'))
        bundle.manifest = dataclasses.replace(bundle.manifest, mental_architecture=bundle.mental_model.architecture)
    bundle.save(tmp_path / 'v001')
    loaded = Bundle.load(tmp_path / 'v001')
    x = np.random.default_rng(0).normal(size=(6, 12)).astype(np.float32)
    for one, other in zip(bundle.act(x), loaded.act(x), strict=True):
        assert np.array_equal(one, other)
    assert type(loaded.policy) is type(bundle.policy)
    action, p = loaded.act(x)
    assert ((p > 0) & (p < 1)).all()
    single, _ = loaded.act(x[0])
    assert single.shape == ((1,) if kind == 'categorical' else (4,))
    if kind == 'categorical':
        assert np.isin(action, range(ACTIONS)).all()


def test_a_network_of_another_kind_is_refused() -> None:
    with pytest.raises(LearnerError, match="got an architecture of distribution 'gaussian', expected 'categorical'"):
        CategoricalPolicy(Architecture(input_dim=3, action_dim=2))


def test_a_categorical_policy_plays_an_environment_of_discrete_actions() -> None:
    torch.manual_seed(0)
    architecture = Architecture(input_dim=8, action_dim=2, hidden=(8,), distribution='categorical')
    manifest = Manifest('v000', 'cart_pole', ('x', 'v', 'angle', 'rate'), 2, architecture, None, 1.0, 1.0, 'test')

    class Right:
        """Takes over from the fourth tick on."""

        def reset(self, seed: int) -> None:  # noqa: ARG002
            self.tick = 0

        def act(self, observation: np.ndarray, stacked: np.ndarray) -> np.ndarray | None:  # noqa: ARG002
            self.tick += 1
            return np.ones(1, np.float32) if self.tick > 3 else None

    played = rollout(gymnasium.make('CartPole-v1'), Bundle(CategoricalPolicy(architecture), None, manifest), seed=0, human=Right())
    assert played.robot_actions.shape == played.human_actions.shape == (len(played.intervening), 1)
    assert np.isin(played.robot_actions, (0, 1)).all()
    assert (played.executed_actions[3:] == 1).all()
    assert played.observations[-1, 1] > played.observations[3, 1], 'pushing to the right speeds the cart up to the right'
