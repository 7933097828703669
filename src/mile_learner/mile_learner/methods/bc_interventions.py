"""BC on interventions: maximum likelihood of the human's actions where nu = 1, nothing else.

It is J2 of MILE alone (Korkmaz & Bıyık 2025, Eq. 4; λ = 0 in Eq. 5): what is left when steps without an intervention say nothing, neither
by the intervention model nor as labels. Hence MILE's learning rates, so that the two differ in J1.

The paper's own baseline "estimates human's interventions with only a neural network", of a form that it does not give; this is not meant to
be it, for it does not predict interventions.

The loss is that of `hg_dagger`, demonstrations included (nu = 1 there): the two differ in the learning rates alone.
"""

from __future__ import annotations

from typing import Any

from mile_learner.methods.base import InterventionData
from mile_learner.methods.mile import LEARNING_RATES
from mile_learner.methods.weighted_cloning import WeightedCloning, Weights


class BcInterventions(WeightedCloning):
    """w = nu."""

    name = 'bc_interventions'
    learning_rates = LEARNING_RATES

    def weights(self, data: InterventionData, config: Any) -> Weights:  # noqa: ARG002
        """1 where nu = 1, else 0."""
        return data.intervening.astype(float)
