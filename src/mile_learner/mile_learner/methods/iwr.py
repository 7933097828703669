"""Intervention Weighted Regression (Mandlekar et al. 2020, arXiv 2012.06733): batches half of interventions, half of everything else.

Baseline (iv) of the MILE paper (Section V; learning rates in its Table I). Both halves are imitated, interventions with a_h and the others
with a_r: w = (N − n_I) / n_I for the n_I intervention steps, and 1 for the others, demonstrations among them (as in the implementation in
robomimic by the authors of Sirius, UT-Austin-RPL/sirius). The original policy is recurrent with a Gaussian mixture; here it is the policy
of all methods.
"""

from __future__ import annotations

from typing import Any

from mile_learner.methods.base import InterventionData
from mile_learner.methods.weighted_cloning import WeightedCloning, Weights, class_weights


class Iwr(WeightedCloning):
    """Half of every batch from interventions, in expectation."""

    name = 'iwr'
    learning_rates = {'lunar_lander': 5e-6, 'button_press': 5e-6, 'drawer_open': 1e-4, 'peg_insert': 1e-6}  # noqa: RUF012 - Table I, row IWR

    def weights(self, data: InterventionData, config: Any) -> Weights:  # noqa: ARG002
        """0.5 / P(class) of the classes intervention and not."""
        return class_weights((data.intervening & ~data.demonstration).astype(int), (0.5, 0.5))
