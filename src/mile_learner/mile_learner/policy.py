"""The policy and mental-model class of continuous actions: a diagonal Gaussian, with mean and log-std from one MLP.

The Gaussian is not squashed: actions are clipped to [-1, 1] where they are executed. A tanh would put infinite log-probabilities on the
saturated actions of a human, and break the closed form of the intervention model; `mile_learner.squashed` does without that form. The
log-std has a floor, because it sets the scale of every log-probability and with it the meaning of c and σ.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mile_learner.architecture import Architecture as Architecture
from mile_learner.intervention import (
    DEFAULT_NODES,
    LEAST_SIGMA,
    Draws,
    Gains,
    discrepancy,
    enough_nodes,
    gaussian_gains,
    log_intervention_probability,
)
from mile_learner.network import Policy


class Gaussian(NamedTuple):
    """N(mean, diag exp(log_std)²) of B states, (B, d) each."""

    mean: Tensor
    log_std: Tensor

    def mode(self) -> Tensor:
        """The mean, clipped to [-1, 1], (B, d)."""
        return self.mean.clamp(-1.0, 1.0)

    def log_prob(self, actions: Tensor) -> Tensor:
        """Summed over action dimensions, (B, d) -> (B,)."""
        return -negative_log_likelihood(self.mean, self.log_std, actions)

    def gains(self, expected: Gaussian) -> Gains:
        """At so many nodes as are enough for any sigma from LEAST_SIGMA nats on; see `mile_learner.intervention`."""
        return gaussian_gains(discrepancy(*self, *expected), self.mean.shape[-1], enough_nodes(LEAST_SIGMA))

    def log_intervention_probability(self, expected: Gaussian, c: float, sigma: float, nodes: int = 0) -> tuple[Tensor, Tensor]:
        """ln p(ν=1|s) and ln p(ν=0|s), float64 (B,) each; see `mile_learner.intervention`; nodes: 0 for the default, or more if needed."""
        nodes = nodes or max(DEFAULT_NODES, enough_nodes(sigma))
        return log_intervention_probability(discrepancy(*self, *expected), self.mean.shape[-1], c, sigma, nodes)

    def draws(self, noise: Tensor) -> Draws:
        """From standard normal numbers (N, B or 1, d), differentiable."""
        return Draws(self.mean + self.log_std.exp() * noise.to(self.mean.dtype), self.mean.new_full((1, 1), -math.log(len(noise))))

    @staticmethod
    def around(actions: Tensor, log_std: float) -> Gaussian:
        """N(actions, exp(log_std)²), (B, d)."""
        return Gaussian(actions, torch.full_like(actions, log_std))


class GaussianPolicy(Policy):
    """π(a|s) = N(μ(s), diag s(s)²) of stacked observations."""

    distribution: ClassVar[str] = 'gaussian'

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture, 2 * architecture.action_dim)

    def forward(self, inputs: Tensor) -> Gaussian:
        """Mean and log-std, (B, input_dim) -> (B, action_dim) each."""
        mean, raw = self.outputs(inputs).chunk(2, dim=-1)
        return Gaussian(mean, bounded(raw, self.architecture.log_std_min, self.architecture.log_std_max))


def bounded(raw: Tensor, low: float, high: float) -> Tensor:
    """Into (low, high) by a sigmoid: smooth, so that a log-std at its floor can still be raised by a gradient."""
    return low + (high - low) * torch.sigmoid(raw)


def negative_log_likelihood(mean: Tensor, log_std: Tensor, actions: Tensor) -> Tensor:
    """−ln N(actions; mean, exp(log_std)²) summed over action dimensions, (B, d) each -> (B,)."""
    result: Tensor = _NegativeLogLikelihood.apply(mean, log_std, actions)
    return result


class _NegativeLogLikelihood(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, mean: Tensor, log_std: Tensor, actions: Tensor) -> Tensor:
        inverse = torch.exp(-log_std)
        z = (actions - mean) * inverse
        squared = z.square()
        ctx.save_for_backward(z.mul_(inverse), squared)
        return torch.add(log_std, squared, alpha=0.5).sum(dim=-1).add_(mean.shape[-1] * math.log(2 * math.pi) / 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        by_action, squared = ctx.saved_tensors
        column = gradient.unsqueeze(-1)
        by_action = by_action * column
        return -by_action, torch.addcmul(column, squared, column, value=-1), by_action
