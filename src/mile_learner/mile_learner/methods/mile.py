"""MILE (Korkmaz & Bıyık 2025), continuous actions: Eqs. 2, 4 and 5 with the closed form of the intervention probability.

    J1 = mean BCE(p(ν=1|s), ν)                           trains the policy θ and the mental model ξ
    J2 = mean −ln π_θ(a_h|s) over the steps with ν = 1   trains the policy θ
    J  = λ J1 + (1 − λ) J2

As published: mental_model=learned, decisions=all, std_gradient=true, calibrate=false. What the other values are for:

* mental_model=noted: π̂ = N(a_r, exp(log_std_min)²) with the robot action noted at the very step. Nothing in J ties a learned π̂ to what the
  robot does: J1 alone can move it along with the policy, and then the steps without an intervention no longer hold the policy in place.
* decisions=onset: Eq. 2 is about the decision to take over. A person who has taken over keeps control for a while, also where robot and
  human agree again; counted as ν = 1 there, J1 drives the policy away from actions that are right.
* std_gradient=false: J1 can lower its loss by widening or narrowing the policy, which changes no action.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mile_learner.bundle import Bundle
from mile_learner.calibrate import calibrate
from mile_learner.config import Config, option
from mile_learner.errors import LearnerError
from mile_learner.intervention import DEFAULT_NODES, discrepancy, log_intervention_probability
from mile_learner.methods.base import InterventionData
from mile_learner.methods.training import Report, TrainingCancelled, minibatches
from mile_learner.policy import GaussianPolicy, negative_log_likelihood


@dataclass(frozen=True)
class MileConfig(Config):
    """Options of MILE; learning rate and epochs by default those of Table I, WidowX Peg Insertion."""

    learning_rate: float = option(1e-5, doc='step size of Adam', gt=0.0, le=1.0)
    epochs: int = option(500, doc='passes over the data', ge=1)
    batch_size: int = option(256, doc='steps per gradient step', ge=1)
    intervention_weight: float = option(0.5, doc='lambda: the weight of J1; that of J2 is 1 - lambda', ge=0.0, le=1.0)
    mental_model: str = option(
        'learned',
        doc='what the human expects of the robot: a network trained by J1, the same kept as it is, or the robot action noted at each step',
        choices=('learned', 'frozen', 'noted'),
    )
    decisions: str = option(
        'all',
        doc='where J1 counts nu = 1: at every step of a takeover, or only at its onset, when the human decided',
        choices=('all', 'onset'),
    )
    std_gradient: bool = option(False, doc='whether J1 may move the standard deviation of the policy')
    lapse: float = option(
        0.0, doc='probability that nu has nothing to do with the state: p becomes lapse/2 + (1 - lapse) p', ge=0.0, lt=1.0
    )
    calibrate: bool = option(False, doc='whether c and sigma are fitted to the data after training, for display and for the next training')
    grad_clip: float = option(10.0, doc='largest norm of the gradient', gt=0.0)
    nodes: int = option(DEFAULT_NODES, doc='quadrature nodes of the intervention probability', ge=2, le=64)


TASK_OPTIONS: Mapping[str, Mapping[str, float | str]] = {
    'button_press': {'learning_rate': 1e-4, 'epochs': 300},
    'drawer_open': {'learning_rate': 5e-4, 'epochs': 300},
    'peg_insert': {'learning_rate': 1e-4, 'epochs': 300},
    'block_insertion': {'mental_model': 'noted', 'decisions': 'onset'},
}
"""What differs from the defaults, by task: Table I for the paper's simulated tasks, and what was measured to be better for ours."""


@dataclass(frozen=True)
class Batch:
    """B steps.

    Attributes:
        inputs: stacked observations, (B, H*d).
        robot_actions: a_r, (B, d).
        human_actions: a_h, (B, d); read only where ν = 1.
        intervening: ν, (B,).
        decided: where J1 counts, (B,).
    """

    inputs: Tensor
    robot_actions: Tensor
    human_actions: Tensor
    intervening: Tensor
    decided: Tensor

    def take(self, rows: Tensor) -> Batch:
        """The steps at `rows`, an index or mask tensor."""
        return Batch(*(getattr(self, field.name)[rows] for field in dataclasses.fields(self)))


@dataclass(frozen=True)
class Losses:
    """Of one batch of B steps; all but `total`, `intervention` and `action` without gradient.

    Attributes:
        total: J.
        intervention: J1.
        action: J2, zero where no step has ν = 1.
        probability: p(ν=1|s), (B,).
        log_std: of the policy, (B, d).
        distance: |m − μ| between mental model and policy, mean over the batch.
    """

    total: Tensor
    intervention: Tensor
    action: Tensor
    probability: Tensor
    log_std: Tensor
    distance: Tensor


def expected_robot(policy: GaussianPolicy, mental_model: GaussianPolicy, batch: Batch, config: MileConfig) -> tuple[Tensor, Tensor]:
    """Mean and log-std of π̂, (B, d) each."""
    if config.mental_model == 'noted':
        return batch.robot_actions, torch.full_like(batch.robot_actions, policy.architecture.log_std_min)
    mean, log_std = mental_model(batch.inputs)
    return mean, log_std


