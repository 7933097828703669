"""The report, and the choice of learning rates, on raw records written by hand: who is compared with whom, and on which tasks."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from mile_learner.bench import figures
from mile_learner.bench.report import make_report
from mile_learner.bench.suites import REFERENCES, Cell
from mile_learner.bench.tune import CHOSEN_FILE, choose
from mile_learner.errors import LearnerError


def _cell(
    out: Path, task: str, method: str, seed: int, succeeded: int, returned: float = 0.0, steps: int = 50, start: int = 0, **head: Any
) -> None:
    """One whole cell whose policy succeeded in so many of ten test episodes, with the same return in each, after one episode of `steps`."""
    cell = Cell('single', task, head.pop('human', 'as_published'), method, seed)
    tests = [
        {'kind': 'test', 'iteration': 1, 'start': start + k, 'success': k < succeeded, 'return': returned, 'interventions': 0}
        for k in range(10)
    ]
    first = {'kind': 'collect', 'iteration': 1, 'start': 7, 'success': True, 'return': 1.0, 'steps': steps, 'interventions': 10}
    fit = {'kind': 'fit', 'iteration': 1, 'configuration': {'learning_rate': 0.001}}
    lines = [{**dataclasses.asdict(cell), 'options': {'quick': False}, **head}, first, fit, *tests]
    (out / 'cells').mkdir(exist_ok=True)
    (out / 'cells' / f'{cell.name}.jsonl').write_text('\n'.join(map(json.dumps, lines)) + '\n')


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Three methods on two tasks, `slow` on one of them alone."""
    for seed in range(3):
        for task, successes in {'door': {'mile': 6, 'quick': 4, 'slow': 3}, 'lamp': {'mile': 2, 'quick': 6}}.items():
            for method, succeeded in successes.items():
                _cell(tmp_path, task, method, seed, succeeded)
    return tmp_path


def test_a_method_that_was_not_run_everywhere_is_compared_where_it_was(out: Path) -> None:
    against = make_report(out)['comparisons'][0]['against']
    assert {method: set(found['tasks']) for method, found in against.items()} == {'quick': {'door', 'lamp'}, 'slow': {'door'}}
    assert against['slow']['paired_difference'][0] == pytest.approx(0.3), 'of the one task that both have'
    assert against['quick']['paired_difference'][0] == pytest.approx(-0.1), '(+0.2 - 0.4) / 2'
    rows = [line for line in (out / 'report.md').read_text().splitlines() if line.startswith(('| quick |', '| slow (on door) |'))]
    assert rows[-1].endswith('| ahead | +0.30 [+0.20, +0.40] ahead |  |'), 'three equal differences of ten episodes are not certain'
    assert rows[-2].endswith('| behind | +0.20 [+0.10, +0.30] ahead | -0.40 [-0.50, -0.30] behind |')


def test_seeds_that_one_method_lacks_do_not_count_and_it_is_named(out: Path) -> None:
    (out / 'cells' / 'single-door-as_published-slow-d0-s1.jsonl').unlink()
    door, lamp = (make_report(out)['comparisons'][0]['tasks'][task] for task in ('door', 'lamp'))
    assert (door['seeds'], door['left_out']) == ([0, 2], {1: ['slow']})
    assert (lamp['seeds'], lamp['left_out']) == ([0, 1, 2], {})
    assert (out / 'report.md').read_text().count('as not every method has them: 1 (lacking: slow). `--only`') == 1
    assert make_report(out, only=['mile', 'quick'])['comparisons'][0]['tasks']['door']['seeds'] == [0, 1, 2]


def test_without_the_method_that_is_compared_it_says_so(out: Path) -> None:
    for path in (out / 'cells').glob('*-mile-*'):
        path.unlink()
    make_report(out)
    assert '**No pairs**: there is no cell of mile; `--method NAME` compares another (quick, slow).' in (out / 'report.md').read_text()


def test_a_method_that_is_only_not_shown_is_not_said_to_have_no_cell(out: Path) -> None:
    make_report(out, only=['quick', 'slow'])
    told = '**No pairs**: mile is not among those that `--only` names; `--method NAME` compares another (quick, slow).'
    assert told in (out / 'report.md').read_text()


