"""What is chosen of a grid of learning rates, from raw records."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from mile_learner.bench.suites import Cell, configured
from mile_learner.bench.tune import choose, chosen_for, not_tuned

RATES = ('0.00001', '0.0001', '0.001')
OWN = {('mile', 'drawer_open'): 5e-4, ('mile', 'button_press'): 1e-4, ('bc_all', 'peg_insert'): 5e-6}


def _cell(out: Path, task: str, method: str, count: int) -> None:
    """One whole cell of which so many of four test episodes succeeded."""
    cell = Cell('single', task, 'as_published', method, 1000)
    head = {'kind': 'cell', **dataclasses.asdict(cell), 'options': {'quick': False}}
    tests = [{'kind': 'test', 'iteration': 1, 'success': i < count, 'return': 0.0} for i in range(4)]
    (out / 'cells').mkdir(exist_ok=True)
    (out / 'cells' / f'{cell.name}.jsonl').write_text('\n'.join(map(json.dumps, [head, *tests])))


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
    for rate, count in zip(RATES, successes, strict=True):
        _cell(tmp_path, task, f'{method}[learning_rate={rate}]', count)
    found = choose(tmp_path)
    assert found['chosen'] == {task: {method: {'learning_rate': expected}}}
    assert found['scores'][task][method] == dict(zip(RATES, (count / 4 for count in successes), strict=True))
    assert json.loads((tmp_path / 'chosen.json').read_text()) == found


def test_a_variant_has_a_rate_of_its_own_and_without_one_that_of_the_plain_method(tmp_path: Path) -> None:
    for method, counts in {'iwr[learning_rate={}]': (1, 2, 3), 'iwr[learning_rate={},epochs=7]': (3, 2, 1)}.items():
        for rate, count in zip(RATES, counts, strict=True):
            _cell(tmp_path, 'drawer_open', method.format(rate), count)
    found = choose(tmp_path)
    assert found['chosen'] == {'drawer_open': {'iwr': {'learning_rate': 1e-3}, 'iwr[epochs=7]': {'learning_rate': 1e-5}}}
    chosen = json.dumps(found['chosen'])
    for method, rate in {'iwr': 1e-3, 'iwr[epochs=8]': 1e-3, 'iwr[epochs=7]': 1e-5}.items():
        assert chosen_for(method, 'drawer_open', chosen) == chosen_for(method, 'drawer_open_sac', chosen) == {'learning_rate': rate}
    assert chosen_for('mile', 'drawer_open', chosen) == chosen_for('iwr', 'peg_insert', chosen) == chosen_for('iwr', 'peg_insert', '') == {}


def test_a_method_that_was_not_tuned_trains_with_its_own_rate(tmp_path: Path) -> None:
    chosen = json.dumps({'drawer_open': {'iwr': {'learning_rate': 1e-3}}})
    methods = ('iwr', 'iwr[epochs=7]', 'rlif', 'rlif[learning_rate=0.1]', 'no_training')
    cells = [Cell('single', 'drawer_open', 'as_published' if method != 'no_training' else 'nobody', method, 0) for method in methods]
    assert not_tuned(cells, chosen, tmp_path) == ['rlif on drawer_open']
    rivals = [Cell('prediction', 'drawer_open', 'as_published', 'mile[learning_rate=0.1]', 0)]
    assert not_tuned(rivals, chosen, tmp_path) == ['bc_intervention on drawer_open'], 'what is trained beside it counts, too'
