"""Behaviour cloning: maximum likelihood of a policy, stopped early on held-out episodes.

Makes the initial policy (from demonstrations) and the initial mental model (from rollouts of the initial policy).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mile_learner.architecture import Architecture
from mile_learner.bundle import POLICIES
from mile_learner.categorical import CategoricalPolicy
from mile_learner.config import Config, option
from mile_learner.errors import LearnerError
from mile_learner.methods.checkpoint import TrainingState, epochs
from mile_learner.methods.training import Report, TrainingCancelled, adam, descend, minibatches
from mile_learner.network import Policy


@dataclass(frozen=True)
class BehaviourCloningConfig(Config):
    """Options of behaviour cloning."""

    learning_rate: float = option(1e-3, doc='step size of Adam', gt=0.0, le=1.0)
    epochs: int = option(400, doc='most passes over the data', ge=1)
    batch_size: int = option(256, doc='steps per gradient step', ge=1)
    held_out: float = option(0.15, doc='fraction of episodes held out for early stopping; at least one if there are two', ge=0.0, lt=1.0)
    patience: int = option(40, doc='stop after this many epochs without a better held-out loss', ge=1)
    grad_clip: float = option(10.0, doc='largest norm of the gradient', gt=0.0)
    std_floor: float = option(2e-3, doc='floor of the input normaliser [unit of the observation]', gt=0.0)
    hidden: tuple[int, ...] = option((256, 256), doc='widths of the hidden layers', ge=1)
    distribution: str = option('gaussian', doc='class of the policy; continuous actions', choices=('gaussian', 'squashed', 'mixture'))
    components: int = option(5, doc='Gaussians of distribution mixture', ge=1, le=32)
    log_std_min: float = option(-2.0, doc='floor of the log standard deviation')
    log_std_max: float = option(1.0, doc='ceiling of the log standard deviation')


def clone(
    inputs: Tensor, actions: Tensor, episodes: Tensor, config: BehaviourCloningConfig, *, seed: int, report: Report | None = None
) -> tuple[Any, dict[str, float]]:
    """Fit a new policy to (inputs (N, H*d), actions (N, 4)) with episode numbers (N,), from which whole episodes are held out.

    Returns:
        The policy of the best held-out epoch, of the class that `distribution` names, and its losses.

    Raises:
        LearnerError: no data.
        TrainingCancelled: `report` asked to stop.
    """
    torch.manual_seed(seed)
    architecture = Architecture(
        input_dim=inputs.shape[1],
        action_dim=actions.shape[1],
        hidden=config.hidden,
        log_std_min=config.log_std_min,
        log_std_max=config.log_std_max,
        distribution=config.distribution,
        components=config.components,
    )
    policy = POLICIES[config.distribution](architecture)
    return policy, _fit(policy, inputs, actions, episodes, config, seed=seed, report=report)


def clone_discrete(
    inputs: Tensor,
    actions: Tensor,
    episodes: Tensor,
    config: BehaviourCloningConfig,
    *,
    count: int,
    seed: int,
    report: Report | None = None,
) -> tuple[CategoricalPolicy, dict[str, float]]:
    """The same for the numbers (N, 1) of `count` discrete actions."""
    torch.manual_seed(seed)
    policy = CategoricalPolicy(Architecture(input_dim=inputs.shape[1], action_dim=count, hidden=config.hidden, distribution='categorical'))
    return policy, _fit(policy, inputs, actions, episodes, config, seed=seed, report=report)


def _fit(
    policy: Policy,
    inputs: Tensor,
    actions: Tensor,
    episodes: Tensor,
    config: BehaviourCloningConfig,
    *,
    seed: int,
    report: Report | None,
) -> dict[str, float]:
    """Train `policy` in place; returns the losses of its best held-out epoch."""
    if not len(inputs):
        msg = 'behaviour cloning: got no steps, expected at least one demonstration'
        raise LearnerError(msg)
    generator = torch.Generator().manual_seed(seed)
    held_out = _held_out(episodes, config.held_out, generator)
    train, test = (~held_out).nonzero().squeeze(-1), held_out.nonzero().squeeze(-1)
    policy.set_normaliser(inputs[train], std_floor=config.std_floor)
    optimizer = adam(policy.parameters(), config.learning_rate)
    best = torch.tensor([math.inf, math.inf, 0.0], dtype=torch.float64)  # its held-out loss, its loss, its epoch
    best_weights = {name: value.clone() for name, value in policy.state_dict().items()}
    state = TrainingState([optimizer], generator, {'best': best, **best_weights})
    for epoch in epochs(config.epochs, state):
        total = 0.0
        for rows in minibatches(len(train), config.batch_size, generator):
            batch = train[rows]
            loss = -policy(inputs[batch]).log_prob(actions[batch]).mean()
            descend(optimizer, loss, config.grad_clip)
            total += loss.item() * len(batch)
        losses = {'nll': total / len(train)}
        with torch.no_grad():
            rows = test if len(test) else train
            losses['held_out_nll'] = -policy(inputs[rows]).log_prob(actions[rows]).mean().item()
        if losses['held_out_nll'] < best[0]:
            best.copy_(torch.tensor([losses['held_out_nll'], losses['nll'], epoch]))
            for name, value in policy.state_dict().items():
                best_weights[name].copy_(value)
        if report is not None and not report(epoch + 1, config.epochs, losses):
            raise TrainingCancelled
        if epoch - best[2] >= config.patience:
            break
    if not best.isfinite().all():
        msg = 'behaviour cloning: the loss was never finite, expected finite steps and a learning rate that fits them'
        raise LearnerError(msg)
    policy.load_state_dict(best_weights)
    policy.eval()
    return dict(zip(('held_out_nll', 'nll', 'epoch'), best.tolist(), strict=True))


def _held_out(episodes: Tensor, fraction: float, generator: torch.Generator) -> Tensor:
    """Mask (N,) of the steps of randomly chosen whole episodes; none if there is one episode or fraction is 0."""
    names = episodes.unique()
    count = min(max(round(fraction * len(names)), 1), len(names) - 1) if fraction > 0 else 0
    chosen = names[torch.randperm(len(names), generator=generator)[:count]]
    return torch.isin(episodes, chosen)
