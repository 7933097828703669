"""MILE (Korkmaz & Bıyık 2025), continuous actions, as published: Eqs. 2, 4 and 5 with the closed form of the intervention probability.

J1 = mean BCE(p(ν=1|s), ν) over all steps           trains the policy θ and the mental model ξ
J2 = mean −ln π_θ(a_h|s) over the steps with ν = 1   trains the policy θ
J  = λ J1 + (1 − λ) J2
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mile_learner.bundle import Bundle
from mile_learner.config import Config, option
from mile_learner.errors import LearnerError
from mile_learner.intervention import DEFAULT_NODES, discrepancy, log_intervention_probability
from mile_learner.methods.base import InterventionData
from mile_learner.methods.training import Report, TrainingCancelled, minibatches
from mile_learner.policy import GaussianPolicy, negative_log_likelihood


@dataclass(frozen=True)
class MileConfig(Config):
    """Options of MILE."""

    learning_rate: float = option(1e-4, doc='step size of Adam', gt=0.0, le=1.0)
    epochs: int = option(500, doc='passes over the data', ge=1)
    batch_size: int = option(256, doc='steps per gradient step', ge=1)
    intervention_weight: float = option(0.5, doc='lambda: the weight of J1; that of J2 is 1 - lambda', ge=0.0, le=1.0)
    std_gradient: bool = option(False, doc='whether J1 may move the standard deviation of the policy')
    mental_model_learns: bool = option(True, doc='whether J1 trains the mental model')
    grad_clip: float = option(10.0, doc='largest norm of the gradient', gt=0.0)
    nodes: int = option(DEFAULT_NODES, doc='quadrature nodes of the intervention probability', ge=2, le=64)


@dataclass(frozen=True)
class Losses:
    """Of one batch of B steps.

    Attributes:
        total: J.
        intervention: J1.
        action: J2, zero where no step has ν = 1.
        probability: p(ν=1|s), (B,), without gradient.
        log_std: of the policy, (B, d), without gradient.
        distance: |m − μ| between mental model and policy, mean over the batch, without gradient.
    """

    total: Tensor
    intervention: Tensor
    action: Tensor
    probability: Tensor
    log_std: Tensor
    distance: Tensor


def mile_losses(
    policy: GaussianPolicy,
    mental_model: GaussianPolicy,
    inputs: Tensor,
    human_actions: Tensor,
    intervening: Tensor,
    *,
    c: float,
    sigma: float,
    config: MileConfig,
) -> Losses:
    """J and its parts on inputs (B, H*d), human actions (B, d; read only where ν = 1) and ν (B,)."""
    mean, log_std = policy(inputs)
    mental_mean, mental_log_std = mental_model(inputs)
    m = discrepancy(mean, log_std if config.std_gradient else log_std.detach(), mental_mean, mental_log_std)
    log_p, log_not_p = log_intervention_probability(m, mean.shape[-1], c, sigma, config.nodes)
    j1 = -torch.where(intervening, log_p, log_not_p).mean()
    nll = negative_log_likelihood(mean[intervening], log_std[intervening], human_actions[intervening])
    j2 = nll.sum() / intervening.sum().clamp_min(1)
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

    def configure(self, task: str) -> MileConfig:  # noqa: ARG002
        """The defaults."""
        return MileConfig()

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
        policy, mental_model = copy.deepcopy(start.policy), copy.deepcopy(start.mental_model)
        inputs = torch.as_tensor(data.stacked, dtype=torch.float32)
        intervening = torch.as_tensor(data.intervening)
        human_actions = torch.as_tensor(np.nan_to_num(data.human_action), dtype=torch.float32)
        c, sigma = start.manifest.c, start.manifest.sigma

        generator = torch.Generator().manual_seed(seed)
        parameters = [*policy.parameters(), *(mental_model.parameters() if config.mental_model_learns else ())]
        optimizer = torch.optim.Adam(parameters, lr=config.learning_rate)
        metrics: dict[str, float] = {}
        for epoch in range(config.epochs):
            metrics = {}
            for rows in minibatches(len(data), config.batch_size, generator):
                losses = mile_losses(
                    policy, mental_model, inputs[rows], human_actions[rows], intervening[rows], c=c, sigma=sigma, config=config
                )
                optimizer.zero_grad()
                losses.total.backward()
                norm = torch.nn.utils.clip_grad_norm_(parameters, config.grad_clip)
                optimizer.step()
                add(metrics, summary(losses) | {'gradient_norm': norm.item()}, weight=len(rows) / len(data))
            if progress is not None and not progress(epoch + 1, config.epochs, metrics):
                raise TrainingCancelled
        manifest = dataclasses.replace(
            start.manifest, method='mile', c=c, sigma=sigma, configuration=config.to_mapping(), seed=seed, metrics=metrics
        )
        return Bundle(policy.eval(), mental_model.eval(), manifest)


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
