"""Whether MILE takes up the interventions near the ground, where it lands or hovers.

python benchmarks/single_lunar_lander_dqn/agreement.py TUNED SEED ... > agreement.json

Per seed and weight of J1, with the policy that the comparison tested (TUNED is the folder of `mile bench tune`): in the steps of its
training data with an intervention near the ground, how often its best action is the human's, and how often it and the human fire the main
engine; the same for the steps left alone, of which the executed action is the robot's; and success and steps over 100 test episodes.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from mile_learner.bench.cells import RunOptions, collect, fit
from mile_learner.bench.prepare import PrepareConfig, prepare
from mile_learner.bench.rollouts import run_episodes, summary
from mile_learner.bench.suites import SUITES, Cell
from mile_learner.bench.tune import chosen_options

TASK, HUMAN = 'lunar_lander_dqn', 'as_published'
MAIN_ENGINE, LOW = 2, 0.3
"""An action; and a height in the units of the observation, where the start is at 1.4."""


def agreement(seed: int, weight: float, options: RunOptions) -> dict[str, Any]:
    """The figures of one policy."""
    prepared = prepare(TASK, seed, PrepareConfig(), humans=[HUMAN])
    start = prepared.bundle(HUMAN)
    cell = Cell('single', TASK, HUMAN, f'mile[intervention_weight={weight}]', seed)
    data = collect(cell, SUITES[cell.suite], prepared, start, 1, lambda _: None)
    bundle = fit(cell, data, start, 1, options, lambda _: None)
    chosen, executed = bundle.act(data.stacked)[0][:, 0], data.executed_action[:, 0]
    width = len(prepared.task.observation_layout)
    low = data.stacked[:, -width + prepared.task.observation_layout.index('y')] < LOW
    found: dict[str, Any] = {'seed': seed, 'intervention_weight': weight}
    for name, steps in (('intervening', low & data.intervening), ('left_alone', low & ~data.intervening)):
        found[name] = {
            'steps': int(steps.sum()),
            'agrees': float(np.mean(chosen[steps] == executed[steps])),
            'main_engine': float(np.mean(chosen[steps] == MAIN_ENGINE)),
            'main_engine_executed': float(np.mean(executed[steps] == MAIN_ENGINE)),
        }
    tests = summary(list(run_episodes(prepared.task, prepared.starts['test'], bundle=bundle)))
    return {**found, 'success': tests['success'], 'test_steps': tests['steps']}


if __name__ == '__main__':
    chosen_rates = RunOptions(chosen=chosen_options(Path(sys.argv[1])))
    json.dump([agreement(int(seed), weight, chosen_rates) for seed in sys.argv[2:] for weight in (0.5, 0.1)], sys.stdout, indent=1)