def mile_losses(
    policy: GaussianPolicy, mental_model: GaussianPolicy, batch: Batch, *, c: float, sigma: float, config: MileConfig
) -> Losses:
    """J and its parts on one batch."""
    nu = batch.intervening
    mean, log_std = policy(batch.inputs)
    mental_mean, mental_log_std = expected_robot(policy, mental_model, batch, config)
    m = discrepancy(mean, log_std if config.std_gradient else log_std.detach(), mental_mean, mental_log_std)
    log_p, log_not_p = log_intervention_probability(m, mean.shape[-1], c, sigma, config.nodes)
    if config.lapse > 0:
        rest, half = math.log1p(-config.lapse), torch.tensor(math.log(config.lapse / 2), dtype=log_p.dtype)
        log_p, log_not_p = torch.logaddexp(log_p + rest, half), torch.logaddexp(log_not_p + rest, half)
    j1 = -(torch.where(nu, log_p, log_not_p) * batch.decided).sum() / batch.decided.sum().clamp_min(1)
    j2 = negative_log_likelihood(mean[nu], log_std[nu], batch.human_actions[nu]).sum() / nu.sum().clamp_min(1)
    return Losses(
        total=config.intervention_weight * j1 + (1 - config.intervention_weight) * j2,
        intervention=j1,
        action=j2,
        probability=log_p.exp().detach(),
        log_std=log_std.detach(),
        distance=(mental_mean - mean).abs().mean().detach(),
    )


class Mile:
    """The method as the registry knows it."""

    def configure(self, task: str) -> MileConfig:
        """The defaults for a task."""
        return dataclasses.replace(MileConfig(), **TASK_OPTIONS.get(task, {}))  # type: ignore[arg-type]

    def fit(self, data: InterventionData, start: Bundle, *, config: MileConfig, seed: int, progress: Report | None = None) -> Bundle:
        """Train a copy of the policy and the mental model of `start` on all steps.

        Raises:
            LearnerError: there is no mental model, or no intervention in the data.
            TrainingCancelled: `progress` asked to stop.
        """
        if start.mental_model is None:
            msg = f'{start.manifest.version}: has no mental model, which MILE needs; make one with `mile prepare`'
            raise LearnerError(msg)
        if not data.intervening.any():
            msg = f'got {len(data)} steps without an intervention, expected at least one; MILE learns from interventions'
            raise LearnerError(msg)
        if not isinstance(start.policy, GaussianPolicy) or not isinstance(start.mental_model, GaussianPolicy):
            msg = f'{start.manifest.version}: MILE needs a Gaussian policy and mental model'
            raise LearnerError(msg)
        policy = copy.deepcopy(start.policy)
        mental_model = copy.deepcopy(start.policy if config.mental_model == 'noted' else start.mental_model)
        c, sigma = start.manifest.c, start.manifest.sigma
        decided = data.onset | ~data.intervening if config.decisions == 'onset' else np.ones(len(data), dtype=bool)
        steps = Batch(
            inputs=torch.as_tensor(data.stacked, dtype=torch.float32),
            robot_actions=torch.as_tensor(data.robot_action, dtype=torch.float32),
            human_actions=torch.as_tensor(np.nan_to_num(data.human_action), dtype=torch.float32),
            intervening=torch.as_tensor(data.intervening),
            decided=torch.as_tensor(decided),
        )

        generator = torch.Generator().manual_seed(seed)
        parameters = [*policy.parameters(), *(mental_model.parameters() if config.mental_model == 'learned' else ())]
        optimizer = torch.optim.Adam(parameters, lr=config.learning_rate)
        metrics: dict[str, float] = {}
        for epoch in range(config.epochs):
            metrics = {}
            for rows in minibatches(len(data), config.batch_size, generator):
                losses = mile_losses(policy, mental_model, steps.take(rows), c=c, sigma=sigma, config=config)
                optimizer.zero_grad()
                losses.total.backward()
                norm = torch.nn.utils.clip_grad_norm_(parameters, config.grad_clip)
                optimizer.step()
                add(metrics, summary(losses) | {'gradient_norm': norm.item()}, weight=len(rows) / len(data))
            if progress is not None and not progress(epoch + 1, config.epochs, metrics):
                raise TrainingCancelled

        if config.calibrate and not steps.intervening[steps.decided].all() and not (~steps.intervening[steps.decided]).all():
            c, sigma = fitted(policy, mental_model, steps.take(steps.decided), config)
        manifest = dataclasses.replace(
            start.manifest,
            mental_architecture=mental_model.architecture,
            method='mile',
            c=c,
            sigma=sigma,
            configuration=config.to_mapping(),
            seed=seed,
            metrics=metrics,
        )
        return Bundle(policy.eval(), mental_model.eval(), manifest)


def fitted(policy: GaussianPolicy, mental_model: GaussianPolicy, steps: Batch, config: MileConfig) -> tuple[float, float]:
    """c and σ that explain best when the human intervened, given the trained models."""
    with torch.no_grad():
        mean, log_std = policy(steps.inputs)
        m = discrepancy(mean, log_std, *expected_robot(policy, mental_model, steps, config))
    calibration = calibrate(m, steps.intervening, mean.shape[-1])
    return calibration.c, calibration.sigma


def summary(losses: Losses) -> dict[str, float]:
    """The numbers worth watching: the losses and the two shortcuts of J1 (widening the policy, pulling it to the mental model)."""
    return {
        'loss': losses.total.item(),
        'intervention_loss': losses.intervention.item(),
        'action_loss': losses.action.item(),
        'predicted_rate': losses.probability.mean().item(),
        'log_std': losses.log_std.mean().item(),
        'mental_distance': losses.distance.item(),
    }


def add(sums: dict[str, float], values: Mapping[str, float], *, weight: float) -> None:
    """Accumulate a weighted mean."""
    for key, value in values.items():
        sums[key] = sums.get(key, 0.0) + weight * value