def test_of_references_alone_no_other_method_is_offered(out: Path) -> None:
    for path in (out / 'cells').iterdir():
        path.unlink()
    for seed in range(2):
        for method in REFERENCES:
            _cell(out, 'door', method, seed, 4, human='nobody')
    assert '**No pairs**: there are cells of the references alone.\n' in _markdown(out)


def test_a_report_lists_its_own_figures(out: Path) -> None:
    assert '![single-as_published-paired.png]' in _markdown(out)
    make_report(out, only=['quick'])
    (out / 'figures' / 'single-delayed.png').write_bytes(b'of an earlier report')
    text = (out / 'report.md').read_text()
    assert '![single-as_published.png]' in text
    assert 'paired.png' not in text
    make_report(out, only=['quick'])
    assert 'delayed.png' not in (out / 'report.md').read_text()


def test_paired_differences_are_drawn_where_they_are_known(out: Path) -> None:
    columns = figures._difference_columns(make_report(out)['comparisons'])
    assert {title: set(found) for title, found in columns.items()} == {
        'all tasks': {'quick'},
        'door': {'quick', 'slow'},
        'lamp': {'quick'},
    }
    assert columns['lamp']['quick'] == pytest.approx([-0.4, -0.5014, -0.2986], abs=1e-4)
    assert (out / 'figures' / 'single-as_published-paired.png').is_file()


def test_such_a_method_can_be_the_one_that_is_compared(out: Path) -> None:
    entry = make_report(out, 'slow')['comparisons'][0]
    assert entry['compared'] == 'slow'
    assert {method: list(found['tasks']) for method, found in entry['against'].items()} == {'mile': ['door'], 'quick': ['door']}
    assert set(entry['overall']) == {'mile', 'quick'}, 'over all tasks stand those alone that have all'
    assert '| mile (on door) |' in (out / 'report.md').read_text()


def test_a_task_with_a_return_is_judged_by_it_from_the_initial_policies_to_the_experts(tmp_path: Path) -> None:
    for seed in range(3):
        for method, returned in {'mile': 50.0 + seed, 'iwr': 150.0 + seed, 'no_training': -100.0, 'expert': 300.0}.items():
            _cell(tmp_path, 'lunar_lander', method, seed, 5, returned)
    entry = make_report(tmp_path)['comparisons'][0]
    content = entry['tasks']['lunar_lander']
    assert content['metric'] == 'return'
    assert content['methods']['mile'][-1]['mean'] == pytest.approx(51.0)
    assert content['methods']['mile'][-1]['success']['mean'] == pytest.approx(0.5)
    assert entry['overall']['iwr']['iqm'] == pytest.approx((151 + 100) / 400)
    assert entry['against']['iwr']['paired_difference'] == pytest.approx([-0.25] * 3), '100 of 400 points, with every seed'
    assert entry['against']['iwr']['verdict'] == 'behind'
    text = (tmp_path / 'report.md').read_text()
    assert '| method | iteration | return | interventions | success |' in text
    assert '| 10 (20 %) | 50 %' in text


def test_what_a_task_is_judged_by_is_read_off_its_cells(tmp_path: Path) -> None:
    """`door` is not registered, as a user's own task is not when the report is made; what a cell says goes before the registry."""
    for seed in range(3):
        for task, metric in {'door': 'return', 'lunar_lander': 'success'}.items():
            for method, returned in {'mile': 50.0 + seed, 'no_training': -100.0, 'expert': 300.0}.items():
                _cell(tmp_path, task, method, seed, 5, returned, metric=metric)
    text, entry = _markdown(tmp_path), make_report(tmp_path)['comparisons'][0]
    assert {task: content['metric'] for task, content in entry['tasks'].items()} == {'door': 'return', 'lunar_lander': 'success'}
    assert entry['against']['no_training']['tasks']['door'][0] == pytest.approx(151 / 400)
    assert entry['tasks']['door']['assisted']['mean'] == 1.0, 'the return of the episode with help, too'
    assert 'Judged by success' not in text


