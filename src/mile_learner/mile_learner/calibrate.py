"""c and σ of the intervention model from logged data: a probit regression of ν on the discrepancy M.

c and σ carry the scale of a policy's log-probabilities, so values fitted to one policy class say nothing about another: they are fitted, by
maximum likelihood of p(ν=1|s) = E_q[Φ((M/2 − q/2 − c)/σ)], with intervals from the curvature of the likelihood.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from mile_learner.errors import LearnerError
from mile_learner.intervention import discrepancy, log_intervention_probability
from mile_learner.network import Policy
from mile_learner.policy import GaussianPolicy
from mile_learner.step import Array

SIGMA_RANGE = (1.0, 1000.0)
"""[nats]; below it the quadrature is not exact, and the fit to data that a threshold separates would run to zero."""
C_RANGE = (-100.0, 1000.0)
_Z95 = 1.959964
_NODES = 16


@dataclass(frozen=True)
class Calibration:
    """The intervention model's fitted parameters.

    Attributes:
        c: cost of intervening [nats].
        sigma: scale of the CDF [nats].
        c_interval: 95 % interval; infinite where the data do not determine c.
        sigma_interval: 95 % interval; infinite where the data do not determine σ.
        log_loss: mean −ln p of the observed ν [nats].
        rate_loss: the same of the best constant probability: what M has to beat.
        steps: number of steps.
        rate: observed fraction of ν = 1.
    """

    c: float
    sigma: float
    c_interval: tuple[float, float]
    sigma_interval: tuple[float, float]
    log_loss: float
    rate_loss: float
    steps: int
    rate: float


def noted_discrepancy(policy: Policy, stacked: Array, robot_action: Array) -> Tensor:
    """M of every step (N,): `policy` is the human's, and the robot action noted at the step (N, d) is what the human expected.

    Give the newest policy: it was trained on what the human did. The policy that flew is what the human expected, and so tells nothing.

    Raises:
        LearnerError: the policy is not Gaussian; M is defined for those alone.
    """
    if not isinstance(policy, GaussianPolicy):
        msg = f'calibration: got a {policy.distribution} policy, expected a gaussian one; the discrepancy M is defined for that class alone'
        raise LearnerError(msg)
    noted = torch.as_tensor(robot_action, dtype=torch.float32)
    with torch.no_grad():
        mean, log_std = policy(torch.as_tensor(stacked, dtype=torch.float32))
        return discrepancy(mean, log_std, noted, torch.full_like(noted, policy.architecture.log_std_min))


def calibrate(m: Tensor, intervening: Tensor, dim: int) -> Calibration:
    """Fit c and σ to discrepancies (N,) and ν (N,).

    Raises:
        LearnerError: only one class of ν, or discrepancies that are not finite.
    """
    if not torch.isfinite(m).all():
        msg = 'discrepancy: got non-finite values, expected finite ones; the policy or the mental model is damaged'
        raise LearnerError(msg)
    rate = intervening.double().mean().item()
    if rate in (0.0, 1.0):
        msg = f'calibration: got {len(m)} steps, all with nu = {int(rate)}; expected both; record an episode with a takeover'
        raise LearnerError(msg)
    m = m.detach().double()

    def loss(parameters: Tensor) -> Tensor:
        log_p, log_not_p = log_intervention_probability(m, dim, parameters[0], parameters[1].exp(), _NODES)
        return -torch.where(intervening, log_p, log_not_p).mean()

    def value_and_gradient(x: np.ndarray) -> tuple[float, np.ndarray]:
        parameters = torch.tensor(x, dtype=torch.float64, requires_grad=True)
        value = loss(parameters)
        (gradient,) = torch.autograd.grad(value, parameters)
        return value.item(), gradient.numpy()

    bounds = [C_RANGE, (float(np.log(SIGMA_RANGE[0])), float(np.log(SIGMA_RANGE[1])))]
    middle = float(m.median()) / 2
    starts = np.array([(middle, np.log(max(middle / 2, 2.0))), (middle + 5.0, np.log(3.0)), (middle, np.log(50.0))])
    low, high = np.array(bounds).T
    fits = [minimize(value_and_gradient, np.clip(x, low, high), jac=True, bounds=bounds) for x in starts]
    best = min(fits, key=lambda fit: fit.fun)
    hessian = torch.autograd.functional.hessian(loss, torch.tensor(best.x, dtype=torch.float64)) * len(m)
    c_error, log_sigma_error = _standard_errors(hessian.numpy())
    c, sigma = float(best.x[0]), float(np.exp(best.x[1]))
    return Calibration(
        c=c,
        sigma=sigma,
        c_interval=(c - _Z95 * c_error, c + _Z95 * c_error),
        sigma_interval=(sigma * float(np.exp(-_Z95 * log_sigma_error)), sigma * float(np.exp(_Z95 * log_sigma_error))),
        log_loss=float(best.fun),
        rate_loss=float(-(rate * np.log(rate) + (1 - rate) * np.log1p(-rate))),
        steps=len(m),
        rate=rate,
    )


def _standard_errors(hessian: np.ndarray) -> tuple[float, float]:
    """Square roots of the inverse Hessian's diagonal; infinite where the likelihood is flat."""
    if np.linalg.eigvalsh(hessian).min() <= 1e-8:
        return float('inf'), float('inf')
    c, log_sigma = np.sqrt(np.diag(np.linalg.inv(hessian)))
    return float(c), float(log_sigma)
