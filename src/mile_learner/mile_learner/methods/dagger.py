"""DAgger (Ross, Gordon & Bagnell 2011, Algorithm 3.1): every visited step labelled with what the expert would do there.

Only in simulation, as an upper reference: nobody can label every step, and the oracle's labels are without the noise of a hand. The visited
states are those of the human-gated episodes that all methods are given, where DAgger mixes robot and expert by a coin (its β_i). The MILE
paper has no row for it in Table I; the learning rates are those of HG-DAgger.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mile_learner.errors import LearnerError
from mile_learner.methods.base import InterventionData
from mile_learner.methods.hg_dagger import LEARNING_RATES
from mile_learner.methods.weighted_cloning import WeightedCloning, Weights
from mile_learner.step import Array


class Dagger(WeightedCloning):
    """w = 1, y = the oracle's action."""

    name = 'dagger'
    learning_rates = LEARNING_RATES

    def weights(self, data: InterventionData, config: Any) -> Weights:  # noqa: ARG002
        """1 everywhere."""
        return np.ones(len(data))

    def labels(self, data: InterventionData) -> Array:
        """The oracle's action at every step, (N, A).

        Raises:
            LearnerError: the data have none.
        """
        if data.oracle_action is None:
            msg = 'dagger: got data without an oracle, expected its action at every step; it is for simulated humans, take hg_dagger'
            raise LearnerError(msg)
        return data.oracle_action
