"""How well interventions are predicted (the paper's user study, Fig. 7 left): predictors beside the methods' own, and the scores of any."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mile_learner.bundle import Bundle
from mile_learner.meaning import LEARNED, Meaning
from mile_learner.methods.base import InterventionData
from mile_learner.run_calibration import LoggedSteps

PREDICTORS = ('majority', 'previous_rate')
SCORES = {'log_loss': 'lower', 'brier': 'lower', 'balanced_accuracy': 'higher', 'accuracy': 'higher', 'average_precision': 'higher'}
MEANING = Meaning(LEARNED, 'all')
"""What p(nu=1|s) is about: every step, by the bundle's own mental model."""
_CLIP = 1e-6

Vector = NDArray[Any]


def rate_predictions(predictor: str, past: InterventionData, now: InterventionData) -> Vector:
    """The same probability for every step, (N,): that of the more frequent class being certain, or the rate so far."""
    rate = float(past.intervening.mean())
    return np.full(len(now), float(rate > 0.5) if predictor == 'majority' else rate)


def calibrated(bundle: Bundle, seen: Sequence[LoggedSteps]) -> Bundle:
    """`bundle` with the c and σ that fit the steps seen so far; itself if these are of one class of ν, or none."""
    steps = LoggedSteps.concatenate(seen) if seen else None
    if steps is None or steps.rate in (0.0, 1.0):
        return bundle
    found = steps.calibrate()
    return bundle.with_manifest(dataclasses.replace(bundle.manifest, c=found.c, sigma=found.sigma))


def scores(p: Vector, nu: Vector) -> dict[str, float]:
    """Scores of predicted probabilities (N,) against what happened (N,); a score that needs both classes is NaN without.

    log_loss: mean -ln of the probability of what happened [nats], probabilities clipped to [1e-6, 1 - 1e-6].
    brier: mean squared error of p.
    accuracy, balanced_accuracy: of p > 0.5; the latter is the mean over the two classes.
    average_precision: area under precision against recall, as a step function; ties in p are one threshold.
    """
    nu = nu.astype(bool)
    clipped = np.clip(p, _CLIP, 1 - _CLIP)
    right = (p > 0.5) == nu
    both = nu.any() and not nu.all()
    return {
        'log_loss': float(-np.where(nu, np.log(clipped), np.log1p(-clipped)).mean()),
        'brier': float(((p - nu) ** 2).mean()),
        'accuracy': float(right.mean()),
        'balanced_accuracy': float((right[nu].mean() + right[~nu].mean()) / 2) if both else float('nan'),
        'average_precision': _average_precision(p, nu) if both else float('nan'),
    }


def _average_precision(p: Vector, nu: Vector) -> float:
    order = np.argsort(-p, kind='stable')
    last_of_tie = np.append(np.diff(p[order]) != 0, True)
    hits = np.cumsum(nu[order])[last_of_tie]
    calls = np.flatnonzero(last_of_tie) + 1
    return float((np.diff(hits, prepend=0) / nu.sum() * (hits / calls)).sum())


def reliability(p: Vector, nu: Vector, bins: int = 10) -> list[tuple[float, float, int]]:
    """The calibration curve: per occupied bin of p its mean, the observed rate, and the number of steps."""
    number = np.minimum((p * bins).astype(int), bins - 1)
    inside = [number == b for b in range(bins)]
    return [(float(p[rows].mean()), float(nu[rows].mean()), int(rows.sum())) for rows in inside if rows.any()]
