"""Sirius (Liu et al. 2023, arXiv 2211.08416): weighted behaviour cloning with w(class) = P*(class) / P(class).

| class | which steps | P* |
|---|---|---|
| demonstration | of episodes by the human alone | P, as in the data |
| intervention | nu = 1 | 0.5 |
| pre-intervention | the last 15 of the robot before an onset | 0.002, as in its code |
| robot | all others | the rest; none where demonstrations leave nothing |

Baseline (v) of the MILE paper (Section V; learning rates in its Table I). Classes, their shares and the 15 steps are those of the authors'
code (UT-Austin-RPL/sirius, `utils/dataset.py`, `preintv_relabeling.mode: fixed`). The human took over because of what the robot did just
before, so that is hardly imitated. Not here: the original's memory management, as all data are kept, and its recurrent policy with a
Gaussian mixture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mile_learner.config import option
from mile_learner.methods.base import InterventionData
from mile_learner.methods.weighted_cloning import WeightedCloning, WeightedCloningConfig, Weights, class_weights

ROBOT, PRE_INTERVENTION, INTERVENTION, DEMONSTRATION = range(4)


@dataclass(frozen=True)
class SiriusConfig(WeightedCloningConfig):
    """Options of Sirius."""

    pre_intervention_steps: int = option(15, doc='steps of the robot before an onset that are taken for its mistake', ge=0)
    pre_intervention_share: float = option(0.002, doc='P* of the pre-intervention class', ge=0.0, le=0.5)
    intervention_share: float = option(0.5, doc='P* of the intervention class', gt=0.0, le=0.5)


class Sirius(WeightedCloning):
    """Half interventions, demonstrations as they come, hardly anything from before an onset, the robot for the rest."""

    name = 'sirius'
    learning_rates = {'lunar_lander': 5e-6, 'button_press': 5e-6, 'drawer_open': 1e-4, 'peg_insert': 1e-6}  # noqa: RUF012 - Table I, row Sirius
    config_type = SiriusConfig

    def weights(self, data: InterventionData, config: SiriusConfig) -> Weights:
        """P* / P of the step's class."""
        demonstrated = float(data.demonstration.mean())
        rest = max(0.0, 1.0 - demonstrated - config.intervention_share - config.pre_intervention_share)
        shares = (rest, config.pre_intervention_share, config.intervention_share, demonstrated)
        return class_weights(classes_of(data, config.pre_intervention_steps), shares)


def classes_of(data: InterventionData, before: int) -> NDArray[np.int64]:
    """The class of every step, (N,): `before` is the length of the pre-intervention in steps of the same episode."""
    classes = np.full(len(data), ROBOT)
    for onset in np.flatnonzero(data.onset):
        ahead = data.step[onset] - data.step
        classes[(data.episode == data.episode[onset]) & (ahead > 0) & (ahead <= before)] = PRE_INTERVENTION
    classes[data.intervening] = INTERVENTION
    classes[data.demonstration] = DEMONSTRATION
    return classes
