"""When the human intervenes, by a network alone: no human policy, no mental model, no cost.

It takes the mental model's place in a bundle.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from mile_learner.architecture import Architecture
from mile_learner.network import Network


class InterventionClassifier(Network):
    """ln p(ν=1|s) and ln p(ν=0|s) by logistic regression on an MLP's features."""

    distribution: ClassVar[str] = 'bernoulli'

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture, 1)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """(B, input_dim) -> (B,) each."""
        logit = self.outputs(inputs).squeeze(-1)
        return functional.logsigmoid(logit), functional.logsigmoid(-logit)
