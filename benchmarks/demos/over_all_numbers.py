"""The table of this folder's README: success by number of demonstrations, and MILE's paired difference over one to five of them.

python benchmarks/demos/over_all_numbers.py DIR demonstrations_alone.json

DIR is the unpacked comparison, of one task. A seed counts with its mean over one to five demonstrations; the interval is that of the
report, over seeds.
"""

import json
import sys
from pathlib import Path

import numpy as np

from mile_learner.bench.results import read_results, tables
from mile_learner.bench.statistics import paired_difference

if __name__ == '__main__':
    found = [table for table in tables(read_results(Path(sys.argv[1]))) if table.human != 'nobody']
    (task,) = found[0].tasks
    methods = [name for name in found[0].methods if name not in ('no_training', 'expert')]
    success = {name: np.stack([table.scores(task, name) for table in found], axis=1) for name in methods}
    untrained = found[0].scores(task, 'no_training')
    records = json.loads(Path(sys.argv[2]).read_text())
    alone = {(record['seed'], record['demonstrations']): record['success'] for record in records}
    rest = [[alone[seed, table.demonstrations] for table in found[1:]] for seed in found[0].seeds(task)]
    success['demonstrations alone'] = np.concatenate([untrained[:, None], rest], axis=1)
    print(f'seeds: {len(untrained)}', '', '| method | 0 | 1 | 2 | 3 | 4 | 5 | MILE, 1 to 5 |', f'|{"---|" * 8}', sep='\n')
    for name, values in success.items():
        means = ' | '.join(f'{100 * value:.0f} %' for value in values.mean(axis=0))
        against = ''
        if name != 'mile':
            difference, low, high = paired_difference([success['mile'][:, 1:].mean(axis=1)], [values[:, 1:].mean(axis=1)])
            against = f'{100 * difference:+.0f} [{100 * low:.0f}, {100 * high:.0f}]'
        print(f'| {name} | {means} | {against} |')
