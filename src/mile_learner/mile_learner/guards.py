"""Warnings about data and models that train without an error and yet teach the wrong thing."""

from __future__ import annotations

import torch

from mile_learner.bundle import Bundle
from mile_learner.errors import LearnerError
from mile_learner.intervention import probability_floor
from mile_learner.methods.base import InterventionData
from mile_learner.policy import Gaussian, GaussianPolicy

SURE = 1e-4
"""A probability within this distance of 0 or 1 is certain."""
WRONG_SHARE = 0.02
"""So many steps may be predicted with certainty and wrongly."""
STD_MARGIN = 0.05
"""A mean log-std this close to its floor or ceiling has collapsed or blown up."""


def data_warnings(data: InterventionData, start: Bundle) -> list[str]:
    """What is suspicious about the data before training."""
    warnings = []
    rate = float(data.intervening.mean())
    if rate in (0.0, 1.0):
        warnings.append(
            f'one class: all {len(data)} steps have nu = {int(rate)}; the intervention loss cannot tell when a human intervenes'
        )
    if isinstance(start.mental_model, GaussianPolicy) and 0 < rate < 1:
        floor = probability_floor(start.policy.architecture.action_dim, start.manifest.c, start.manifest.sigma)[1]
        if floor > rate:
            warnings.append(
                f'floor: with c = {start.manifest.c:.3g} and sigma = {start.manifest.sigma:.3g} the model predicts at least {floor:.2f} '
                f'interventions per step, but {rate:.2f} were seen; fit c and sigma'
            )
    return warnings


def model_warnings(data: InterventionData, trained: Bundle) -> list[str]:
    """What is suspicious about the models after training.

    Raises:
        LearnerError: the models give non-finite numbers; such a version must not fly.
    """
    inputs = torch.as_tensor(data.stacked, dtype=torch.float32)
    with torch.no_grad():
        chosen = trained.policy(inputs)
        if not all(torch.isfinite(values).all() for values in chosen):
            msg = 'training: the policy gives non-finite actions, nothing was saved; lower the learning rate'
            raise LearnerError(msg)
        warnings = []
        if isinstance(chosen, Gaussian):
            low, high = trained.policy.architecture.log_std_min, trained.policy.architecture.log_std_max
            level = chosen.log_std.mean().item()
            if level < low + STD_MARGIN:
                warnings.append(f'std collapse: the mean log-std is {level:.2f}, at its floor {low:.2f}')
            if level > high - STD_MARGIN:
                warnings.append(f'std blow-up: the mean log-std is {level:.2f}, at its ceiling {high:.2f}')
        if trained.mental_model is not None:
            p = trained.log_intervention_probability(inputs, chosen)[0].exp()
            wrong = torch.where(torch.as_tensor(data.intervening), p < SURE, p > 1 - SURE).double().mean().item()
            if wrong > WRONG_SHARE:
                warnings.append(f'saturation: {wrong:.0%} of the steps are predicted with certainty and wrongly; sigma is too small')
    return warnings
