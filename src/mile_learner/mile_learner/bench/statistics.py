"""Statistics of a comparison, after Agarwal et al. 2021 (as in their library rliable), with scipy's bootstrap; verdicts by Student's t.

Scores are given per task, an array of one score per seed each; seeds are resampled within each task (stratified).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap, t, trim_mean

Scores = Sequence[NDArray[Any]]
RESAMPLES = 2000


def interquartile_mean(*tasks: NDArray[Any], axis: int = -1) -> Any:
    """Mean of the middle half of all scores; like all statistics here along the last axis, so that all resamples are done at once."""
    return trim_mean(np.concatenate(tasks, axis=axis), 0.25, axis=axis)


def mean(*tasks: NDArray[Any], axis: int = -1) -> Any:
    """Mean of all scores."""
    return np.concatenate(tasks, axis=axis).mean(axis=axis)


def interval(tasks: Scores, statistic: Callable[..., Any] = interquartile_mean, *, seed: int = 0) -> tuple[float, float]:
    """95 % interval of a statistic by the stratified percentile bootstrap; NaN with fewer than two seeds in any task."""
    if any(len(scores) < 2 for scores in tasks):
        return float('nan'), float('nan')
    result = bootstrap(
        tuple(tasks), statistic, n_resamples=RESAMPLES, vectorized=True, method='percentile', rng=np.random.default_rng(seed)
    ).confidence_interval
    return float(result.low), float(result.high)


def probability_of_improvement(x: Scores, y: Scores) -> tuple[float, float, float]:
    """P(X > Y) for a random seed of each, ties counting half, averaged over tasks; with its 95 % interval."""
    count = len(x)

    def statistic(*samples: NDArray[Any], axis: int = -1) -> Any:  # noqa: ARG001 - always the last
        pairs = zip(samples[:count], samples[count:], strict=True)
        return np.mean([(np.sign(a[..., :, None] - b[..., None, :]).mean(axis=(-2, -1)) + 1) / 2 for a, b in pairs], axis=0)

    return float(statistic(*x, *y)), *interval([*x, *y], statistic)


def paired_difference(x: Scores, y: Scores, *, steps: Sequence[float] = ()) -> tuple[float, float, float]:
    """Mean of X - Y within the same seed, of each task and then over tasks, so that each counts the same, however many seeds it has.

    With its 95 % interval by Student's t, NaN with fewer than two seeds in any task.

    Tasks are strata; degrees of freedom after Welch and Satterthwaite. With few seeds the percentile bootstrap is too narrow: its interval
    leaves out 0 in one of seven comparisons of five seeds that do not differ. The seeds of x and y must correspond.

    `steps` are what the scores of each task come in: 1/n for a success rate of n episodes, 0 (the default) where they are finer than any
    difference that matters, as a return is. Coarse scores of few seeds are easily the same distance apart by chance, which would look like
    certainty. So a task's variance is at least step²/6, that of the difference of two rounded scores: the error of each is uniform, with
    variance step²/12.
    """
    differences = [a - b for a, b in zip(x, y, strict=True)]
    value = float(np.mean([of_task.mean() for of_task in differences]))
    if any(len(of_task) < 2 for of_task in differences):
        return value, float('nan'), float('nan')
    seeds = np.array([len(of_task) for of_task in differences])
    rounding = np.array(steps or np.zeros(len(differences))) ** 2 / 6
    parts = np.maximum([of_task.var(ddof=1) for of_task in differences], rounding) / seeds / len(differences) ** 2
    variance = parts.sum()
    freedom = variance**2 / (parts**2 / (seeds - 1)).sum() if variance > 0 else 1.0
    half = float(t.ppf(0.975, freedom) * np.sqrt(variance))
    return value, value - half, value + half
