"""c and σ of the intervention model from logged data: a probit regression of ν on what intervening would have gained.

c and σ carry the scale of a policy's log-probabilities, so values fitted to one policy class say nothing about another: they are fitted, by
maximum likelihood of p(ν=1|s) = E_{a~π}[Φ((gain − c)/σ)] (Korkmaz & Bıyık 2025, Eq. 2; the gains of every policy class are in
`intervention`: of Gaussians M/2 − q/2, with the discrepancy M).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize
from scipy.stats import t
from torch import Tensor

from mile_learner.errors import LearnerError
from mile_learner.intervention import LEAST_SIGMA, Gains

SIGMA_RANGE = (LEAST_SIGMA, 1000.0)
"""[nats]; below it the gains' sums are not exact, and the fit to data that a threshold separates would run to zero."""
EXACT_SIGMA_RANGE = (0.01, 1000.0)
"""[nats]; where the gains are those of all actions there are."""
C_RANGE = (-100.0, 1000.0)
_Z95 = 1.959964
_AT_BOUND = 1e-4
_CERTAIN = 8.0
"""So far past its threshold an intervention is certain, in units of sigma."""


@dataclass(frozen=True)
class Calibration:
    """The intervention model's fitted parameters.

    Attributes:
        c: cost of intervening [nats].
        sigma: scale of the CDF [nats].
        c_interval: 95 % interval; infinite where the data do not determine c.
        sigma_interval: 95 % interval; (0, inf) where the data do not determine σ.
        log_loss: mean −ln p of the observed ν [nats].
        rate_loss: the same of the best constant probability: what the gains have to beat.
        steps: number of steps.
        episodes: number of episodes that they are from; 1 if that was not said.
        rate: observed fraction of ν = 1.
    """

    c: float
    sigma: float
    c_interval: tuple[float, float]
    sigma_interval: tuple[float, float]
    log_loss: float
    rate_loss: float
    steps: int
    episodes: int
    rate: float

    @property
    def determined(self) -> bool:
        """Whether the data determine both."""
        return bool(np.isfinite([*self.c_interval, *self.sigma_interval]).all())


