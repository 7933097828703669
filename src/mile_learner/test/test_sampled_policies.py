"""Policies without a closed form: their samples against brute force, their gradients, their place in bundles and methods."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, distributions

from mile_learner.bundle import POLICIES, Bundle, Manifest
from mile_learner.errors import LearnerError
from mile_learner.guards import training_warnings
from mile_learner.intervention import base_samples, sampled_gains
from mile_learner.meaning import LEARNED, NOTED, Meaning
from mile_learner.methods import METHODS
from mile_learner.methods.base import InterventionData
from mile_learner.mixture import Mixture
from mile_learner.network import Policy
from mile_learner.policy import Architecture, Gaussian
from mile_learner.run_calibration import steps_of
from mile_learner.squashed import Squashed

MakeBundle = Callable[..., Bundle]
KINDS = ('squashed', 'mixture')


def outputs(kind: str, states: int = 3, dim: int = 3, components: int = 2, seed: int = 0) -> list[Tensor]:
    """Of a random network, float64."""
    generator = torch.Generator().manual_seed(seed)
    shape = (states, dim) if kind == 'squashed' else (states, components, dim)
    parts = [0.7 * torch.randn(shape, generator=generator, dtype=torch.float64) + shift for shift in (0.0, -0.7)]
    if kind == 'mixture':
        parts.insert(0, torch.randn(shape[:2], generator=generator, dtype=torch.float64))
    return parts


def policy_of(kind: str, parts: list[Tensor] | tuple[Tensor, ...]) -> Any:
    return Squashed(*parts) if kind == 'squashed' else Mixture(parts[0].log_softmax(dim=-1), *parts[1:])


def estimate(human: Any, expected: Any, c: float, sigma: float, samples: int) -> Tensor:
    own, other = base_samples(samples, human.mean.shape[-1])
    density = human.log_density if isinstance(human, Squashed) else human.log_prob
    return sampled_gains(density, human.draws(own), expected.draws(other)).log_intervention_probability(c, sigma)[0].exp()


def as_in_torch(policy: Any) -> distributions.Distribution:
    """The same by the classes of torch."""
    if isinstance(policy, Squashed):
        normal = distributions.Independent(distributions.Normal(policy.mean, policy.log_std.exp()), 1)
        return distributions.TransformedDistribution(normal, distributions.TanhTransform())
    components = distributions.Independent(distributions.Normal(policy.means, policy.log_std.exp()), 1)
    return distributions.MixtureSameFamily(distributions.Categorical(logits=policy.log_weights), components)


def small_bundle(kind: str) -> Bundle:
    torch.manual_seed(0)
    architecture = Architecture(input_dim=12, action_dim=4, hidden=(16,), distribution=kind, components=2)
    manifest = Manifest('v000', 'toy', ('x', 'y', 'z'), 4, architecture, architecture, 5.0, 3.0, 'test')
    return Bundle(POLICIES[kind](architecture), POLICIES[kind](architecture), manifest)


def takeovers(steps: int = 200) -> InterventionData:
    """The robot does 0 everywhere; where x > 0.3 the human takes over, and does 1."""
    stacked = np.random.default_rng(0).normal(size=(steps, 12)).astype(np.float32)
    nu, number, never = stacked[:, 0] > 0.3, np.arange(steps), np.zeros(steps, dtype=bool)
    human = np.where(nu[:, None], 1.0, np.nan).astype(np.float32) * np.ones(4, np.float32)
    robot = np.zeros((steps, 4), np.float32)
    return InterventionData(stacked, stacked, robot, human, nu, number // 50, number % 50, 0 * number, never, never, never)


@pytest.mark.parametrize(('c', 'sigma'), [(9.4, 8.0), (3.0, 1.5)])
@pytest.mark.parametrize('kind', KINDS)
def test_samples_agree_with_brute_force(kind: str, c: float, sigma: float) -> None:
    human, expected = (policy_of(kind, outputs(kind, seed=seed)) for seed in (1, 2))
    torch.manual_seed(0)
    pi = as_in_torch(human)
    actions, theirs = pi.sample((400_000,)), as_in_torch(expected).sample((400_000,))
    by_force = torch.special.ndtr((pi.log_prob(actions) - pi.log_prob(theirs).mean(dim=0) - c) / sigma).mean(dim=0)
    assert torch.allclose(estimate(human, expected, c, sigma, 2**14), by_force, rtol=0, atol=5e-3)
    log_p, log_not_p = human.log_intervention_probability(expected, c, sigma)
    assert torch.allclose(log_p.exp(), by_force, rtol=0, atol=1.5e-2)
    assert torch.allclose(log_p.exp() + log_not_p.exp(), torch.ones(3, dtype=torch.float64))
    few = actions[:100].clamp(-0.99, 0.99)
    assert torch.allclose(human.log_prob(few), pi.log_prob(few))


@pytest.mark.parametrize('kind', KINDS)
def test_gradients_are_those_of_the_estimate(kind: str) -> None:
    parts = [part.requires_grad_() for seed in (3, 4) for part in outputs(kind, states=2, dim=2, seed=seed)]
    half = len(parts) // 2
    assert torch.autograd.gradcheck(lambda *p: estimate(policy_of(kind, p[:half]), policy_of(kind, p[half:]), 3.0, 2.0, 8), parts)


@pytest.mark.parametrize('kind', KINDS)
def test_a_mixture_of_one_and_a_squashed_gaussian_of_small_actions_agree_with_the_closed_form(kind: str) -> None:
    scale = 0.02 if kind == 'squashed' else 1.0
    pair = [Gaussian(scale * mean, log_std + math.log(scale)) for mean, log_std in (outputs('squashed', seed=seed) for seed in (5, 6))]
    same = [Squashed(*one) if kind == 'squashed' else Mixture(torch.zeros(3, 1), *(part[:, None] for part in one)) for one in pair]
    exact, _ = pair[0].log_intervention_probability(pair[1], 9.4, 8.0)
    assert torch.allclose(estimate(*same, 9.4, 8.0, 2**14), exact.exp(), rtol=0, atol=2e-3)


def test_saturated_actions_and_far_means_stay_finite() -> None:
    mean = torch.tensor([[40.0, -40.0], [0.0, 0.0]], requires_grad=True)
    human, expected = Squashed(mean, torch.zeros(2, 2)), Squashed(torch.zeros(2, 2), torch.zeros(2, 2))
    values = [*human.log_intervention_probability(expected, 5.0, 3.0), human.log_prob(torch.tensor([[1.0, -1.0], [1.0, 1.0]]))]
    assert all(value.isfinite().all() for value in values)
    assert torch.autograd.grad(sum(value.sum() for value in values), mean)[0].isfinite().all()


def test_the_mode_of_a_mixture_is_its_highest_component_within_the_bounds() -> None:
    log_weights, means = torch.tensor([[0.4, 0.6]]).log(), torch.tensor([[[1.7, 0.2], [0.0, -0.5]]])
    narrow_first = Mixture(log_weights, means, torch.tensor([[[-2.0, -2.0], [1.0, 1.0]]]))
    assert torch.allclose(narrow_first.mode(), torch.tensor([[1.0, 0.2]]))


@pytest.mark.parametrize('kind', KINDS)
def test_bundles_act_within_the_bounds_and_come_back_as_they_were_saved(tmp_path: Path, kind: str) -> None:
    bundle = small_bundle(kind)
    bundle.save(tmp_path / 'v001')
    stacked = 30 * np.random.default_rng(0).normal(size=(6, 12)).astype(np.float32)
    (action, p), again = bundle.act(stacked), Bundle.load(tmp_path / 'v001').act(stacked)
    assert np.array_equal(action, again[0])
    assert np.array_equal(p, again[1])
    assert np.abs(action).max() <= 1.0
    assert ((p >= 0) & (p <= 1)).all()
    assert np.isnan(bundle.act(np.full(12, np.nan, np.float32))[0]).all()


@pytest.mark.parametrize('mental_model', ['learned', 'noted', 'none'])
@pytest.mark.parametrize('kind', KINDS)
def test_mile_lowers_its_loss_and_is_reproducible(kind: str, mental_model: str) -> None:
    start, seen = small_bundle(kind), []
    start.act(np.zeros(12, np.float32))  # what inference has made must not stand in the way of training
    options = {'epochs': 4, 'learning_rate': 3e-3, 'mental_model': mental_model, 'std_gradient': mental_model == 'learned'}
    config = type(METHODS['mile'].configure('')).from_mapping(options)

    def fit() -> Bundle:
        return METHODS['mile'].fit(takeovers(), start, config=config, seed=0, progress=lambda *now: seen.append(now[2]['loss']) or True)

    one, other = fit(), fit()
    assert seen[3] < seen[0]
    assert seen[:4] == seen[4:]
    assert all(torch.equal(*pair) for pair in zip(one.policy.parameters(), other.policy.parameters(), strict=True))
    training_warnings(takeovers(), start, one)


@pytest.mark.parametrize(
    ('kind', 'expected'), [('squashed', LEARNED), ('mixture', NOTED), ('categorical', LEARNED), ('categorical', NOTED)]
)
def test_c_and_sigma_are_fitted_to_any_class(kind: str, expected: str) -> None:
    c, sigma, bundle, data = 2.0, 1.5, small_bundle(kind), takeovers(800)
    if kind == 'categorical':
        data = dataclasses.replace(data, robot_action=data.robot_action[:, :1], human_action=data.human_action[:, :1])
    with torch.no_grad():
        for model in (bundle.policy, bundle.mental_model):
            assert isinstance(model, Policy)
            for weights in model.body.parameters():
                weights *= 3  # so that states differ
    steps = steps_of(data, bundle, Meaning(expected, 'all'))
    log_p, log_not_p = steps.gains.log_intervention_probability(c, sigma)
    nu = torch.rand(len(steps), generator=torch.Generator().manual_seed(1), dtype=torch.float64) < log_p.exp()
    found = dataclasses.replace(steps, intervening=nu).calibrate()
    assert found.c_interval[0] < c < found.c_interval[1]
    assert found.sigma_interval[0] < sigma < found.sigma_interval[1]
    assert found.log_loss <= -torch.where(nu, log_p, log_not_p).mean().item(), 'no other c and sigma are likelier'
    if expected == LEARNED:
        bundle.manifest = dataclasses.replace(bundle.manifest, c=c, sigma=sigma)
        assert bundle.act(data.stacked)[1] == pytest.approx(log_p.exp().numpy(), abs=1e-6), 'what the fit is about is what flies'


@pytest.mark.parametrize('kind', KINDS)
def test_baselines_clone_them_and_what_needs_a_gaussian_says_so(kind: str, make_bundle: MakeBundle) -> None:
    start, data = small_bundle(kind), takeovers()
    for name in ('bc_all', 'bc_intervention'):
        config = METHODS[name].configure('')
        config = type(config).from_mapping({**config.to_mapping(), 'epochs': 2})
        assert METHODS[name].fit(data, start, config=config, seed=0).policy.distribution == kind
    for name, options in (('rlif', {}), ('mile', {'variant': 'as_released'})):
        config = type(METHODS[name].configure('')).from_mapping(options)
        with pytest.raises(LearnerError, match=rf'gaussian.*{kind}|{kind}.*gaussian'):
            METHODS[name].fit(data, start, config=config, seed=0)
    with pytest.raises(LearnerError, match=f'got a gaussian mental model, expected a {kind} one'):
        Bundle(start.policy, make_bundle().mental_model, start.manifest)