def test_a_task_of_which_nobody_says_what_it_is_judged_by_is_named(out: Path) -> None:
    for seed in range(3):
        _cell(out, 'lunar_lander', 'mile', seed, 4)
    assert '**Judged by success**, as neither its cells nor a task registered here says otherwise: door, lamp.' in _markdown(out)


def test_cells_that_are_judged_by_another_metric_are_not_compared(out: Path) -> None:
    for seed, metric in enumerate(('return', 'return', 'success')):
        _cell(out, 'door', 'mile', seed, 4, metric=metric)
    with pytest.raises(LearnerError, match='door: got cells judged by return and others by success, expected one of these'):
        make_report(out)


def test_cells_that_do_not_share_their_first_episodes_are_named(out: Path) -> None:
    _cell(out, 'door', 'quick', 1, 4, steps=51)
    content = make_report(out)['comparisons'][0]['tasks']
    assert content['door']['unpaired'] == ['quick of seed 1']
    assert content['lamp']['unpaired'] == []
    assert 'quick of seed 1' in (out / 'report.md').read_text()


def test_cells_that_were_tested_on_other_start_states_are_named(out: Path) -> None:
    _cell(out, 'lamp', 'quick', 2, 4, start=10)
    assert make_report(out)['comparisons'][0]['tasks']['lamp']['unpaired'] == ['quick of seed 2']
    assert 'tested start states are not those of the other methods: quick of seed 2.' in _markdown(out)


def test_cells_that_were_prepared_apart_are_named(out: Path) -> None:
    for seed in range(3):
        for method, networks in {'mile': 'a', 'quick': 'a' if seed else 'b', 'slow': 'a'}.items():
            _cell(out, 'door', method, seed, 4, networks=f'{networks}{seed}')
    content = make_report(out)['comparisons'][0]['tasks']
    assert content['door']['unpaired'] == ['quick of seed 0'], 'seeds are prepared apart; the other task does not say'
    assert content['lamp']['unpaired'] == []


def test_references_that_were_prepared_apart_are_named(out: Path) -> None:
    for seed in range(3):
        for method in ('mile', 'quick', 'slow', 'no_training', 'expert'):
            networks = f'{"other" if (method, seed) == ("expert", 1) else "same"}{seed}'
            _cell(out, 'door', method, seed, 4, networks=networks, human='nobody' if method in REFERENCES else 'as_published')
    assert make_report(out)['comparisons'][0]['tasks']['door']['unpaired'] == ['expert of seed 1']


def test_what_cells_from_before_say_of_their_preparation_is_a_doubt_at_most(out: Path) -> None:
    """Their hash has the time of its making in it, so two of one preparation, made twice, have two."""
    for seed in range(3):
        for method in ('mile', 'quick', 'slow', 'no_training', 'expert'):
            shared = f'{method if seed == 1 else ""}{seed}'
            _cell(out, 'door', method, seed, 4, shared=shared, human='nobody' if method in REFERENCES else 'as_published')
    text = _markdown(out)
    assert 'Not paired' not in text
    assert 'what they were prepared from: expert on door (seeds 1), no_training on door (seeds 1).' in text


def test_references_that_do_not_say_what_they_were_prepared_from_are_named_where_the_methods_do(out: Path) -> None:
    for seed in range(3):
        for method in ('no_training', 'expert'):
            _cell(out, 'door', method, seed, 4, human='nobody')
            _cell(out, 'lamp', method, seed, 4, human='nobody', **({'networks': 'same'} if (method, seed) == ('expert', 2) else {}))
    told = '**Perhaps not paired** with the methods, as only these or those say what they were prepared from: '
    assert f'{told}expert on lamp (seeds 2).' in _markdown(out), 'the methods do not say it; where neither side does nothing is known'
    for seed in (0, 2):
        for method in ('mile', 'quick', 'slow'):
            _cell(out, 'door', method, seed, 4, networks='same')
    assert f'{told}expert on door (seeds 0, 2), expert on lamp (seeds 2), no_training on door (seeds 0, 2).' in _markdown(out)


