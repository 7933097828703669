"""Warnings about data and models that train without an error and yet teach the wrong thing.

A warning is one line that begins with its name and a colon.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from mile_learner.architecture import Architecture
from mile_learner.bundle import Bundle
from mile_learner.calibrate import Calibration
from mile_learner.categorical import Categorical
from mile_learner.errors import LearnerError
from mile_learner.intervention import probability_floor
from mile_learner.methods.base import InterventionData
from mile_learner.network import Policy

SURE = 1e-4
"""A probability within this distance of 0 or 1 is certain."""
WRONG_SHARE = 0.02
"""So many steps may be predicted with certainty and wrongly."""
STD_MARGIN = 0.05
"""A mean log-std this close to its floor or ceiling has collapsed or blown up."""
MENTAL_SHARE = 0.1
"""Where the human intervened, a policy that is nearer to the mental model than this share of the human's distance is pulled towards it."""
AT_ONCE = 1024
"""So many states are judged at once, as samples of all together would not fit into memory."""


def data_warnings(data: InterventionData, start: Bundle, *, target_rate: float | None = None) -> list[str]:
    """What is suspicious about the data before training; `target_rate`: interventions per step that are wanted, by default those seen."""
    warnings = []
    rate = float(data.intervening.mean())
    if rate in (0.0, 1.0):
        warnings.append(
            f'one class: all {len(data)} steps have nu = {int(rate)}; the intervention loss cannot tell when a human intervenes'
        )
    if target_rate is not None or 0 < rate < 1:
        said = 'were seen; fit c and sigma: `mile calibrate`' if target_rate is None else 'are wanted; fit c and sigma'
        wanted = rate if target_rate is None else target_rate
        c, sigma = start.manifest.c, start.manifest.sigma
        floor = agreement_probability(start.policy.architecture, c, sigma) if isinstance(start.mental_model, Policy) else 0.0
        warnings += floor_warnings(floor, c, sigma, wanted, said)
    return warnings


def agreement_probability(policy: Architecture, c: float, sigma: float, *, noted: bool = False) -> float:
    """p(nu=1|s) where robot and human agree: the mental model is the policy itself, or the noted action its mean; discrete: and it is sure.

    0 for policies whose p is sampled, for it differs from state to state there.
    """
    if policy.distribution == 'gaussian':
        return probability_floor(policy.action_dim, c, sigma)[not noted]
    return float(torch.special.ndtr(torch.tensor(-c / sigma))) if policy.distribution == 'categorical' else 0.0


def floor_warnings(floor: float, c: float, sigma: float, rate: float, said: str) -> list[str]:
    """Whether p(nu=1|s) lies above `rate` even where robot and human agree, at `floor`; `said` goes on after the rate."""
    if floor <= rate:
        return []
    return [
        f'floor: with c = {c:.3g} and sigma = {sigma:.3g} the model predicts at least {floor:.2f} interventions per step, '
        f'but {rate:.2f} {said}'
    ]


def calibration_warnings(fit: Calibration) -> list[str]:
    """Why the data do not determine c and sigma, if they do not."""
    if fit.determined:
        return []
    data = f'{fit.steps} steps (episodes: {fit.episodes})'
    if np.isfinite(fit.c_interval).all():
        return [f'threshold: takeovers follow a threshold so sharply that {data} say no more of sigma than that it is small']
    return [f'not determined: in {data} the models hardly tell when the human intervenes, or each episode says something else; record more']


def model_warnings(data: InterventionData, trained: Bundle) -> list[str]:
    """What is suspicious about the models after training.

    Raises:
        LearnerError: weights or actions are not finite; such a version must not fly.
    """
    inputs, nu = torch.as_tensor(data.stacked, dtype=torch.float32), torch.as_tensor(data.intervening)
    for name, network in (('policy', trained.policy), ('mental model', trained.mental_model)):
        if network is not None and not all(torch.isfinite(values).all() for values in network.state_dict().values()):
            msg = f'training: the {name} has non-finite weights, nothing was saved; lower the learning rate'
            raise LearnerError(msg)
    with torch.no_grad():
        parts = [(part, trained.policy(part)) for part in inputs.split(AT_ONCE)]
        chosen = type(parts[0][1])(*(torch.cat(values) for values in zip(*(of_part for _, of_part in parts), strict=True)))
        if not all(torch.isfinite(values).all() for values in chosen):
            msg = 'training: the policy gives non-finite actions, nothing was saved; lower the learning rate'
            raise LearnerError(msg)
        warnings = []
        if not isinstance(chosen, Categorical):
            low, high = trained.policy.architecture.log_std_min, trained.policy.architecture.log_std_max
            level = chosen.log_std.mean().item()
            if level < low + STD_MARGIN:
                warnings.append(f'std collapse: the mean log-std is {level:.2f}, at its floor {low:.2f}')
            if level > high - STD_MARGIN:
                warnings.append(f'std blow-up: the mean log-std is {level:.2f}, at its ceiling {high:.2f}')
        if trained.mental_model is not None:
            p = torch.cat([trained.log_intervention_probability(part, of_part)[0] for part, of_part in parts]).exp()
            wrong = torch.where(nu, p < SURE, p > 1 - SURE).double().mean().item()
            if wrong > WRONG_SHARE:
                warnings.append(f'saturation: {wrong:.0%} of the steps are predicted with certainty and wrongly; sigma is too small')
        compared = trained.manifest.metrics.get('mental_distance')  # by J1, with a mental model that is not the policy itself
        if compared and isinstance(trained.mental_model, Policy) and nu.any():
            human = torch.as_tensor(data.human_action[data.intervening], dtype=torch.float32)
            policy, wanted = mental_distances(type(chosen)(*(values[nu] for values in chosen)), trained.mental_model(inputs[nu]), human)
            if policy < MENTAL_SHARE * wanted:
                warnings.append(
                    f'mental distance: where the human intervened the policy is {policy:.2g} from the mental model, '
                    f'the human {wanted:.2g}; give the intervention loss less weight, or train for longer'
                )
    return warnings


def mental_distances(chosen: Any, expected: Any, human: Tensor) -> tuple[float, float]:
    """How far the policy, and the human's actions (B, A), are from the mental model in B states.

    Mean absolute difference of the actions' components, each in [-1, 1]; discrete: total variation of the probabilities.
    """
    if isinstance(chosen, Categorical) and isinstance(expected, Categorical):
        mental = expected.log_probs.exp()
        apart = (chosen.log_probs.exp() - mental).abs().sum(dim=-1) / 2
        return apart.mean().item(), 1 - mental.gather(-1, human.long()).mean().item()
    mental = expected.mode()
    return (chosen.mode() - mental).abs().mean().item(), (human - mental).abs().mean().item()
