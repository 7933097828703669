"""J of MILE for Gaussian policies, value and gradient in one pass.

`mile_losses` could add it up from its parts, and does for the variants; a training step then takes longer.
The gradient of ln p(ν|s) = ln Σ_k w_k Φ(z_k), z_k = ±(M/2 − x_k − c)/σ, by M is ±Σ_k w_k φ(z_k) / (2σ p(ν|s)), added up from
logarithms, so that it is exact also where p(ν|s) is smaller than any number; M, x and w are those of `mile_learner.intervention`.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mile_learner.intervention import laguerre
from mile_learner.policy import Gaussian


def objective(
    human: Gaussian,
    expected: Gaussian,
    actions: Tensor,
    intervening: Tensor,
    weights: tuple[Tensor, Tensor],
    c: float,
    sigma: float,
    nodes: int,
    *,
    std_gradient: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:
    """Σ −weights[0] ln p(ν|s) − weights[1] ln π(a|s) over B steps.

    Args:
        human: π, (B, d).
        expected: π̂, (B, d).
        actions: a, (B, d).
        intervening: ν, (B,).
        weights: of the decision and of the action, (B,) each.
        c: cost of intervening [nats].
        sigma: scale of the CDF [nats].
        nodes: quadrature nodes.
        std_gradient: whether ln p(ν|s) has a gradient by the standard deviation of π.

    Returns:
        The sum (), and without gradient ln p(ν|s), float64 (B,), and −ln π(a|s), (B,).
    """
    result: tuple[Tensor, Tensor, Tensor] = _Objective.apply(
        *human, *expected, actions, intervening, *weights, c, sigma, nodes, std_gradient
    )
    return result


@functools.cache
def _nodes(count: int, dimensions: int, c: float) -> tuple[Tensor, Tensor]:
    """2 (x + c) and ln w of the quadrature, (K, 1) each."""
    x, log_w = laguerre(count, dimensions)
    return 2 * (x + c).unsqueeze(-1), log_w.unsqueeze(-1)


class _Objective(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        mean: Tensor,
        log_std: Tensor,
        mental_mean: Tensor,
        mental_log_std: Tensor,
        actions: Tensor,
        intervening: Tensor,
        decision_weights: Tensor,
        action_weights: Tensor,
        c: float,
        sigma: float,
        nodes: int,
        std_gradient: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        costs, log_w = _nodes(nodes, mean.shape[-1], c)
        inverse = torch.exp(-log_std)
        scaled = (mental_mean - mean).mul_(inverse)
        ratio = torch.exp((mental_log_std - log_std).mul_(2))
        both = torch.addcmul(ratio, scaled, scaled)
        half_scale = intervening.double().mul_(1 / sigma).sub_(0.5 / sigma)
        z = (both.sum(dim=-1).double() - costs).mul_(half_scale)
        log_decision = torch.special.log_ndtr(z).add_(log_w).logsumexp(dim=0)
        slope = torch.addcmul(log_w - log_decision, z, z, value=-0.5).exp_().sum(dim=0)
        slope.mul_(half_scale).mul_(decision_weights).mul_(-math.sqrt(2 / math.pi))  # twice the gradient of the sum by M

        column, weighted = slope.to(mean.dtype).unsqueeze(-1), action_weights.unsqueeze(-1)
        by_mental_mean, by_mental_log_std = scaled.mul_(inverse).mul_(column), ratio.mul_(column)
        away = (mean - actions).mul_(inverse)
        distance = away.square()
        action_nll = torch.add(log_std, distance, alpha=0.5).sum(dim=-1).add_(mean.shape[-1] * math.log(2 * math.pi) / 2)
        by_mean = away.mul_(inverse).mul_(weighted).sub_(by_mental_mean)
        by_log_std = torch.addcmul(weighted, distance, weighted, value=-1)
        if std_gradient:
            by_log_std.addcmul_(both, column, value=-1)
        ctx.save_for_backward(by_mean, by_log_std, by_mental_mean, by_mental_log_std)
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(log_decision, action_nll)
        return torch.dot(action_nll, action_weights) - torch.dot(log_decision, decision_weights), log_decision, action_nll

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor | None, *_: None) -> tuple[Tensor | None, ...]:
        if gradient is None:
            return (None,) * 12
        return (*(by * gradient for by in ctx.saved_tensors), *[None] * 8)
