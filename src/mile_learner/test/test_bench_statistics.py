"""Statistics and scores against values worked out by hand, and the interval's coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t

from mile_learner.bench.prediction import reliability, scores
from mile_learner.bench.statistics import interquartile_mean, interval, mean, paired_difference, probability_of_improvement


def test_interquartile_mean_leaves_out_a_quarter_on_each_side() -> None:
    assert interquartile_mean(np.array([0.0, 1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0, 100.0])) == pytest.approx(3.5)


def test_probability_of_improvement_counts_pairs_and_ties() -> None:
    x, y = [np.array([1.0, 2.0, 3.0])], [np.array([2.0, 2.0])]
    assert probability_of_improvement(x, y)[0] == pytest.approx((0 + 0.5 + 1) / 3)
    assert probability_of_improvement(y, x)[0] == pytest.approx(1 - 0.5)
    two = probability_of_improvement([np.ones(3), np.zeros(3)], [np.zeros(3), np.ones(3)])
    assert two[0] == pytest.approx(0.5)


def test_stratified_interval_of_the_mean_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(60):
        low, high = interval([rng.normal(0.0, 1.0, 20), rng.normal(10.0, 1.0, 20)], mean, seed=trial)
        covered += low <= 5.0 <= high
        assert high - low < 1.0, 'tasks are strata: the distance between them must not widen the interval'
    assert 50 <= covered <= 60


def test_one_seed_has_no_interval() -> None:
    assert all(math.isnan(end) for end in interval([np.array([0.5])]))


def test_paired_difference_sees_through_the_spread_of_the_seeds() -> None:
    y = np.array([0.1, 0.5, 0.9, 0.2])
    value, low, high = paired_difference([y + 0.1], [y])
    assert (value, low, high) == pytest.approx((0.1, 0.1, 0.1))


@pytest.mark.parametrize('seeds', [2, 3, 5, 10])
@pytest.mark.parametrize('tasks', [1, 3])
def test_where_there_is_no_difference_one_in_twenty_is_found_also_with_few_seeds(seeds: int, tasks: int) -> None:
    rng = np.random.default_rng(seeds)
    zeros = [np.zeros(seeds)] * tasks
    ends = np.array([paired_difference([rng.normal(0.0, 1.0, seeds) for _ in range(tasks)], zeros)[1:] for _ in range(2000)])
    found = ((ends[:, 0] > 0) | (ends[:, 1] < 0)).mean()
    assert 0.01 < found < 0.065


def test_paired_difference_by_hand() -> None:
    value, low, high = paired_difference([np.array([0.3, 0.5, 0.7])], [np.array([0.1, 0.1, 0.1])])
    assert value == pytest.approx(0.4)
    assert high - value == pytest.approx(4.302653 * 0.2 / math.sqrt(3)), "t's 97.5 % quantile with two degrees of freedom"
    assert value - low == pytest.approx(high - value)
    assert all(math.isnan(end) for end in paired_difference([np.ones(1)], [np.zeros(1)])[1:])


def test_scores_that_are_the_same_distance_apart_by_chance_are_no_certainty() -> None:
    y = np.array([0.1, 0.4])
    value, low, high = paired_difference([y + 0.3], [y], steps=[0.1])
    assert value - low == pytest.approx(high - value)
    assert value == pytest.approx(0.3)
    assert high - value == pytest.approx(12.7062 * math.sqrt(0.1**2 / 6 / 2), rel=1e-4), "t's 97.5 % quantile with one degree of freedom"
    both = paired_difference([y + 0.3, y], [y, np.array([0.9, 0.1])], steps=[0.1, 0.1])
    parts = np.array([0.1**2 / 6, 0.55**2 * 2]) / 2 / 4
    freedom = parts.sum() ** 2 / (parts**2).sum()
    assert both[2] - both[0] == pytest.approx(t.ppf(0.975, freedom) * math.sqrt(parts.sum())), 'what varies more is not touched'


@pytest.mark.parametrize('seeds', [2, 3, 5])
def test_two_methods_that_are_equally_good_are_told_apart_one_time_in_twenty(seeds: int) -> None:
    """With ten test episodes each."""
    rng = np.random.default_rng(seeds)
    ends = np.array(
        [paired_difference([rng.binomial(10, 0.5, seeds) / 10], [rng.binomial(10, 0.5, seeds) / 10], steps=[0.1]) for _ in range(2000)]
    )
    assert ((ends[:, 1] > 0) | (ends[:, 2] < 0)).mean() < 0.065


def test_each_task_counts_the_same_however_many_seeds_it_has() -> None:
    few, many = np.array([0.5, 0.7]), np.tile([0.0, 0.2], 4)
    value, low, high = paired_difference([few, many], [np.zeros(2), np.zeros(8)])
    assert value == pytest.approx(0.35), '(0.6 + 0.1) / 2'
    parts = np.array([0.02 / 2, 0.08 / 7 / 8]) / 4
    freedom = parts.sum() ** 2 / (parts**2 / [1, 7]).sum()
    assert high - low == pytest.approx(2 * t.ppf(0.975, freedom) * math.sqrt(parts.sum()))


def test_scores_by_hand() -> None:
    p, nu = np.array([0.9, 0.8, 0.4, 0.1]), np.array([1, 0, 1, 0])
    found = scores(p, nu)
    assert found['log_loss'] == pytest.approx(-np.log([0.9, 0.2, 0.4, 0.9]).mean())
    assert found['brier'] == pytest.approx((0.01 + 0.64 + 0.36 + 0.01) / 4)
    assert found['accuracy'] == found['balanced_accuracy'] == 0.5
    assert found['average_precision'] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_average_precision_of_a_constant_is_the_rate() -> None:
    assert scores(np.full(10, 0.3), np.arange(10) < 3)['average_precision'] == pytest.approx(0.3)


def test_scores_with_one_class_say_so() -> None:
    found = scores(np.full(4, 0.2), np.zeros(4))
    assert math.isnan(found['balanced_accuracy'])
    assert math.isnan(found['average_precision'])
    assert found['log_loss'] == pytest.approx(-math.log(0.8))


def test_reliability_of_a_calibrated_predictor_is_the_diagonal() -> None:
    rng = np.random.default_rng(1)
    p = rng.uniform(size=20_000)
    curve = reliability(p, rng.uniform(size=p.size) < p)
    assert len(curve) == 10
    assert sum(count for _, _, count in curve) == p.size
    assert all(abs(expected - observed) < 0.05 for expected, observed, _ in curve)