def test_cells_of_other_code_are_counted(out: Path) -> None:
    assert 'alike' not in _markdown(out)
    for seed in range(3):
        for method in ('mile', 'quick', 'slow'):
            _cell(out, 'door', method, seed, 4, made_with={'mile_learner': 'new' if seed else 'old', 'cpu': 'AVX2'})
    text = _markdown(out)
    assert (
        '**Not all cells were made alike** (cells with each): mile_learner new (6), old (3), unknown (6); cpu AVX2 (9), unknown (6).'
        in text
    )


def test_methods_that_were_not_tuned_are_named(out: Path) -> None:
    assert 'nothing was tuned' in _markdown(out)
    chosen = json.dumps(
        {'door': {'mile': {'learning_rate': 0.01}, 'slow': {'learning_rate': 0.01}}, 'lamp': {'mile': {'learning_rate': 0.1}}}
    )
    for seed in range(3):
        for task, methods in {'door': ('mile', 'quick', 'slow'), 'lamp': ('mile', 'quick')}.items():
            for method in methods:
                _cell(out, task, method, seed, 4, options={'quick': False, 'chosen': chosen})
    text = _markdown(out)
    assert 'nothing was tuned' not in text
    assert '**Not tuned**, with a learning rate of their own: quick on door, quick on lamp.' in text
    assert '- door: mile learning_rate 0.01; slow learning_rate 0.01' in text
    assert 'Chosen by `mile bench tune`, on seeds and start states of their own:' in text, 'from what is not noted'


@pytest.mark.parametrize(
    ('slow', 'told', 'listed'),
    [
        ([0.01, 0.1], ', from one grid for every method, on', 'mile learning_rate 0.01; slow learning_rate 0.01\n'),
        (
            [0.01],
            ', not from one grid for every method, on',
            'mile learning_rate 0.01 (of 0.01, 0.1); slow learning_rate 0.01 (of 0.01)\n',
        ),
    ],
)
def test_one_grid_for_every_method_is_said_where_it_was_one(out: Path, slow: list[float], told: str, listed: str) -> None:
    chosen = json.dumps({'door': {name: {'learning_rate': 0.01} for name in ('mile', 'slow')}})
    grids = {'door': {name: {'rates': rates, 'seeds': 2, 'quick': False} for name, rates in {'mile': [0.01, 0.1], 'slow': slow}.items()}}
    for seed in range(3):
        for method in ('mile', 'quick', 'slow'):
            _cell(out, 'door', method, seed, 4, options={'quick': False, 'chosen': chosen, 'grids': json.dumps(grids)})
    text = _markdown(out)
    assert f'Chosen by `mile bench tune`{told} seeds and start states of their own:' in text
    assert f'- door: {listed}' in text


def _markdown(out: Path) -> str:
    make_report(out)
    return (out / 'report.md').read_text()


def test_a_predictor_is_scored_within_each_iteration(tmp_path: Path) -> None:
    """`knows_when` ranks iterations, and steps within them wrongly; pooled, that would look like foresight."""
    happened = {iteration: [1, 1, 1, 0] if iteration % 2 else [1, 0, 0, 0] for iteration in range(2, 6)}
    told = {
        'knows_when': {0: [0.1, 0.2, 0.2, 0.2], 1: [0.8, 0.8, 0.8, 0.9]},
        'knows_which': {0: [0.9, 0.1, 0.1, 0.1], 1: [0.9, 0.9, 0.9, 0.1]},
    }
    cell = Cell('prediction', 'door', 'as_published', 'mile', 0)
    records = [
        {'kind': 'prediction', 'iteration': iteration, 'predictor': name, 'p': p[iteration % 2], 'nu': nu}
        for iteration, nu in happened.items()
        for name, p in told.items()
    ]
    (tmp_path / 'cells').mkdir()
    lines = [dataclasses.asdict(cell) | {'options': {'quick': False}}, *records]
    (tmp_path / 'cells' / f'{cell.name}.jsonl').write_text('\n'.join(map(json.dumps, lines)) + '\n')
    found = make_report(tmp_path)['predictions'][0]['tasks']['door']
    assert found['knows_which']['scores']['average_precision']['mean'] == pytest.approx(1.0)
    assert found['knows_when']['scores']['average_precision']['mean'] == pytest.approx((1 / 4 + 3 / 4) / 2)
    assert found['knows_when']['steps'] == 16
    assert found['knows_when']['scores']['average_precision']['low'] is None, 'one seed has no interval, and JSON no NaN'


