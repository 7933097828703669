"""Calibration of c and sigma: recovers what generated the data, with intervals that cover it, and refuses what cannot be fitted."""

from __future__ import annotations

import pytest
import torch

from mile_learner.calibrate import calibrate, noted_discrepancy
from mile_learner.errors import LearnerError
from mile_learner.intervention import log_intervention_probability
from mile_learner.policy import Architecture, GaussianPolicy


def simulate(c: float, sigma: float, steps: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    m = 4 + 80 * torch.rand(steps, generator=g, dtype=torch.float64) ** 2
    p = log_intervention_probability(m, 4, c, sigma, nodes=32)[0].exp()
    return m, torch.rand(steps, generator=g, dtype=torch.float64) < p


@pytest.mark.parametrize(('c', 'sigma'), [(12.0, 4.0), (8.0, 1.5), (30.0, 20.0)])
def test_recovers_what_generated_the_data(c: float, sigma: float) -> None:
    fit = calibrate(*simulate(c, sigma, 4_000, seed=0), dim=4)
    assert fit.c == pytest.approx(c, rel=0.15)
    assert fit.sigma == pytest.approx(sigma, rel=0.25)
    assert fit.log_loss < fit.rate_loss


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    fits = [calibrate(*simulate(12.0, 4.0, 300, seed), dim=4) for seed in range(20)]
    assert sum(fit.c_interval[0] < 12.0 < fit.c_interval[1] for fit in fits) >= 16
    assert sum(fit.sigma_interval[0] < 4.0 < fit.sigma_interval[1] for fit in fits) >= 16


def test_interventions_that_ignore_the_discrepancy_are_seen_as_such() -> None:
    m, _ = simulate(12.0, 4.0, 1000, seed=3)
    intervening = torch.rand(1000, generator=torch.Generator().manual_seed(4)) < 0.2
    fit = calibrate(m, intervening, dim=4)
    assert fit.rate_loss - fit.log_loss < 0.004
    assert fit.sigma > 30


def test_separable_data_stay_within_the_range() -> None:
    m = torch.linspace(4, 60, 200, dtype=torch.float64)
    fit = calibrate(m, m > 30, dim=4)
    assert fit.sigma == pytest.approx(1.0, abs=1e-6)
    assert 10 < fit.c < 16


@pytest.mark.parametrize('value', [True, False])
def test_one_class_is_refused(value: bool) -> None:
    with pytest.raises(LearnerError, match=rf'all with nu = {int(value)}'):
        calibrate(torch.ones(5), torch.full((5,), value), dim=4)


def test_damaged_discrepancies_are_refused() -> None:
    with pytest.raises(LearnerError, match='non-finite'):
        calibrate(torch.tensor([1.0, torch.inf]), torch.tensor([True, False]), dim=4)


def test_the_noted_discrepancy_grows_with_the_distance_from_what_the_human_would_do() -> None:
    torch.manual_seed(0)
    policy = GaussianPolicy(Architecture(input_dim=3, action_dim=2, hidden=(4,)))
    states = torch.randn(5, 3)
    with torch.no_grad():
        mean, log_std = policy(states)
    narrow = policy.architecture.log_std_min
    at_rest = ((narrow - log_std) * 2).exp().sum(-1)
    beside = ((0.1 / log_std.exp()) ** 2).sum(-1)
    assert torch.allclose(noted_discrepancy(policy, states.numpy(), mean.numpy()), at_rest, rtol=1e-4)
    assert torch.allclose(noted_discrepancy(policy, states.numpy(), (mean + 0.1).numpy()), at_rest + beside, rtol=1e-4)
