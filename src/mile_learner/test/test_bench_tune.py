"""What is chosen of a grid of learning rates, from raw records."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from scipy.stats import t

from mile_learner.bench.suites import Cell, configured
from mile_learner.bench.tune import choose, chosen_for, chosen_options, grid_options, not_tuned
from mile_learner.errors import LearnerError

RATES = ('0.00001', '0.0001', '0.001')
OWN = {('mile', 'drawer_open'): 5e-4, ('mile', 'button_press'): 1e-4, ('bc_all', 'peg_insert'): 5e-6}


def _cell(
    out: Path, task: str, method: str, count: int, suite: str = 'single', *, seed: int = 1000, given: int = 0, quick: bool = False
) -> None:
    """One whole cell of which so many of four test episodes succeeded; `given` demonstrations."""
    cell = Cell(suite, task, 'as_published', method, seed, given)
    head = {'kind': 'cell', **dataclasses.asdict(cell), 'options': {'quick': quick}}
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


def test_every_number_of_demonstrations_and_every_suite_counts(tmp_path: Path) -> None:
    """A thousandth is worse without and with demonstrations; the last that is read, of another suite, would choose it."""
    for rate, (without, two, elsewhere) in {'0.0001': (4, 3, 1), '0.001': (1, 0, 2)}.items():
        for seed in (1000, 1001):
            _cell(tmp_path, 'drawer_open', f'iwr[learning_rate={rate}]', without, 'demos', seed=seed)
            _cell(tmp_path, 'drawer_open', f'iwr[learning_rate={rate}]', two, 'demos', seed=seed, given=2)
            _cell(tmp_path, 'drawer_open', f'iwr[learning_rate={rate}]', elsewhere, seed=seed)
    found = choose(tmp_path)
    assert found['scores']['drawer_open']['iwr'] == pytest.approx({'0.0001': 8 / 12, '0.001': 3 / 12})
    assert found['chosen']['drawer_open']['iwr'] == {'learning_rate': 1e-4}
    value, low, high = found['margins']['drawer_open']['iwr']['difference']
    assert value == pytest.approx(5 / 12)
    half = t.ppf(0.975, 3) * (0.25**2 / 6 / 2 / 3) ** 0.5
    assert high - value == pytest.approx(half), 'three strata of two seeds, whose differences are equal'
    assert low == pytest.approx(2 * value - high)


def test_rates_are_compared_on_the_seeds_that_all_have(tmp_path: Path) -> None:
    """The third seed, which is easy, has been tried at one rate alone."""
    for seed, counts in {1000: (1, 2), 1001: (0, 1), 1002: (4,)}.items():
        for rate, count in zip(('0.0001', '0.001'), counts, strict=False):
            _cell(tmp_path, 'drawer_open', f'iwr[learning_rate={rate}]', count, seed=seed)
    found = choose(tmp_path)
    assert found['scores']['drawer_open']['iwr'] == pytest.approx({'0.0001': 1 / 8, '0.001': 3 / 8})
    assert found['grids'] == {'drawer_open': {'iwr': {'rates': [1e-4, 1e-3], 'seeds': 2, 'quick': False}}}
    _cell(tmp_path, 'drawer_open', 'iwr[learning_rate=0.01]', 4, seed=1003)
    with pytest.raises(LearnerError, match=r'iwr on drawer_open: got rates 0.0001, 0.001, 0.01 that share no suite, human and seed'):
        choose(tmp_path)


def test_a_quick_choice_is_for_quick_runs(tmp_path: Path) -> None:
    _cell(tmp_path, 'drawer_open', 'iwr[learning_rate=0.001]', 2, quick=True)
    found = choose(tmp_path)
    assert json.loads(grid_options(tmp_path, quick=True)) == found['grids']
    with pytest.raises(LearnerError, match='where --quick chose, expected a choice without it; tune without --quick, or run with it'):
        grid_options(tmp_path, quick=False)


@pytest.mark.parametrize('quick', [True, False])
def test_a_choice_from_before_grids_were_noted_is_taken(tmp_path: Path, *, quick: bool) -> None:
    chosen = {'drawer_open': {'iwr': {'learning_rate': 1e-3}}}
    (tmp_path / 'chosen.json').write_text(json.dumps({'chosen': chosen, 'scores': {}}))
    assert json.loads(chosen_options(tmp_path)) == chosen
    assert grid_options(tmp_path, quick=quick) == ''


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
