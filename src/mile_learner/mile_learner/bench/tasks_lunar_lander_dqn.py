"""LunarLander-v3 with a DQN for an expert, and an initial policy cloned from an earlier, worse snapshot of it, as in the paper."""

from __future__ import annotations

import dataclasses

from mile_learner.bench import tasks_lunar_lander
from mile_learner.bench.dqn_expert import Dqn, DqnConfig
from mile_learner.bench.rl_expert import rl_expert, rl_value
from mile_learner.bench.tasks import ActionValue, Expert, InitialRecipe


def algorithm() -> Dqn:
    """The training of all experts."""
    return Dqn(TASK, DqnConfig())


def expert(bias: float) -> Expert:
    """The snapshot at the fraction `bias` of the ranking; 0 is the best."""
    return rl_expert(algorithm(), bias)


def value() -> ActionValue:
    """Of the best snapshot."""
    return rl_value(algorithm())


TASK = dataclasses.replace(
    tasks_lunar_lander.TASK,
    name='lunar_lander_dqn',
    expert=expert,
    initial=InitialRecipe(guess=0.25, limit=1.0, longest=tasks_lunar_lander.TASK.initial.longest),
    options_of=tasks_lunar_lander.TASK.name,
    value=value,
    training=lambda: algorithm().folder,
)
