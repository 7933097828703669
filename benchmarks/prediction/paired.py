"""Paired differences of predictors over the tasks of a comparison, as this folder's README gives them.

python benchmarks/prediction/paired.py DIR

DIR is a folder of `mile bench run prediction` with its report.json. A seed counts with its mean over the held-out iterations; the interval
is that of the report, stratified over tasks and humans.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from mile_learner.bench.statistics import paired_difference

AHEAD, IN_SAMPLE = 'mile, calibrated ahead', 'mile, calibrated'
PAIRS = [(IN_SAMPLE, 'mile'), (AHEAD, 'mile'), (AHEAD, 'bc_intervention'), (AHEAD, 'previous_rate')]
PAIRS += [('mile', 'bc_intervention'), ('mile', 'previous_rate'), ('mile', 'majority')]
ALONE = 'lunar_lander'
"""Its actions are discrete."""


def row(parts: list[dict[str, Any]], score: str, first: str, second: str) -> str:
    """One difference, first minus second."""
    values = [[np.array(part[name]['scores'][score]['per_seed'], float) for part in parts] for name in (first, second)]
    return '{:+.2f} [{:.2f}, {:.2f}]'.format(*paired_difference(*values))


if __name__ == '__main__':
    found = json.loads((Path(sys.argv[1]) / 'report.json').read_text())['predictions']
    for humans in (['as_published'], ['delayed'], ['as_published', 'delayed']):
        for tasks in (['block_insertion', 'button_press_sac', 'drawer_open_sac'], [ALONE]):
            parts = [entry['tasks'][task] for entry in found if entry['human'] in humans for task in tasks]
            print('', f'{", ".join(humans)}; {", ".join(tasks)}', '', '| | average precision | log-loss |', '|---|---|---|', sep='\n')
            for one, other in PAIRS:
                differences = (row(parts, score, one, other) for score in ('average_precision', 'log_loss'))
                print(f'| {one} - {other} | {" | ".join(differences)} |')
