"""MILE that also imitates the robot where nobody intervened, as IWR does: ours, not in the paper.

    J = λ J1 + (1 − λ) J2 + w J3,   J3 = mean −ln π_θ(a_r|s) over the steps with ν = 0,   w = 0.5

Why: for Gaussian policies as narrow as these the gradient of J1 by an action is 18 to 78 times smaller than that of J2, and zero while
policy and mental model are equal, so that non-interventions do not hold the policy in place, and what corrections teach displaces the
rest (measured in benchmarks/single_meta_world). For discrete actions it is BC on all with J1 beside it.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from mile_learner.methods.mile import Mile
from mile_learner.methods.mile_losses import MileConfig

ROBOT_WEIGHT = 0.5


class MileIwr(Mile):
    """`mile` with robot_weight; whatever else is configured is MILE's."""

    name: ClassVar[str] = 'mile_iwr'

    def configure(self, task: str) -> MileConfig:
        """The defaults of MILE for a task, and the weight of J3."""
        return dataclasses.replace(super().configure(task), robot_weight=ROBOT_WEIGHT)
