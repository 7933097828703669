"""The intervention model: closed form against quadrature, sampling and hand-worked cases; finite losses; gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad, trapezoid
from scipy.stats import chi2, gamma, norm

from mile_learner.intervention import (
    base_samples,
    discrepancy,
    discrete_log_classes,
    enough_nodes,
    intervention_probability,
    log_intervention_probability,
    probability_floor,
    sampled_gains,
)
from mile_learner.policy import Architecture, Gaussian, GaussianPolicy


def gaussians(batch: int, dim: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)

    def draw(scale: float, shift: float = 0.0) -> torch.Tensor:
        return shift + scale * torch.randn((batch, dim), generator=g, dtype=torch.float64)

    return draw(0.5), draw(0.3, -1.5), draw(0.5), draw(0.3, -1.5)


@pytest.mark.parametrize(('c', 'sigma'), [(70.0, 100.0), (9.4, 8.0), (3.0, 1.5)])
@pytest.mark.parametrize('dim', [2, 4, 7])
def test_closed_form_of_random_networks_equals_a_million_samples_and_so_does_its_gradient(dim: int, c: float, sigma: float) -> None:
    torch.manual_seed(int(dim * c))
    networks = [GaussianPolicy(Architecture(input_dim=6, action_dim=dim, hidden=(32,))) for _ in range(2)]
    states = torch.tensor([[1.0], [5.0]]) * torch.randn(2, 6)
    outputs = [part.detach().double().requires_grad_() for network in networks for part in network(states)]
    human, expected = Gaussian(*outputs[:2]), Gaussian(*outputs[2:])
    own, other = base_samples(2**20, dim)
    exact, _ = human.log_intervention_probability(expected, c, sigma)
    assert ((exact.exp() > 0.01) & (exact.exp() < 0.99)).any(), 'where p is 0 or 1 there is nothing to compare'
    sampled, _ = sampled_gains(human.log_prob, human.draws(own), expected.draws(other)).log_intervention_probability(c, sigma)
    assert (exact.exp() - sampled.exp()).abs().max() <= 1e-3
    for one, two in zip(*(torch.autograd.grad(p.exp().sum(), outputs) for p in (exact, sampled)), strict=True):
        assert torch.allclose(one, two, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ('sigma', 'nodes', 'tolerance'), [(1.0, 8, 2e-3), (2.0, 8, 1e-4), (10.0, 8, 1e-9), (0.5, 32, 1e-3), (1.0, 32, 1e-5)]
)
@pytest.mark.parametrize('dim', [2, 4])
def test_closed_form_equals_the_integral(sigma: float, nodes: int, tolerance: float, dim: int) -> None:
    for m in (0.0, 4.0, 9.0, 25.0):
        for c in (1.0, 5.0):
            p = log_intervention_probability(torch.tensor([m], dtype=torch.float64), dim, c, sigma, nodes)[0].exp().item()
            edge = min(max(m - 2 * c, 0.0), 99.0)
            reference = quad(
                lambda q, m=m, c=c: norm.cdf((m / 2 - q / 2 - c) / sigma) * chi2.pdf(q, dim), 0, 100, points=[edge], limit=400
            )[0]
            assert p == pytest.approx(reference, abs=tolerance)


@pytest.mark.parametrize('dim', [1, 4, 7])
@pytest.mark.parametrize('sigma', [5.0, 9.9, 10.0, 30.0, 100.0])
def test_enough_nodes_are_enough(sigma: float, dim: int) -> None:
    m = torch.logspace(-1, 6, 400, dtype=torch.float64)
    for c in (0.0, 0.8 * sigma, 3 * sigma):
        few, many = (log_intervention_probability(m, dim, c, sigma, nodes)[0].exp() for nodes in (enough_nodes(sigma), 64))
        assert torch.allclose(few, many, rtol=0, atol=2e-6)


@pytest.mark.parametrize('dim', [1, 4, 7])
@pytest.mark.parametrize('sigma', [0.5, 0.99, 1.0, 1.99, 2.0, 3.0, 4.99])
def test_enough_nodes_are_enough_where_sigma_is_small(sigma: float, dim: int) -> None:
    edge, z = np.linspace(-3 * sigma, 25, 60), np.linspace(-8, 8, 2001)  # E_x[Φ((b − x)/σ)] is P(x + σ z < b), smooth in z
    reference = trapezoid(norm.pdf(z) * gamma.cdf(edge[:, None] - sigma * z, dim / 2), z)
    m = 2 * torch.as_tensor(edge + 3 * sigma)
    p = log_intervention_probability(m, dim, 3 * sigma, sigma, enough_nodes(sigma))[0].exp().numpy()
    assert np.abs(p - reference).max() < 5e-4


def test_discrepancy_by_hand() -> None:
    mean, log_std = torch.tensor([[0.0, 1.0]]), torch.log(torch.tensor([[0.5, 2.0]]))
    mental_mean, mental_log_std = torch.tensor([[1.0, 1.0]]), torch.log(torch.tensor([[0.5, 1.0]]))
    # ((0.5² + 1²)/0.5²) + ((1² + 0)/2²)
    assert discrepancy(mean, log_std, mental_mean, mental_log_std).item() == pytest.approx(5.25)


def test_both_log_probabilities_are_complementary_and_finite_for_any_discrepancy() -> None:
    m = torch.tensor([0.0, 1.0, 1e2, 1e4, 1e6, 1e8], dtype=torch.float32, requires_grad=True)
    log_p, log_q = log_intervention_probability(m, 4, 8.0, 2.0)
    assert torch.isfinite(log_p).all()
    assert torch.isfinite(log_q).all()
    assert torch.allclose(log_p.exp() + log_q.exp(), torch.ones(6, dtype=torch.float64))
    (gradient,) = torch.autograd.grad(log_q.sum(), m)
    assert torch.isfinite(gradient).all()
    # far out ln p(ν=0) is -z²/2 of the node nearest to zero: the slope must grow with M, as it does not in float32
    assert gradient[3:].diff().max() < 0
    assert gradient[4].item() == pytest.approx(-1e6 / 16, rel=0.01)
    assert log_p[-1].item() == pytest.approx(0.0, abs=1e-6)


def test_gradients_are_those_of_the_function() -> None:
    parameters = tuple(t.requires_grad_() for t in gaussians(3, 4, seed=5))
    assert torch.autograd.gradcheck(lambda a, b, c, d: intervention_probability(a, b, c, d, 6.0, 3.0), parameters)
    assert torch.autograd.gradcheck(lambda a, b, c, d: log_intervention_probability(discrepancy(a, b, c, d), 4, 6.0, 3.0), parameters)


def test_probability_grows_with_the_discrepancy() -> None:
    p = log_intervention_probability(torch.linspace(0, 50, 50), 4, 10.0, 3.0)[0]
    assert (p.diff() > 0).all()


@pytest.mark.parametrize(
    ('c', 'sigma', 'at_equal', 'at_zero'),
    [(150, 200, 0.227, 0.224), (60, 75, 0.212, 0.204), (75, 175, 0.334, 0.330), (70, 100, 0.242, 0.236)],
)
def test_floor_of_the_published_settings(c: float, sigma: float, at_equal: float, at_zero: float) -> None:
    zero, equal = probability_floor(4, c, sigma)
    assert equal == pytest.approx(at_equal, abs=6e-4)
    assert zero == pytest.approx(at_zero, abs=6e-4)


@pytest.mark.parametrize('joint', [False, True])
def test_discrete_classes_are_a_distribution_and_agree_on_the_rate(joint: bool) -> None:
    g = torch.Generator().manual_seed(0)
    log_policy = torch.log_softmax(3 * torch.randn((7, 4), generator=g, dtype=torch.float64), dim=-1)
    log_mental = torch.log_softmax(3 * torch.randn((7, 4), generator=g, dtype=torch.float64), dim=-1)
    classes = discrete_log_classes(log_policy, log_mental, 1.0, 0.7, joint=joint).exp()
    assert torch.allclose(classes.sum(dim=-1), torch.ones(7, dtype=torch.float64))
    for row in range(7):
        expected = sum(log_mental[row, a].exp().item() * log_policy[row, a].item() for a in range(4))
        rate = sum(log_policy[row, a].exp().item() * norm.cdf((log_policy[row, a].item() - expected - 1.0) / 0.7) for a in range(4))
        assert 1 - classes[row, -1].item() == pytest.approx(rate)


def test_discrete_forms_differ_only_in_which_action() -> None:
    log_policy, log_mental = torch.log(torch.tensor([[0.9, 0.1]])), torch.log(torch.tensor([[0.1, 0.9]]))
    product, joint = (discrete_log_classes(log_policy, log_mental, 0.5, 1.0, joint=j).exp()[0] for j in (False, True))
    assert (product[0] / product[1]).item() == pytest.approx(9.0, rel=1e-5)
    assert joint[0] / joint[1] > product[0] / product[1]
    assert math.isclose(product[2].item(), joint[2].item(), rel_tol=1e-6)