def calibrate(gains: Gains, intervening: Tensor, *, exact: bool = False, episode: Tensor | None = None) -> Calibration:
    """Fit c and σ to the gains of N states and ν (N,).

    The 95 % intervals, of c and of ln σ, are those of the curvature of the likelihood, in which every step counts as independent; or, where
    they are wider, those of the scatter between episodes (the sandwich of Liang & Zeger 1986, with Student's t), because the steps
    of an episode are alike. The data do not determine

    * σ, where it lies at an end of its range, or is known to no better than a factor of e, so that 1/σ cannot be told from zero;
    * c, where they do not determine σ, with which it grows, but for a threshold: where σ lies at its lower end and is less likely, by the
      likelihood ratio, to be e times that, the interval of c is the one that belongs to the lower end;
    * c, where it or its interval reaches out of C_RANGE.

    Args:
        gains: of N states.
        intervening: ν, (N,) bool.
        exact: whether the gains are of all actions (discrete ones), so that σ is sought in EXACT_SIGMA_RANGE.
        episode: number of the episode of each step, (N,); None: all steps are from one.

    Raises:
        LearnerError: only one class of ν, or gains that are not finite.
    """
    values = gains.values
    if not torch.isfinite(values).all():
        msg = 'gains of intervening: got non-finite values, expected finite ones; the policy or the mental model is damaged'
        raise LearnerError(msg)
    rate = intervening.double().mean().item()
    if rate in (0.0, 1.0):
        msg = f'calibration: got {len(values)} steps, all with nu = {int(rate)}; expected both; record an episode with a takeover'
        raise LearnerError(msg)

    def losses(parameters: Tensor) -> Tensor:
        c, log_sigma = parameters.unsqueeze(-1).unbind()
        log_p, log_not_p = gains.log_intervention_probability(c, log_sigma.exp())
        return -torch.where(intervening, log_p, log_not_p)

    def value_and_gradient(x: np.ndarray) -> tuple[float, np.ndarray]:
        parameters = torch.tensor(x, dtype=torch.float64, requires_grad=True)
        value = losses(parameters).mean()
        (gradient,) = torch.autograd.grad(value, parameters)
        return value.item(), gradient.numpy()

    bounds = [C_RANGE, tuple(np.log(EXACT_SIGMA_RANGE if exact else SIGMA_RANGE).tolist())]
    middle = float((gains.log_weights.exp() * values).sum(dim=-1).median())
    starts = np.array([(middle, np.log(max(middle / 2, 2.0))), (middle + 5.0, np.log(3.0)), (middle, np.log(50.0))])
    low, high = np.array(bounds).T
    fits = [minimize(value_and_gradient, np.clip(x, low, high), jac=True, bounds=bounds) for x in starts]
    best = min(fits, key=lambda fit: fit.fun)
    inside = (best.x > low + _AT_BOUND) & (best.x < high - _AT_BOUND)
    threshold = False
    if best.x[1] <= low[1] + _AT_BOUND:
        wider = minimize(value_and_gradient, (best.x[0], low[1] + 1), jac=True, bounds=[C_RANGE, (low[1] + 1, low[1] + 1)])
        threshold = 2 * len(values) * (wider.fun - best.fun) > _Z95**2
    free = np.array([inside[0] and (inside[1] or threshold), inside.all()])
    found = torch.tensor(best.x, dtype=torch.float64)
    information = torch.autograd.functional.hessian(lambda parameters: losses(parameters).sum(), found)
    own = found.unsqueeze(-1).expand(2, len(values)).clone().requires_grad_()  # every step has parameters of its own, and so a score
    (scores,) = torch.autograd.grad(losses(own).sum(), own)
    numbers = torch.zeros(len(values), dtype=torch.long) if episode is None else torch.unique(episode, return_inverse=True)[1]
    by_episode = torch.zeros((int(numbers.max()) + 1, 2), dtype=torch.float64).index_add(0, numbers, scores.T)
    c_width, log_sigma_width = _half_widths(free, information.numpy(), by_episode.numpy())
    if best.x[0] - c_width < low[0] or best.x[0] + c_width > high[0]:
        c_width = np.inf
    c, sigma = float(best.x[0]), float(np.exp(best.x[1]))
    return Calibration(
        c=c,
        sigma=sigma,
        c_interval=(c - c_width, c + c_width),
        sigma_interval=(sigma * float(np.exp(-log_sigma_width)), sigma * float(np.exp(log_sigma_width))),
        log_loss=float(best.fun),
        rate_loss=float(-(rate * np.log(rate) + (1 - rate) * np.log1p(-rate))),
        steps=len(values),
        episodes=len(by_episode),
        rate=rate,
    )


def cost_for_rate(gains: Gains, sigma: float, rate: float) -> float:
    """The c [nats] with which the mean of p(ν=1|s) over the states is `rate`, which lies in (0, 1)."""
    margin = _CERTAIN * sigma

    def excess(c: float) -> float:
        return gains.log_intervention_probability(c, sigma)[0].exp().mean().item() - rate

    return float(brentq(excess, float(gains.values.min()) - margin, float(gains.values.max()) + margin, xtol=1e-6))


def _half_widths(free: NDArray[np.bool_], information: NDArray[np.float64], scores: NDArray[np.float64]) -> tuple[float, float]:
    """Half-widths of the intervals of c and ln σ; infinite where the data do not determine them.

    Args:
        free: which of the two are not held by a bound, (2,).
        information: second derivatives of the negative log-likelihood, (2, 2).
        scores: its gradient by episode, (episodes, 2).
    """
    widths = np.full(2, np.inf)
    matrix = information[np.ix_(free, free)]
    if not free.any() or np.linalg.eigvalsh(matrix).min() <= 0:
        return np.inf, np.inf
    covariance = np.linalg.inv(matrix)
    widths[free] = _Z95 * np.sqrt(np.diag(covariance))
    episodes = len(scores)
    if episodes > 1:
        scatter = np.square(scores[:, free] @ covariance).sum(axis=0) * episodes / (episodes - 1)
        widths[free] = np.maximum(widths[free], t.ppf(0.975, episodes - 1) * np.sqrt(scatter))
    if free[1] and widths[1] >= 1:
        return np.inf, np.inf
    return float(widths[0]), float(widths[1])
