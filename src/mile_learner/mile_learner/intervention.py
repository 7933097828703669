"""When a human intervenes: the probit intervention model of MILE (Korkmaz & Bıyık 2025, Eq. 2) in closed form, or sampled.

With π = N(μ, diag s²) (the human's policy, for which the learned policy stands in) and the human's mental model of the robot
π̂ = N(m, diag r²), the normalisers cancel in Eq. 2 and only two scalars per state remain:

    E_{a'~π̂}[ln π(a|s) − ln π(a'|s)] = M/2 − q/2,   M = Σ_i (r_i² + (m_i − μ_i)²)/s_i²,   q = Σ_i (a_i − μ_i)²/s_i² ~ χ²_d,

so that p(ν=1|s) = E_{q~χ²_d}[Φ((M/2 − q/2 − c)/σ)] is a one-dimensional integral, done here by generalised Gauss-Laguerre
quadrature. Policies of other classes are sampled: both expectations of Eq. 2 are averages over draws that are differentiable functions of
base samples, which are fixed (Balandat et al. 2020, BoTorch, Section 3), so that p and its gradient are functions of the weights alone.
σ is the scale of the CDF (paper, Appendix D and Table I). Shapes: B states, d action dimensions, A discrete actions.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from scipy.special import gammaln, roots_genlaguerre
from torch import Tensor

DEFAULT_NODES = 8
LEAST_SIGMA = 1.0
"""[nats]; with a smaller one the sum over few points, those of a quadrature or draws, is no longer near Eq. 2."""
SAMPLES = 256
"""Draws per state, or per component of a mixture, where Eq. 2 has no closed form; a power of two, as Sobol sequences want it.

The error of p was 0.0001 to 0.011 over random networks with sigma from 0.5 to 100 nats, mostly a tenth of that of pseudo-random draws.
"""


class Draws(NamedTuple):
    """N draws from a distribution in each of B states.

    Attributes:
        points: (N, B, d).
        log_weights: ln of what each counts for, (N, B) or what broadcasts to that; the weights sum to one over N.
    """

    points: Tensor
    log_weights: Tensor


class Gains(NamedTuple):
    """ln π(a|s) − E_{a'~π̂}[ln π(a'|s)]: what it would gain to intervene with a, at K of the human's actions in each of B states.

    Attributes:
        values: [nats], float64 (B, K).
        log_weights: ln of the probability of each, (B, K); the weights of a state sum to one.
    """

    values: Tensor
    log_weights: Tensor

    def log_intervention_probability(self, c: float | Tensor, sigma: float | Tensor) -> tuple[Tensor, Tensor]:
        """ln p(ν=1|s) and ln p(ν=0|s) (Eq. 2), float64 (B,) each; differentiable if the gains are.

        Args:
            c: cost of intervening [nats]; (), or (B, 1) of each state.
            sigma: scale of the CDF [nats]; as c.
        """
        z = (self.values - c) / sigma
        return (
            torch.logsumexp(self.log_weights + torch.special.log_ndtr(z), dim=-1),
            torch.logsumexp(self.log_weights + torch.special.log_ndtr(-z), dim=-1),
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Gains]) -> Gains:
        """Of the states of all parts."""
        return cls(*map(torch.cat, zip(*parts, strict=True)))

    def take(self, rows: Tensor) -> Gains:
        """Of the states at `rows`, an index or mask tensor."""
        return Gains(self.values[rows], self.log_weights[rows])


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
    return gaussian_gains(m, dim, nodes).log_intervention_probability(c, sigma)


def gaussian_gains(m: Tensor, dim: int, nodes: int) -> Gains:
    """Those of Gaussians of d = `dim` dimensions with discrepancies m (B,), at the nodes of the quadrature."""
    x, log_w = laguerre(nodes, dim)
    values = m.double().unsqueeze(-1) / 2 - x
    return Gains(values, log_w.expand_as(values))


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
    """The same p(ν=1|s), (B,), by `samples` draws of a ~ π and as many of a' ~ π̂ in every state, as in the authors' code."""
    std = log_std.exp()

    def draw(m: Tensor, s: Tensor) -> Tensor:
        return m + s * torch.randn((samples, *m.shape), generator=generator, dtype=m.dtype)

    def log_density(action: Tensor) -> Tensor:
        return -(((action - mean) / std).square() / 2 + log_std).sum(dim=-1)

    expected = Draws(draw(mental_mean, mental_log_std.exp()), mean.new_full((1, 1), -math.log(samples)))
    probability: Tensor = torch.special.ndtr((gain(log_density, draw(mean, std), expected) - c) / sigma).mean(dim=0)
    return probability


def base_samples(count: int, dim: int) -> tuple[Tensor, Tensor]:
    """Standard normal numbers for `count` draws from π, and for as many from π̂: two scrambled Sobol sequences, (count, 1, d) each.

    The same at every call and in every state: what is estimated with them needs no generator, and is reproducible whatever else is random.
    """
    return _sobol_normal(count, dim, 0), _sobol_normal(count, dim, 1)


@functools.cache
def _sobol_normal(count: int, dim: int, seed: int) -> Tensor:
    with torch.inference_mode(mode=False):  # else what is made within inference could not be used in training
        sequence = torch.quasirandom.SobolEngine(dim, scramble=True, seed=seed).draw(count, dtype=torch.float64)
        normal: Tensor = torch.special.ndtri(sequence + 2.0**-31)  # the middles of cells, as an edge may be 0
        return normal.unsqueeze(1)


def gain(log_density: Callable[[Tensor], Tensor], points: Tensor, expected: Draws) -> Tensor:
    """ln π(a|s) − E_{a'~π̂}[ln π(a'|s)] at points a (N, B, d) -> (N, B); `log_density` is ln π, of any N."""
    return log_density(points) - (expected.log_weights.exp() * log_density(expected.points)).sum(dim=0)


def sampled_gains(log_density: Callable[[Tensor], Tensor], draws: Draws, expected: Draws) -> Gains:
    """Those of policies of any class with a density; differentiable if the draws are.

    Args:
        log_density: ln π(a|s) at points (N, B, d) -> (N, B), up to a constant.
        draws: of a ~ π.
        expected: of a' ~ π̂.
    """
    values = gain(log_density, draws.points, expected).double()
    return Gains(values.T.contiguous(), draws.log_weights.expand_as(values).T)  # sums over neighbours are faster


def probability_floor(dim: int, c: float, sigma: float, nodes: int = DEFAULT_NODES) -> tuple[float, float]:
    """p(ν=1) at M = 0 and at M = d (the mental model equals the policy): no improvement of the policy brings the rate below."""
    m = torch.tensor([0.0, float(dim)], dtype=torch.float64)
    at_zero, at_equal = log_intervention_probability(m, dim, c, sigma, nodes)[0].exp().tolist()
    return at_zero, at_equal


def discrete_gains(log_policy: Tensor, log_mental: Tensor) -> Gains:
    """Those of all A actions: ln π(a|s) and ln π̂(a|s), normalised, (B, A) each -> K = A."""
    return Gains(log_policy - (log_mental.exp() * log_policy).sum(dim=-1, keepdim=True), log_policy)


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
