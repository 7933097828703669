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
from mile_learner.meaning import AT_ONCE, Meaning, mean_probability, stated
from mile_learner.methods import uses_c
from mile_learner.methods.base import InterventionData
from mile_learner.methods.mile_losses import Batch
from mile_learner.network import Policy, joined

SURE = 1e-4
"""A probability within this distance of 0 or 1 is certain."""
WRONG_SHARE = 0.02
"""So many steps may be predicted with certainty and wrongly."""
STD_MARGIN = 0.05
"""A mean log-std of an action dimension this close to its floor or ceiling has collapsed or blown up."""
MENTAL_SHARE = 0.1
"""Where the human intervened, a policy that is nearer to the mental model than this share of the human's distance is pulled towards it."""


def training_warnings(data: InterventionData, start: Bundle, trained: Bundle, target_rate: float | None = None) -> list[str]:
    """What is suspicious about a training and what came of it, by what the training counted: `trained.manifest` says how it was made.

    Nothing is said of c and sigma where the method does not use them (its attribute `uses_c`).

    Args:
        data: what it was trained on.
        start: what it began with.
        trained: what came of it.
        target_rate: interventions per step that are wanted, by default those seen.

    Raises:
        LearnerError: weights or actions are not finite; such a version must not fly.
    """
    meaning = Meaning.of(trained) if uses_c(trained.manifest.method) else None
    return [
        *meaning_warnings(start, meaning),
        *data_warnings(data, start, meaning, target_rate=target_rate),
        *model_warnings(data, start, trained, meaning),
    ]


def meaning_warnings(start: Bundle, meaning: Meaning | None) -> list[str]:
    """Whether c and sigma of `start` are about something else than in this training, `meaning`; None where they are not used."""
    own = Meaning.of(start)
    if meaning is None or own is None or own == meaning or 'mental_model' not in stated(start):
        return []
    return [
        f'meaning: c and sigma of {start.manifest.version} are about {own}, this training takes them for {meaning}; fit them to that: '
        f'`mile calibrate RUN --mental-model {meaning.mental_model} --decisions {meaning.decisions} --write`'
    ]


def data_warnings(data: InterventionData, start: Bundle, meaning: Meaning | None, *, target_rate: float | None = None) -> list[str]:
    """What is suspicious about the data before training.

    Args:
        data: what to train on.
        start: what training begins with.
        meaning: of c and sigma; None where they are not used.
        target_rate: interventions per step that are wanted, by default those seen; of takeovers only the latter can be told.
    """
    decisions = 'all' if meaning is None else meaning.decisions
    decided = data.decided(decisions)
    nu = data.intervening[decided]
    if nu.all() or not nu.any():
        warnings = [f'one class: nu = 1 at {nu.sum()} of the {len(nu)} steps that count; they cannot tell when a human intervenes']
    else:
        warnings = []
    wanted, said = (target_rate, 'are wanted; fit c and sigma') if decisions == 'all' else (None, '')
    if wanted is None and not warnings:
        wanted, said = float(nu.mean()), 'were seen; fit c and sigma: `mile calibrate`'
    if meaning is not None and wanted is not None:
        c, sigma = start.manifest.c, start.manifest.sigma
        states = torch.as_tensor(data.stacked[decided], dtype=torch.float32)
        warnings += floor_warnings(mean_probability(meaning.agreement(start.policy, states), c, sigma), c, sigma, wanted, said)
    return warnings


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


def model_warnings(data: InterventionData, start: Bundle, trained: Bundle, meaning: Meaning | None) -> list[str]:
    """What is suspicious about the models after training; of a standard deviation only if it was not so before.

    Args:
        data: what they were trained on.
        start: what training began with.
        trained: the models.
        meaning: of c and sigma; None where they are not used.

    Raises:
        LearnerError: weights or actions are not finite; such a version must not fly.
    """
    for name, network in (('policy', trained.policy), ('mental model', trained.mental_model)):
        if network is not None and not all(torch.isfinite(values).all() for values in network.state_dict().values()):
            msg = f'training: the {name} has non-finite weights, nothing was saved; lower the learning rate'
            raise LearnerError(msg)
    inputs = torch.as_tensor(data.stacked, dtype=torch.float32)
    before, chosen = distributions(start.policy, inputs), distributions(trained.policy, inputs)
    if not all(torch.isfinite(values).all() for values in chosen):
        msg = 'training: the policy gives non-finite actions, nothing was saved; lower the learning rate'
        raise LearnerError(msg)
    warnings = [] if isinstance(chosen, Categorical) else std_warnings(before.log_std, chosen.log_std, trained.policy.architecture)
    if meaning is not None:
        warnings += decision_warnings(data, trained, meaning)
    return warnings


@torch.no_grad()
def distributions(network: Policy, inputs: Tensor) -> Any:
    """What it says of all inputs (N, H*d)."""
    return joined([network(part) for part in inputs.split(AT_ONCE)])


def std_warnings(before: Tensor, after: Tensor, size: Architecture) -> list[str]:
    """Which action dimensions have come to the floor or the ceiling of the log-std, (N, ..., A), in the mean over all else."""
    old, new = (values.flatten(0, -2).mean(dim=0) for values in (before, after))
    low, high = size.log_std_min + STD_MARGIN, size.log_std_max - STD_MARGIN
    warnings = []
    for name, edge, is_there, was_there in (
        ('std collapse', f'floor {size.log_std_min:.2f}', new < low, old < low),
        ('std blow-up', f'ceiling {size.log_std_max:.2f}', new > high, old > high),
    ):
        found = (is_there & ~was_there).nonzero().flatten().tolist()
        if found:
            levels = ', '.join(f'{new[number]:.2f} in action dimension {number}' for number in found)
            warnings.append(f'{name}: the mean log-std has come to its {edge}: {levels}')
    return warnings


@torch.no_grad()
def decision_warnings(data: InterventionData, trained: Bundle, meaning: Meaning) -> list[str]:
    """What is suspicious about p(nu=1|s) of the trained models and about their distance, at the steps that count."""
    steps = Batch.of(data, meaning.decisions)
    steps = steps.take(steps.decided)
    nu = steps.intervening
    if not len(nu):
        return []
    warnings = []
    p = meaning.gains(trained, steps).log_intervention_probability(trained.manifest.c, trained.manifest.sigma)[0].exp()
    wrong = torch.where(nu, p < SURE, p > 1 - SURE).double().mean().item()
    if wrong > WRONG_SHARE:
        warnings.append(f'saturation: {wrong:.0%} of the steps are predicted with certainty and wrongly; sigma is too small')
    compared = trained.manifest.metrics.get('mental_distance')  # by J1, with a mental model that is not the policy itself
    if compared and isinstance(trained.mental_model, Policy) and nu.any():
        chosen, expected = (model(steps.inputs[nu]) for model in (trained.policy, trained.mental_model))
        policy, wanted = mental_distances(chosen, expected, steps.human_actions[nu])
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
