"""Drawer-open with the expert of one task and the initial policy of the other: which of the two makes the difference?

PYTHONPATH=benchmarks/single_meta_world_sac mile bench run single --register helped_by_sac=crossed:HELPED_BY_SAC \
    helped_by_script=crossed:HELPED_BY_SCRIPT --tasks helped_by_sac helped_by_script ...
"""

import dataclasses

from mile_learner.bench.tasks import Expert, Task
from mile_learner.bench.tasks_metaworld import DRAWER_OPEN
from mile_learner.bench.tasks_metaworld_sac import DRAWER_OPEN_SAC


def _crossed(name: str, helper: Task, beginner: Task) -> Task:
    """The expert of `helper`; the initial policy is a clone of a worse expert of `beginner`."""

    def expert(bias: float) -> Expert:
        return (helper if bias == 0.0 else beginner).expert(bias)

    return dataclasses.replace(helper, name=name, expert=expert, initial=beginner.initial, options_of=DRAWER_OPEN.name)


HELPED_BY_SAC = _crossed('helped_by_sac', DRAWER_OPEN_SAC, DRAWER_OPEN)
HELPED_BY_SCRIPT = _crossed('helped_by_script', DRAWER_OPEN, DRAWER_OPEN_SAC)
