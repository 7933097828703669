"""Where the interventions lie, by the rule of the scripted expert of drawer-open.

python benchmarks/demos/where_they_intervene.py SEEDS [TASK | NAME=MODULE:ATTRIBUTE] > where_they_intervene.json

That expert climbs to 0.3 m above the handle wherever the hand is more than 6 cm beside it, and descends where it is not. Per seed
0 .. SEEDS - 1, of the steps of interventions in the suite's fifteen episodes, and of five demonstrations: the share beside the handle; the
share with an action upwards; and lower than 15 cm above the handle the mean of the action's z (from -1 to 1), within 6 cm and beside.
TASK is drawer_open or one with another expert or initial policy on the same table.
"""

import json
import sys
from typing import Any

import numpy as np

from mile_learner.bench.cells import collect, demonstrations
from mile_learner.bench.prepare import PrepareConfig, prepare
from mile_learner.bench.suites import SUITES, Cell
from mile_learner.bench.tasks import register_task
from mile_learner.methods.base import InterventionData

HUMAN = 'as_published'
BESIDE_M, LOW_M = 0.06, 0.15


def where(data: InterventionData, layout: tuple[str, ...]) -> dict[str, Any]:
    """The figures of steps of the human."""

    def column(name: str) -> np.ndarray:
        return np.asarray(data.stacked[:, -len(layout) + layout.index(name)])

    beside = np.hypot(column('hand_x') - column('object_1_x'), column('hand_y') - column('object_1_y')) > BESIDE_M
    low = column('hand_z') - column('object_1_z') < LOW_M
    z = np.clip(data.human_action[:, 2], -1, 1)
    shares = {'beside': beside.mean(), 'upwards': (z > 0).mean()}
    means = {f'{name}_z': z[low & rows].mean() for name, rows in (('low_within', ~beside), ('low_beside', beside)) if (low & rows).any()}
    return {'steps': len(data), **{name: round(float(value), 3) for name, value in (shares | means).items()}}


def of_seed(task: str, seed: int) -> dict[str, Any]:
    """Interventions and demonstrations of a seed."""
    prepared = prepare(task, seed, PrepareConfig(), humans=[HUMAN])
    cell = Cell('demos', task, HUMAN, 'bc_interventions', seed, 5)
    flown = collect(cell, SUITES[cell.suite], prepared, prepared.bundle(HUMAN), 1, lambda _: None)
    (shown,) = demonstrations(cell, prepared, lambda _: None)
    layout = prepared.task.observation_layout
    return {'seed': seed, 'interventions': where(flown.take(flown.intervening), layout), 'demonstrations': where(shown, layout)}


if __name__ == '__main__':
    name, _, module = (sys.argv[2] if len(sys.argv) > 2 else 'drawer_open').partition('=')
    if module:
        register_task(name, module)
    json.dump([of_seed(name, seed) for seed in range(int(sys.argv[1]))], sys.stdout, indent=1)