def test_predictions_are_told_apart_by_who_flew(tmp_path: Path) -> None:
    (tmp_path / 'cells').mkdir()
    for method, seeds in {'mile': 3, 'iwr': 2}.items():
        for seed in range(seeds):
            cell = Cell('prediction', 'door', 'as_published', method, seed)
            nu = [1, 0, 0, 0] if method == 'mile' else [1, 1, 1, 0]
            records = [
                {'kind': 'prediction', 'iteration': iteration, 'predictor': name, 'p': [0.5, 0.25, 0.25, 0.25], 'nu': nu}
                for iteration in range(2, 6)
                for name in (method, 'majority')
            ]
            lines = [dataclasses.asdict(cell) | {'options': {'quick': False}}, *records]
            (tmp_path / 'cells' / f'{cell.name}.jsonl').write_text('\n'.join(map(json.dumps, lines)) + '\n')
    mile, iwr = make_report(tmp_path)['predictions']
    assert [entry['flown'] for entry in (mile, iwr)] == ['mile', 'iwr']
    assert [set(entry['tasks']['door']) for entry in (mile, iwr)] == [{'mile', 'majority'}, {'iwr', 'majority'}]
    briers = [entry['tasks']['door']['majority']['scores']['brier']['per_seed'] for entry in (mile, iwr)]
    assert briers == [[pytest.approx((0.25 + 3 / 16) / 4)] * 3, [pytest.approx((0.25 + 2 * 9 / 16 + 1 / 16) / 4)] * 2]
    text = (tmp_path / 'report.md').read_text()
    for flown in ('mile', 'iwr'):
        assert f'## prediction, human: as_published, flown by {flown}\n' in text
        assert f'![prediction-as_published-{flown}.png]' in text
    for path in (tmp_path / 'cells').glob('*-iwr-*'):
        path.unlink()
    (alone,) = make_report(tmp_path)['predictions']
    assert alone == {key: value for key, value in mile.items() if key != 'flown'}
    assert '## prediction, human: as_published\n' in (tmp_path / 'report.md').read_text()


def test_a_chosen_learning_rate_says_whether_other_seeds_would_choose_it_too(tmp_path: Path) -> None:
    returns = {'iwr': {1e-4: (50, 60, 55), 1e-3: (80, 95, 90), 1e-5: (0, 0, 0)}, 'mile': {1e-4: (0, 90, 60), 1e-3: (100, 0, 0)}}
    for method, rates in {**returns, 'bc_all': {1e-3: (1, 2, 3)}}.items():
        for rate, of_seeds in rates.items():
            for seed, returned in enumerate(of_seeds):
                _cell(tmp_path, 'lunar_lander', f'{method}[learning_rate={rate:f}]', seed, 5, returned)
    found = choose(tmp_path)
    assert found == json.loads((tmp_path / CHOSEN_FILE).read_text())
    assert found['chosen']['lunar_lander'] == {
        'iwr': {'learning_rate': 1e-3},
        'mile': {'learning_rate': 1e-4},
        'bc_all': {'learning_rate': 1e-3},
    }
    margins = found['margins']['lunar_lander']
    assert margins['bc_all'] is None, 'there was nothing to choose'
    assert {method: margins[method]['next'] for method in returns} == {'iwr': 1e-4, 'mile': 1e-3}
    value, low, high = margins['iwr']['difference']
    assert value == pytest.approx(100 / 3)
    assert 0 < low < value < high
    value, low, high = margins['mile']['difference']
    assert low < 0 < value < high, 'one seed alone may choose the other'
