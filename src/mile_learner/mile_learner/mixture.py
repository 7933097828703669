"""The policy and mental-model class of actions that people choose in several ways: a mixture of diagonal Gaussians (Bishop 1994).

p(ν=1|s) is sampled from each component in turn, and summed with the weights of the components: no draw depends on which component was
chosen, so that the gradient is exact by the weights, too. As with one Gaussian, actions are clipped to [-1, 1] where they are executed.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from mile_learner.architecture import Architecture
from mile_learner.intervention import SAMPLES, Draws, Gains, base_samples, sampled_gains
from mile_learner.network import Policy
from mile_learner.policy import Gaussian, bounded


class Mixture(NamedTuple):
    """Σ_k w_k N(μ_k, diag s_k²) of B states: ln w, normalised, (B, K), and μ and ln s, (B, K, d) each."""

    log_weights: Tensor
    means: Tensor
    log_std: Tensor

    @property
    def mean(self) -> Tensor:
        """Of all components together, (B, d)."""
        return (self.log_weights.exp().unsqueeze(-1) * self.means).sum(dim=1)

    def mode(self) -> Tensor:
        """The most probable one of the components' means, clipped to [-1, 1], (B, d)."""
        best = self.log_prob(self.means.transpose(0, 1)).argmax(dim=0)
        return self.means[torch.arange(len(best)), best].clamp(-1.0, 1.0)

    def log_prob(self, actions: Tensor) -> Tensor:
        """(..., B, d) -> (..., B)."""
        return torch.logsumexp(self.log_weights + Gaussian(self.means, self.log_std).log_prob(actions.unsqueeze(-2)), dim=-1)

    def draws(self, noise: Tensor) -> Draws:
        """N from each component, from the same standard normal numbers (N, B or 1, d), differentiable."""
        points, log_weight = Gaussian(self.means, self.log_std).draws(noise.unsqueeze(-2))
        log_weights = (self.log_weights + log_weight).expand(len(noise), -1, -1)
        return Draws(points.movedim(2, 0).flatten(0, 1), log_weights.movedim(2, 0).flatten(0, 1))

    def gains(self, expected: Mixture) -> Gains:
        """Sampled; see `mile_learner.intervention`."""
        own, other = base_samples(SAMPLES, self.means.shape[-1])
        return sampled_gains(self.log_prob, self.draws(own), expected.draws(other))

    def log_intervention_probability(self, expected: Mixture, c: float, sigma: float) -> tuple[Tensor, Tensor]:
        """ln p(ν=1|s) and ln p(ν=0|s), float64 (B,) each."""
        return self.gains(expected).log_intervention_probability(c, sigma)

    @staticmethod
    def around(actions: Tensor, log_std: float) -> Mixture:
        """One component, N(actions, exp(log_std)²), (B, d)."""
        return Mixture(actions.new_zeros(len(actions), 1), *Gaussian.around(actions.unsqueeze(1), log_std))


class MixturePolicy(Policy):
    """π(a|s) = Σ_k w_k(s) N(μ_k(s), diag s_k(s)²) of stacked observations, with `components` of them in the architecture."""

    distribution: ClassVar[str] = 'mixture'

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture, architecture.components * (1 + 2 * architecture.action_dim))

    def forward(self, inputs: Tensor) -> Mixture:
        """(B, input_dim) -> ln w, (B, K), μ and ln s, (B, K, action_dim) each."""
        size = self.architecture
        each = self.outputs(inputs).unflatten(-1, (size.components, 1 + 2 * size.action_dim))
        logits, means, raw = each.split((1, size.action_dim, size.action_dim), dim=-1)
        log_weights = functional.log_softmax(logits.squeeze(-1), dim=-1)
        return Mixture(log_weights, means, bounded(raw, size.log_std_min, size.log_std_max))
