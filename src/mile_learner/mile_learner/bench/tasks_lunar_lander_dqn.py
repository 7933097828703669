"""LunarLander-v3 with a DQN for an expert, and an initial policy cloned from an earlier, worse snapshot of it, as in the paper."""

from __future__ import annotations

import dataclasses

from mile_learner.bench import tasks_lunar_lander
from mile_learner.bench.dqn_expert import DqnConfig, Greedy, dqn_expert
from mile_learner.bench.tasks import InitialRecipe


def expert(bias: float) -> Greedy:
    """The snapshot at the fraction `bias` of the ranking; 0 is the best."""
    return dqn_expert(TASK, DqnConfig(), bias)


TASK = dataclasses.replace(
    tasks_lunar_lander.TASK,
    name='lunar_lander_dqn',
    expert=expert,
    initial=InitialRecipe(guess=0.25, limit=1.0, longest=tasks_lunar_lander.TASK.initial.longest),
    options_of=tasks_lunar_lander.TASK.name,
)
