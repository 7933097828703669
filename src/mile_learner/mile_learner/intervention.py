"""When a human intervenes: the probit intervention model of MILE (Korkmaz & Bıyık 2025, Eq. 2) in closed form.

With π = N(μ, diag s²) (the human's policy, for which the learned policy stands in) and the human's mental model of the robot
π̂ = N(m, diag r²), the normalisers cancel in Eq. 2 and only two scalars per state remain:

    E_{a'~π̂}[ln π(a|s) − ln π(a'|s)] = M/2 − q/2,   M = Σ_i (r_i² + (m_i − μ_i)²)/s_i²,   q = Σ_i (a_i − μ_i)²/s_i² ~ χ²_d,

so that p(ν=1|s) = E_{q~χ²_d}[Φ((M/2 − q/2 − c)/σ)] is a one-dimensional integral, done here by generalised Gauss-Laguerre
quadrature. σ is the scale of the CDF (paper, Appendix D and Table I). Shapes: B states, d action dimensions, A discrete actions.
"""

from __future__ import annotations

import functools

import torch
from scipy.special import gammaln, roots_genlaguerre
from torch import Tensor

DEFAULT_NODES = 8


def discrepancy(mean: Tensor, log_std: Tensor, mental_mean: Tensor, mental_log_std: Tensor) -> Tensor:
    """M(s): how far the expected robot action lies from the policy, in policy standard deviations, squared; (B, d) each -> (B,)."""
    scaled = (mental_mean - mean) * torch.exp(-log_std)
    ratio = torch.exp(2 * (mental_log_std - log_std))
    return (ratio + scaled.square()).sum(dim=-1)


@functools.cache
def laguerre(nodes: int, dim: int) -> tuple[Tensor, Tensor]:
    """Nodes x = q/2 of Gamma(d/2, 1) and the logarithms of their normalised weights, float64, (nodes,) each."""
    x, w = roots_genlaguerre(nodes, dim / 2 - 1)
    return torch.as_tensor(x), torch.as_tensor(w).log() - float(gammaln(dim / 2))


def enough_nodes(sigma: float) -> int:
    """As many quadrature nodes as keep the error of p for d <= 7 below 2e-6 from sigma = 5 nats on, below 5e-4 from 0.5 nats on."""
    if sigma >= 5.0:
        return 3 if sigma >= 10.0 else 5
    return DEFAULT_NODES if sigma >= 2.0 else 16 if sigma >= 1.0 else 64


def log_intervention_probability(
    m: Tensor, dim: int, c: float | Tensor, sigma: float | Tensor, nodes: int = DEFAULT_NODES
) -> tuple[Tensor, Tensor]:
    """ln p(ν=1|s) and ln p(ν=0|s), float64 (B,) each; finite, as are their gradients, for any M that training meets (tested to 1e8).

    In float64 whatever the input: the gradient of float32 `log_ndtr` is wrong below −1000.

    Args:
        m: discrepancy M(s), (B,).
        dim: number of action dimensions d.
        c: cost of intervening [nats].
        sigma: scale of the CDF [nats].
        nodes: quadrature nodes; see `enough_nodes`.
    """
    x, log_w = laguerre(nodes, dim)
    z = (m.double().unsqueeze(-1) / 2 - x - c) / sigma
    return (
        torch.logsumexp(log_w + torch.special.log_ndtr(z), dim=-1),
        torch.logsumexp(log_w + torch.special.log_ndtr(-z), dim=-1),
    )


def intervention_probability(
    mean: Tensor,
    log_std: Tensor,
    mental_mean: Tensor,
    mental_log_std: Tensor,
    c: float | Tensor,
    sigma: float | Tensor,
    nodes: int = DEFAULT_NODES,
) -> Tensor:
    """p(ν=1|s) (Eq. 2) of two diagonal Gaussians, (B, d) each -> (B,)."""
    m = discrepancy(mean, log_std, mental_mean, mental_log_std)
    return log_intervention_probability(m, mean.shape[-1], c, sigma, nodes)[0].exp()


def intervention_probability_sampled(
    mean: Tensor,
    log_std: Tensor,
    mental_mean: Tensor,
    mental_log_std: Tensor,
    c: float,
    sigma: float,
    *,
    samples: int,
    generator: torch.Generator,
) -> Tensor:
    """Eq. 2 as written, by `samples` draws of a ~ π and as many of a' ~ π̂: the reference for the closed form; (B, d) -> (B,)."""
    std = log_std.exp()

    def draw(m: Tensor, s: Tensor) -> Tensor:
        return m + s * torch.randn((samples, *m.shape), generator=generator, dtype=m.dtype)

    def log_density(action: Tensor) -> Tensor:
        return -(((action - mean) / std).square() / 2 + log_std).sum(dim=-1)

    expected = log_density(draw(mental_mean, mental_log_std.exp())).mean(dim=0)
    gain = log_density(draw(mean, std)) - expected
    probability: Tensor = torch.special.ndtr((gain - c) / sigma).mean(dim=0)
    return probability


def probability_floor(dim: int, c: float, sigma: float, nodes: int = DEFAULT_NODES) -> tuple[float, float]:
    """p(ν=1) at M = 0 and at M = d (the mental model equals the policy): no improvement of the policy brings the rate below."""
    m = torch.tensor([0.0, float(dim)], dtype=torch.float64)
    at_zero, at_equal = log_intervention_probability(m, dim, c, sigma, nodes)[0].exp().tolist()
    return at_zero, at_equal


def discrete_log_classes(
    log_policy: Tensor, log_mental: Tensor, c: float, sigma: float, *, joint: bool = False, released: bool = False
) -> Tensor:
    """Log-probabilities of the A + 1 classes of the discrete model, the last being "no intervention"; (B, A) each -> (B, A+1).

    Args:
        log_policy: ln π(a|s), normalised.
        log_mental: ln π̂(a|s), normalised.
        c: cost of intervening [nats].
        sigma: scale of the CDF [nats].
        joint: False: π(a|s)·p(ν=1|s) as in Eq. 2; True: the exact joint π(a|s)·Φ(·) of Eq. 1, whose sum over a is the same.
        released: as in the authors' code: π(a|s) in the place of its logarithm in Φ, and no σ. (There the tensors' shapes fit for a batch
            of 1 or of A only; here for any.)
    """
    expected = (log_mental.exp() * log_policy).sum(dim=-1, keepdim=True)
    z = log_policy.exp() - expected - c if released else (log_policy - expected - c) / sigma
    log_joint = log_policy + torch.special.log_ndtr(z)
    log_none = torch.logsumexp(log_policy + torch.special.log_ndtr(-z), dim=-1, keepdim=True)
    if joint:
        return torch.cat([log_joint, log_none], dim=-1)
    return torch.cat([log_policy + torch.logsumexp(log_joint, dim=-1, keepdim=True), log_none], dim=-1)
