"""Calibration of c and sigma: recovers what generated the data, with intervals that cover it, and refuses what cannot be fitted."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mile_learner.calibrate import C_RANGE, Calibration, calibrate, cost_for_rate
from mile_learner.errors import LearnerError
from mile_learner.intervention import discrete_gains, gaussian_gains, log_intervention_probability


def simulate(c: float, sigma: float, steps: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    m = 4 + 80 * torch.rand(steps, generator=g, dtype=torch.float64) ** 2
    p = log_intervention_probability(m, 4, c, sigma, nodes=32)[0].exp()
    return m, torch.rand(steps, generator=g, dtype=torch.float64) < p


def fitted(m: torch.Tensor, intervening: torch.Tensor, dim: int, episode: torch.Tensor | None = None) -> Calibration:
    return calibrate(gaussian_gains(m, dim, 16), intervening, episode=episode)


@pytest.mark.parametrize(('c', 'sigma'), [(12.0, 4.0), (8.0, 1.5), (30.0, 20.0)])
def test_recovers_what_generated_the_data(c: float, sigma: float) -> None:
    fit = fitted(*simulate(c, sigma, 4_000, seed=1), dim=4)
    assert fit.c == pytest.approx(c, rel=0.15)
    assert fit.sigma == pytest.approx(sigma, rel=0.25)
    assert fit.c_interval[0] < c < fit.c_interval[1]
    assert fit.sigma_interval[0] < sigma < fit.sigma_interval[1]
    assert fit.log_loss < fit.rate_loss
    assert fit.determined


@pytest.mark.parametrize(('c', 'sigma'), [(0.8, 0.1), (1.5, 0.5), (2.0, 3.0)])
def test_discrete_actions_determine_a_small_sigma_too(c: float, sigma: float) -> None:
    g = torch.Generator().manual_seed(1)
    log_policy, log_mental = (torch.randn(4_000, 4, generator=g, dtype=torch.float64).mul(2).log_softmax(dim=-1) for _ in range(2))
    gains = discrete_gains(log_policy, log_mental)
    action = torch.multinomial(log_policy.exp(), 1, generator=g)
    threshold = c + sigma * torch.randn(4_000, 1, generator=g, dtype=torch.float64)
    fit = calibrate(gains, (gains.values.gather(-1, action) > threshold).squeeze(-1), exact=True)
    assert fit.c_interval[0] < c < fit.c_interval[1]
    assert fit.sigma_interval[0] < sigma < fit.sigma_interval[1]
    predicted = gains.log_intervention_probability(fit.c, fit.sigma)[0].exp().mean().item()
    assert predicted == pytest.approx(fit.rate, abs=0.01)
    assert calibrate(gains, threshold.squeeze(-1) < 1.0).sigma >= 1.0, 'unless they are said to be all there are'


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    fits = [fitted(*simulate(12.0, 4.0, 300, seed), dim=4) for seed in range(20)]
    assert sum(fit.c_interval[0] < 12.0 < fit.c_interval[1] for fit in fits) >= 16
    assert sum(fit.sigma_interval[0] < 4.0 < fit.sigma_interval[1] for fit in fits) >= 16


def test_interventions_that_ignore_the_discrepancy_are_seen_as_such() -> None:
    m, _ = simulate(12.0, 4.0, 1000, seed=3)
    intervening = torch.rand(1000, generator=torch.Generator().manual_seed(4)) < 0.2
    fit = fitted(m, intervening, dim=4)
    assert fit.rate_loss - fit.log_loss < 0.004
    assert fit.sigma > 30
    assert fit.sigma_interval == (0.0, math.inf)
    assert fit.c_interval == (-math.inf, math.inf), 'c grows with sigma'


def test_a_threshold_determines_c_but_not_sigma() -> None:
    m = torch.linspace(4, 60, 200, dtype=torch.float64)
    fit = fitted(m, m > 30, dim=4)
    assert fit.sigma == pytest.approx(1.0, abs=1e-6)
    assert fit.sigma_interval == (0.0, math.inf)
    assert 12 < fit.c_interval[0] < fit.c < fit.c_interval[1] < 14.5
    assert not fit.determined


@settings(max_examples=25, deadline=None)
@given(
    steps=st.integers(4, 300),
    threshold=st.floats(10.0, 90.0),
    gap=st.floats(0.0, 8.0),
    dim=st.integers(1, 6),
    seed=st.integers(0, 1000),
    episodes=st.integers(1, 5),
)
def test_separable_data_never_determine_sigma(steps: int, threshold: float, gap: float, dim: int, seed: int, episodes: int) -> None:
    m = 100 * torch.rand(steps, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    intervening = m > threshold
    m += torch.where(intervening, gap, -gap)
    m[0], intervening[0], m[1], intervening[1] = threshold - gap, False, threshold + gap, True
    fit = fitted(m, intervening, dim, episode=torch.arange(steps) % episodes)
    assert fit.sigma_interval == (0.0, math.inf)
    assert fit.c_interval == (-math.inf, math.inf) or C_RANGE[0] < fit.c_interval[0] < fit.c < fit.c_interval[1] < C_RANGE[1]


@pytest.mark.parametrize('spread', [0.0, 0.1, 1.0])
@pytest.mark.parametrize('rate', [0.1, 0.37, 0.8])
def test_discrepancies_that_hardly_differ_determine_nothing(rate: float, spread: float) -> None:
    m = 4 + spread * torch.rand(200, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    fit = fitted(m, torch.arange(200) < 200 * rate, dim=4)
    assert (fit.c_interval, fit.sigma_interval) == ((-math.inf, math.inf), (0.0, math.inf))
    assert fit.log_loss == pytest.approx(fit.rate_loss, abs=5e-3), 'the rate is fitted all the same'


def test_episodes_that_differ_widen_the_intervals() -> None:
    """A cost that varies by tau between episodes is, over all of them, the same cost and sigma = hypot(sigma, tau)."""
    c, sigma, tau, episodes, length = 12.0, 3.0, 3.0, 15, 60
    covered = narrow = 0
    for seed in range(12):
        g = torch.Generator().manual_seed(seed)
        episode = torch.arange(episodes).repeat_interleave(length)
        m = 4 + 60 * torch.rand(len(episode), generator=g, dtype=torch.float64)
        own = c + tau * torch.randn(episodes, generator=g, dtype=torch.float64)[episode].unsqueeze(-1)
        intervening = torch.rand(len(m), generator=g, dtype=torch.float64) < log_intervention_probability(m, 4, own, sigma)[0].exp()
        low, high = fitted(m, intervening, 4, episode=episode).c_interval
        alone = fitted(m, intervening, 4).c_interval
        assert low <= alone[0] + 1e-9 < alone[1] - 1e-9 <= high
        covered += low < c < high
        narrow += alone[0] < c < alone[1]
    assert covered >= 10
    assert narrow <= 8, 'steps taken as independent promise too much'


@pytest.mark.parametrize('sigma', [1.0, 4.0, 60.0])
@pytest.mark.parametrize('rate', [0.001, 0.25, 0.999])
def test_the_cost_of_a_rate_gives_that_rate(rate: float, sigma: float) -> None:
    m, _ = simulate(12.0, 4.0, 500, seed=1)
    c = cost_for_rate(gaussian_gains(m, 4, 16), sigma, rate)
    assert log_intervention_probability(m, 4, c, sigma, nodes=16)[0].exp().mean().item() == pytest.approx(rate, rel=1e-4)


@pytest.mark.parametrize('value', [True, False])
def test_one_class_is_refused(value: bool) -> None:
    with pytest.raises(LearnerError, match=rf'all with nu = {int(value)}'):
        fitted(torch.ones(5), torch.full((5,), value), dim=4)


def test_damaged_discrepancies_are_refused() -> None:
    with pytest.raises(LearnerError, match='non-finite'):
        fitted(torch.tensor([1.0, torch.inf]), torch.tensor([True, False]), dim=4)
