"""Button-press and drawer-open with SAC for an expert, and initial policies cloned from earlier, worse snapshots of it, as in the paper.

On peg-insert-side this SAC did not become an expert: of 80 000 and of 120 000 steps the best snapshots succeeded in 72 to 78 of 100
episodes (the scripted controller: 86), where at least 80 are asked for.
"""

from __future__ import annotations

import dataclasses

from mile_learner.bench.rl_expert import rl_expert, rl_value
from mile_learner.bench.sac_expert import Sac, SacConfig
from mile_learner.bench.tasks import Expert, Task
from mile_learner.bench.tasks_metaworld import BUTTON_PRESS, DRAWER_OPEN


def _with_sac(scripted: Task) -> Task:
    """The same task; its expert is the snapshot at the fraction `bias` of the ranking, 0 being the best."""

    config = SacConfig()
    ranks = config.snapshots - 1

    def algorithm() -> Sac:
        return Sac(task, config, scripted.expert(0.0))

    def expert(bias: float) -> Expert:
        return rl_expert(algorithm(), bias)

    task = dataclasses.replace(
        scripted,
        name=f'{scripted.name}_sac',
        expert=expert,
        initial=dataclasses.replace(scripted.initial, guess=0.4, limit=1.0, resolution=2 / ranks),
        options_of=scripted.name,
        value=lambda: rl_value(algorithm()),
        training=lambda: algorithm().folder,
    )
    return task


BUTTON_PRESS_SAC = _with_sac(BUTTON_PRESS)
DRAWER_OPEN_SAC = _with_sac(DRAWER_OPEN)
