"""HG-DAgger (Kelly et al. 2019, arXiv 1810.02890, Algorithm 1): DAgger with labels only where the human had taken over.

    D ← D ∪ {(s, a_h) : the human is in control},   π ← behaviour cloning on D

D is every human-controlled step so far, demonstrations included. As in the comparison of the MILE paper, there is one policy, no ensemble:
the doubt (the spread of an ensemble) and its threshold only tell where the policy is safe to fly, and do not enter the training. Each
iteration goes on from the last policy, where the original clones anew; the demonstrations of the initial policy are not in D unless they
are part of the data.

The loss is that of `bc_interventions`: with one learning rate for both they give the same policy. By default each has its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mile_learner.methods.base import InterventionData
from mile_learner.methods.weighted_cloning import WeightedCloning, Weights

LEARNING_RATES: Mapping[str, float] = {'lunar_lander': 5e-6, 'button_press': 5e-5, 'drawer_open': 1e-4, 'peg_insert': 5e-6}
"""Table I, row HG-DAgger; also of the baselines that are cloning as well and have no row."""


class HgDagger(WeightedCloning):
    """w = nu."""

    name = 'hg_dagger'
    learning_rates = LEARNING_RATES

    def weights(self, data: InterventionData, config: Any) -> Weights:  # noqa: ARG002
        """1 where the human is in control, demonstrations included (nu = 1 there), else 0."""
        return data.intervening.astype(float)
