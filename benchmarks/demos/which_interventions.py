"""Which of the interventions take away what two demonstrations give.

python benchmarks/demos/which_interventions.py TUNED SEEDS > which_interventions.json

Per seed 0 .. SEEDS - 1: success over the 100 test episodes of the initial policy trained (imitating every step of the human, at the rate of
TUNED) on two demonstrations and

* all: every intervention of the suite's fifteen episodes;
* succeeded, failed: those in episodes that succeeded, or failed, with the human's help;
* few: as many of them, drawn at random, as the demonstrations have steps;
* none; and none_long: with as many gradient steps as `all` takes.

And how far its mean action is from the human's, per dimension (x, y, z, gripper; they reach from -1 to 1): in three further demonstrations,
and in the interventions.
"""

import dataclasses
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from mile_learner.bench.cells import RunOptions, collect, demonstrations, fit
from mile_learner.bench.prepare import PrepareConfig, prepare
from mile_learner.bench.rollouts import run_episodes, summary
from mile_learner.bench.suites import SUITES, Cell
from mile_learner.bench.tune import chosen_options
from mile_learner.bundle import Bundle
from mile_learner.methods.base import InterventionData

TASK, HUMAN, METHOD, DEMONSTRATIONS, FURTHER = 'drawer_open', 'as_published', 'bc_interventions', 2, 3


def policies(seed: int, options: RunOptions) -> Iterator[dict[str, Any]]:
    """The results of one seed."""
    prepared = prepare(TASK, seed, PrepareConfig(), humans=[HUMAN])
    start = prepared.bundle(HUMAN)
    cell = Cell('demos', TASK, HUMAN, METHOD, seed, DEMONSTRATIONS)
    (shown,) = demonstrations(cell, prepared, lambda _: None)
    (more,) = demonstrations(dataclasses.replace(cell, demonstrations=DEMONSTRATIONS + FURTHER), prepared, lambda _: None)
    further = more.take(more.episode < FURTHER)
    flown = collect(cell, SUITES[cell.suite], prepared, start, 1, lambda _: None)
    nu, success = flown.intervening, flown.success
    few = np.zeros(len(flown), dtype=bool)
    few[np.random.default_rng(seed).choice(np.flatnonzero(nu), len(shown), replace=False)] = True
    chosen = {'all': nu, 'succeeded': nu & success, 'failed': nu & ~success, 'few': few, 'none': np.zeros(len(flown), dtype=bool)}
    config = options.configuration(cell).to_mapping()
    batches = {name: math.ceil((len(shown) + rows.sum()) / config['batch_size']) for name, rows in chosen.items()}
    long = f'{METHOD}[epochs={config["epochs"] * batches["all"] // batches["none"]}]'
    variants = [(name, METHOD, rows) for name, rows in chosen.items()] + [('none_long', long, chosen['none'])]
    for name, method, rows in variants:
        data = InterventionData.concatenate([shown, flown.take(rows)])
        bundle = fit(dataclasses.replace(cell, method=method), data, start, 1, options, lambda _: None)
        tests = summary(list(run_episodes(prepared.task, prepared.starts['test'], bundle=bundle)))
        errors = {'demonstrations': _error(bundle, further), 'interventions': _error(bundle, flown.take(nu))}
        yield {'seed': seed, 'interventions': name, 'steps': len(data), 'success': tests['success'], 'error': errors}


def _error(bundle: Bundle, data: InterventionData) -> list[float]:
    distance = np.abs(bundle.act(data.stacked)[0] - np.clip(data.human_action, -1, 1))
    return [round(float(value), 3) for value in distance.mean(axis=0)]


if __name__ == '__main__':
    chosen_rates = RunOptions(chosen=chosen_options(Path(sys.argv[1])))
    json.dump([found for seed in tqdm(range(int(sys.argv[2]))) for found in policies(seed, chosen_rates)], sys.stdout, indent=1)
