"""What is chosen of a grid of learning rates, from raw records."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from mile_learner.bench.suites import Cell, configured
from mile_learner.bench.tune import choose

RATES = ('0.00001', '0.0001', '0.001')
OWN = {('mile', 'drawer_open'): 5e-4, ('mile', 'button_press'): 1e-4, ('bc_all', 'peg_insert'): 5e-6}


@pytest.mark.parametrize(
    ('task', 'method', 'successes', 'expected'),
    [
        ('drawer_open', 'mile', (3, 2, 1), 1e-5),
        ('drawer_open', 'mile', (1, 2, 2), 1e-3),
        ('drawer_open', 'mile', (2, 2, 1), 1e-4),
        ('drawer_open', 'mile', (0, 0, 0), 1e-3),
        ('button_press', 'mile', (0, 0, 0), 1e-4),
        ('peg_insert', 'bc_all', (0, 0, 0), 1e-5),
    ],
)
def test_the_best_rate_and_of_equal_ones_that_next_to_the_methods_own(
    tmp_path: Path, task: str, method: str, successes: tuple[int, ...], expected: float
) -> None:
    assert [configured(*pair).to_mapping()['learning_rate'] for pair in OWN] == list(OWN.values()), 'what is nearest follows from these'
    (tmp_path / 'cells').mkdir()
    for rate, count in zip(RATES, successes, strict=True):
        cell = Cell('single', task, 'as_published', f'{method}[learning_rate={rate}]', 1000)
        head = {'kind': 'cell', **dataclasses.asdict(cell), 'options': {'quick': False}}
        tests = [{'kind': 'test', 'iteration': 1, 'success': i < count, 'return': 0.0} for i in range(4)]
        (tmp_path / 'cells' / f'{cell.name}.jsonl').write_text('\n'.join(map(json.dumps, [head, *tests])))
    found = choose(tmp_path)
    assert found['chosen'] == {task: {method: {'learning_rate': expected}}}
    assert found['scores'][task][method] == dict(zip(RATES, (count / 4 for count in successes), strict=True))
    assert json.loads((tmp_path / 'chosen.json').read_text()) == found
