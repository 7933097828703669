"""The policy and mental-model class of actions that never leave [-1, 1]: the tanh of a diagonal Gaussian (SAC, Haarnoja et al. 2018).

p(ν=1|s) is sampled, with the Gaussian's own points in the place of actions: ln π is exact there, also where tanh is 1 to the last digit.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from torch import Tensor
from torch.distributions.transforms import TanhTransform

from mile_learner.architecture import Architecture
from mile_learner.intervention import SAMPLES, Draws, Gains, base_samples, sampled_gains
from mile_learner.network import Policy
from mile_learner.policy import Gaussian, bounded

EDGE = 0.999
"""Actions beyond, of either sign, count as this one: at 1 itself the log-probability is infinite."""
_TANH = TanhTransform()


class Squashed(NamedTuple):
    """tanh(u), u ~ N(mean, diag exp(log_std)²), of B states, (B, d) each."""

    mean: Tensor
    log_std: Tensor

    def mode(self) -> Tensor:
        """The median, as is usual, (B, d)."""
        return self.mean.tanh()

    def log_prob(self, actions: Tensor) -> Tensor:
        """Summed over action dimensions, (B, d) -> (B,)."""
        return self.log_density(actions.clamp(-EDGE, EDGE).atanh())

    def log_density(self, points: Tensor) -> Tensor:
        """ln π of the actions tanh(u), at points u, (..., B, d) -> (..., B)."""
        log_slope: Tensor = _TANH.log_abs_det_jacobian(points, None)
        return Gaussian(*self).log_prob(points) - log_slope.sum(dim=-1)

    def draws(self, noise: Tensor) -> Draws:
        """Of u, from standard normal numbers (N, B or 1, d), differentiable."""
        return Gaussian(*self).draws(noise)

    def gains(self, expected: Squashed) -> Gains:
        """Sampled; see `mile_learner.intervention`."""
        own, other = base_samples(SAMPLES, self.mean.shape[-1])
        return sampled_gains(self.log_density, self.draws(own), expected.draws(other))

    def log_intervention_probability(self, expected: Squashed, c: float, sigma: float) -> tuple[Tensor, Tensor]:
        """ln p(ν=1|s) and ln p(ν=0|s), float64 (B,) each."""
        return self.gains(expected).log_intervention_probability(c, sigma)

    @staticmethod
    def around(actions: Tensor, log_std: float) -> Squashed:
        """With the median `actions` (B, d), and exp(log_std) the standard deviation of u."""
        return Squashed(*Gaussian.around(actions.clamp(-EDGE, EDGE).atanh(), log_std))


class SquashedPolicy(Policy):
    """π(a|s) = tanh(N(μ(s), diag s(s)²)) of stacked observations."""

    distribution: ClassVar[str] = 'squashed'

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture, 2 * architecture.action_dim)

    def forward(self, inputs: Tensor) -> Squashed:
        """Mean and log-std of u, (B, input_dim) -> (B, action_dim) each."""
        mean, raw = self.outputs(inputs).chunk(2, dim=-1)
        return Squashed(mean, bounded(raw, self.architecture.log_std_min, self.architecture.log_std_max))
