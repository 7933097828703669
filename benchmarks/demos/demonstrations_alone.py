"""How far demonstrations alone bring the initial policy: the suite `demos` without its fifteen supervised episodes.

python benchmarks/demos/demonstrations_alone.py TUNED SEEDS [TASK] > demonstrations_alone.json

Per seed 0 .. SEEDS - 1 and number of demonstrations: the method that imitates every step of the human, at the rate of TUNED (the folder of
`mile bench tune`) and with as many passes, trained on the very demonstrations of the suite for TASK (by default drawer_open), and its
success over the 100 test episodes.
"""

import json
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mile_learner.bench.cells import RunOptions, demonstrations, fit
from mile_learner.bench.prepare import PrepareConfig, prepare
from mile_learner.bench.rollouts import run_episodes, summary
from mile_learner.bench.suites import SUITES, Cell
from mile_learner.bench.tune import chosen_options

HUMAN, METHOD = 'as_published', 'bc_interventions'


def alone(task: str, seed: int, count: int, options: RunOptions) -> dict[str, Any]:
    """One policy."""
    prepared = prepare(task, seed, PrepareConfig(), humans=[HUMAN])
    cell = Cell('demos', task, HUMAN, METHOD, seed, count)
    (data,) = demonstrations(cell, prepared, lambda _: None)
    bundle = fit(cell, data, prepared.bundle(HUMAN), 1, options, lambda _: None)
    tests = summary(list(run_episodes(prepared.task, prepared.starts['test'], bundle=bundle)))
    return {'seed': seed, 'demonstrations': count, 'steps': len(data), 'success': tests['success']}


if __name__ == '__main__':
    chosen_rates = RunOptions(chosen=chosen_options(Path(sys.argv[1])))
    cells = [(seed, count) for seed in range(int(sys.argv[2])) for count in SUITES['demos'].demonstrations if count]
    where = sys.argv[3] if len(sys.argv) > 3 else 'drawer_open'
    json.dump([alone(where, seed, count, chosen_rates) for seed, count in tqdm(cells)], sys.stdout, indent=1)
