"""The tasks of Meta-World with SAC for an expert, and initial policies cloned from earlier, worse snapshots of it, as in the paper."""

from __future__ import annotations

import dataclasses

from mile_learner.bench.rl_expert import rl_expert, rl_value
from mile_learner.bench.sac_expert import Sac, SacConfig
from mile_learner.bench.tasks import Expert, InitialRecipe, Task
from mile_learner.bench.tasks_metaworld import BUTTON_PRESS, DRAWER_OPEN, PEG_INSERT


def _with_sac(scripted: Task, config: SacConfig, *, guess: float) -> Task:
    """The same task; its expert is the snapshot at the fraction `bias` of the ranking, 0 being the best."""

    def algorithm() -> Sac:
        return Sac(task, config, scripted.expert(0.0))

    def expert(bias: float) -> Expert:
        return rl_expert(algorithm(), bias)

    task = dataclasses.replace(
        scripted,
        name=f'{scripted.name}_sac',
        expert=expert,
        initial=InitialRecipe(guess=guess, limit=1.0, demonstrations=scripted.initial.demonstrations, longest=scripted.initial.longest),
        options_of=scripted.name,
        value=lambda: rl_value(algorithm()),
    )
    return task


BUTTON_PRESS_SAC = _with_sac(BUTTON_PRESS, SacConfig(), guess=0.4)
DRAWER_OPEN_SAC = _with_sac(DRAWER_OPEN, SacConfig(), guess=0.4)
PEG_INSERT_SAC = _with_sac(PEG_INSERT, SacConfig(steps=80_000), guess=0.4)
