"""BC on everything: maximum likelihood of the executed action at every step, a_h where nu = 1 and a_r elsewhere.

Behaviour cloning of the assisted robot (Pomerleau 1991), the loss that IWR and Sirius reweight. Table I of MILE has no row for it;
the learning rates are those of HG-DAgger.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mile_learner.methods.base import InterventionData
from mile_learner.methods.hg_dagger import LEARNING_RATES
from mile_learner.methods.weighted_cloning import WeightedCloning, Weights


class BcAll(WeightedCloning):
    """w = 1."""

    name = 'bc_all'
    learning_rates = LEARNING_RATES

    def weights(self, data: InterventionData, config: Any) -> Weights:  # noqa: ARG002
        """1 everywhere."""
        return np.ones(len(data))
