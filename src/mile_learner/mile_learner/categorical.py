"""The policy and mental-model class of a few discrete actions: the same network with a softmax, for LunarLander (paper, Section V).

A discrete action is a float32 array of width 1 that holds the action's number, so that data, rollouts and bundles have one shape.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from torch import Tensor
from torch.nn import functional

from mile_learner.architecture import Architecture
from mile_learner.intervention import Gains, discrete_gains, discrete_log_classes
from mile_learner.network import Policy


class Categorical(NamedTuple):
    """ln π(a|s) of the actions 0 .. A - 1 in B states, normalised, (B, A)."""

    log_probs: Tensor

    def mode(self) -> Tensor:
        """The number of the most probable action, float, (B, 1)."""
        return self.log_probs.argmax(dim=-1, keepdim=True).float()

    def log_prob(self, actions: Tensor) -> Tensor:
        """Of the actions' numbers, (B, 1) -> (B,)."""
        return self.log_probs.gather(-1, actions.long()).squeeze(-1)

    def log_classes(self, expected: Categorical, c: float, sigma: float, *, joint: bool = False, released: bool = False) -> Tensor:
        """The A actions of the human and "no intervention", float64 (B, A + 1); see `mile_learner.intervention`."""
        return discrete_log_classes(self.log_probs.double(), expected.log_probs.double(), c, sigma, joint=joint, released=released)

    def gains(self, expected: Categorical) -> Gains:
        """Of all A actions; see `mile_learner.intervention`."""
        return discrete_gains(self.log_probs.double(), expected.log_probs.double())

    def log_intervention_probability(self, expected: Categorical, c: float, sigma: float) -> tuple[Tensor, Tensor]:
        """ln p(ν=1|s) and ln p(ν=0|s), float64 (B,) each."""
        return self.gains(expected).log_intervention_probability(c, sigma)

    def entropy(self) -> Tensor:
        """[nats], (B,)."""
        return -(self.log_probs.exp() * self.log_probs).sum(dim=-1)

    @staticmethod
    def certain(actions: Tensor, count: int) -> Categorical:
        """All probability on the actions' numbers (B, 1), of `count` actions."""
        return Categorical(functional.one_hot(actions.squeeze(-1).long(), count).float().log())


class CategoricalPolicy(Policy):
    """π(a|s) by a softmax; in the architecture `action_dim` is the number of actions."""

    distribution: ClassVar[str] = 'categorical'

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture, architecture.action_dim)

    def forward(self, inputs: Tensor) -> Categorical:
        """(B, input_dim) -> ln π, (B, A)."""
        return Categorical(functional.log_softmax(self.outputs(inputs), dim=-1))
