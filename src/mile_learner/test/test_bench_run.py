"""A comparison from start to report, on a task and with a method of one's own: pairing, resuming, failures, processes, Ray."""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from mile_learner.bench import cli, tune
from mile_learner.bench.cells import RunOptions
from mile_learner.bench.claim import claimed
from mile_learner.bench.cli_arguments import add_arguments
from mile_learner.bench.prepare import humans_for, prepare
from mile_learner.bench.provenance import PACKAGES, SOURCES
from mile_learner.bench.report import make_report, reached, verdict
from mile_learner.bench.results import read_results
from mile_learner.bench.run import Job, prepare_all, run_comparison, run_job
from mile_learner.bench.suites import SUITES, Cell, cells_of, parse_method, suite_named
from mile_learner.errors import LearnerError
from mile_learner.methods import METHODS

OPTIONS = RunOptions(test=6)
HUMANS = ('as_published', 'delayed')


@pytest.fixture
def own_method(monkeypatch: pytest.MonkeyPatch, toy_task: str) -> str:
    """What adding a method takes: one entry in the registry."""
    from bench_toy import Shift

    monkeypatch.setitem(METHODS, 'shift', Shift())
    return toy_task


def _cells(task: str, suite: str = 'single', methods: Sequence[str] = ('shift',), seeds: int = 2) -> list[Cell]:
    return cells_of(suite_named(suite), tasks=[task], humans=HUMANS, methods=methods, seeds=range(seeds))


def _run(out: Path, cells: Sequence[Cell], options: RunOptions = OPTIONS) -> list[str]:
    from bench_toy import TINY

    with claimed(out, options, TINY):
        return run_comparison(out, cells, options, TINY, workers=1, progress=False)


def test_methods_are_paired_seed_by_seed(own_method: str, tmp_path: Path) -> None:
    methods = ('shift', 'shift[shift=0.5]')
    assert _run(tmp_path, _cells(own_method, methods=methods)) == []
    results = {(c.method, c.human, c.seed): c for c in read_results(tmp_path)}
    for human in HUMANS:
        data = {(method, seed): results[method, human, seed].of('fit')[0]['data'] for method in methods for seed in (0, 1)}
        assert data[methods[0], 0] == data[methods[1], 0] != data[methods[0], 1]
        starts = {tuple(r['start'] for r in results[method, human, seed].of('test')) for method in methods for seed in (0, 1)}
        assert len(starts) == 1
    shared = {seed: {cell.networks for cell in results.values() if cell.seed == seed} for seed in (0, 1)}
    assert [len(hashes) for hashes in shared.values()] == [1, 1], 'whoever the human is, and however many were prepared since'
    assert not shared[0] & shared[1]
    assert all(set(cell.made_with) == {'cpu', *PACKAGES, *SOURCES} for cell in results.values())
    assert {cell.metric for cell in results.values()} == {'success'}
    same = [results['shift', human, 0].score(1) for human in HUMANS]
    assert same == [results['no_training', 'nobody', 0].score(0)] * 2, 'a method that changes nothing scores what the initial policy does'


def test_a_single_worker_shows_every_episode_as_it_comes(own_method: str, tmp_path: Path) -> None:
    from bench_toy import TINY

    cell = next(cell for cell in _cells(own_method) if cell.method == 'shift')
    part, seen = tmp_path / 'part', list[int]()
    _, records = run_job(Job(cell, OPTIONS, TINY, {}, str(part)), lambda: seen.append(len(part.read_text().splitlines())))
    assert not isinstance(records, str)
    assert seen == list(range(1, len(records) + 1))


def test_a_killed_comparison_resumes_and_others_options_are_refused(own_method: str, tmp_path: Path) -> None:
    cells = _cells(own_method)
    assert _run(tmp_path, cells[:2]) == []
    whole = {path: path.stat().st_mtime_ns for path in (tmp_path / 'cells').glob('*.jsonl')}
    (tmp_path / 'cells' / f'.{cells[2].name}.part').write_text('{"kind": "torn')
    assert _run(tmp_path, cells) == []
    assert len(list((tmp_path / 'cells').iterdir())) == len(cells)
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in whole.items())
    with pytest.raises(LearnerError, match='other options'):
        _run(tmp_path, cells, RunOptions(test=5))


def test_a_failing_method_fails_its_cells_alone_and_is_tried_again(
    own_method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = _cells(own_method, seeds=1)
    works = type(METHODS['shift']).fit

    def breaks(*_: object, **__: object) -> None:
        msg = 'broken on purpose'
        raise RuntimeError(msg)

    monkeypatch.setattr(type(METHODS['shift']), 'fit', breaks)
    failed = _run(tmp_path, cells)
    assert failed == [cell.name for cell in cells if cell.method == 'shift']
    assert 'broken on purpose' in (tmp_path / 'failed' / f'{failed[0]}.txt').read_text()
    monkeypatch.setattr(type(METHODS['shift']), 'fit', works)
    assert _run(tmp_path, cells) == []
    assert not list((tmp_path / 'failed').iterdir())


def test_iterations_accumulate_and_the_report_follows_from_the_records(own_method: str, tmp_path: Path) -> None:
    cells = _cells(own_method, suite='widowx', methods=('shift', 'mile[epochs=2]'))
    from bench_toy import TINY

    assert run_comparison(tmp_path, cells, OPTIONS, TINY.__class__(**{**TINY.to_mapping(), 'train': 18}), workers=1, progress=False) == []
    result = next(c for c in read_results(tmp_path) if c.method == 'shift')
    steps = [r['steps'] for r in result.of('fit')]
    assert steps == list(np.cumsum([sum(r['steps'] for r in result.of('collect', i)) for i in range(1, 7)]))
    assert result.tested() == [1, 2, 3, 4, 5, 6]
    report = make_report(tmp_path)
    first = report['comparisons'][0]['tasks'][own_method]['methods']
    assert list(first) == ['mile[epochs=2]', 'shift', 'no_training', 'expert']
    raw = [[r['success'] for r in c.of('test', 6)] for c in read_results(tmp_path) if c.method == 'shift' and c.human == HUMANS[0]]
    assert first['shift'][-1]['mean'] == pytest.approx(np.mean(raw))
    assert first['shift'][-1]['low'] <= first['shift'][-1]['mean'] <= first['shift'][-1]['high']
    assert 'against' not in report['comparisons'][0]
    seeds = {c.seed for c in read_results(tmp_path)}
    helped = {(c.seed, r['start']): r['success'] for c in read_results(tmp_path) if c.human == HUMANS[0] for r in c.of('collect', 1)}
    assisted = report['comparisons'][0]['tasks'][own_method]['assisted']
    assert assisted['episodes'] == 3 * len(seeds), 'counted once for all methods'
    assert assisted['succeeded'] == sum(helped.values())
    assert 0 < assisted['rate'] < 1
    assert report['comparisons'][0]['tasks'][own_method]['unpaired'] == []
    for method, others in (('mile[epochs=2]', {'shift', 'no_training', 'expert'}), ('shift', {'mile[epochs=2]', 'no_training', 'expert'})):
        entry = make_report(tmp_path, method)['comparisons'][0]
        assert (entry['compared'], set(entry['against'])) == (method, others)
        assert f'{method} against' in (tmp_path / 'report.md').read_text()
    with pytest.raises(LearnerError, match="--method: got 'nobody', expected one of mile"):
        make_report(tmp_path, 'nobody')
    assert json.loads((tmp_path / 'report.json').read_text())['comparisons'][0]['human'] == HUMANS[0]
    assert {path.name for path in (tmp_path / 'figures').iterdir()} == {
        f'widowx-{h}{x}.png' for h in HUMANS for x in ('', '-spent', '-paired')
    }
    next((tmp_path / 'cells').glob(f'*-{HUMANS[0]}-shift-*-s1.jsonl')).unlink()
    assisted = make_report(tmp_path)['comparisons'][0]['tasks'][own_method]['assisted']
    assert assisted['episodes'] == 3 * (len(seeds) - 1), 'a seed that is not whole for every method counts nowhere'
    alone = make_report(tmp_path, only=['mile[epochs=2]'])['comparisons'][0]['tasks'][own_method]
    assert (list(alone['methods']), alone['seeds']) == (['mile[epochs=2]', 'no_training', 'expert'], sorted(seeds))
    with pytest.raises(LearnerError, match="--method: got 'shift', expected one of mile"):
        make_report(tmp_path, 'shift', only=['mile[epochs=2]'])


def test_plain_words_follow_from_the_intervals() -> None:
    assert [verdict(0.01, 0.2), verdict(-0.2, -0.01), verdict(-0.1, 0.1), verdict(math.nan, math.nan)] == [
        'ahead',
        'behind',
        'undecided',
        'undecided',
    ]
    points = {
        'mile': [{'iteration': 1, 'mean': 0.5}, {'iteration': 5, 'mean': 0.9}, {'iteration': 10, 'mean': 0.8}],
        'iwr': [{'iteration': 1, 'mean': 0.5}, {'iteration': 10, 'mean': 0.89}],
        'expert': [{'iteration': 0, 'mean': 0.9}],
    }
    assert reached(points) == "The expert's mean success was reached after iteration: mile 5, iwr never."
    assert reached({'mile': points['mile'][:1], 'expert': points['expert']}) == ''


def test_demonstrations_and_prediction(own_method: str, tmp_path: Path) -> None:
    demos = [cell for cell in _cells(own_method, suite='demos', seeds=1) if cell.demonstrations in (0, 2)]
    prediction = _cells(own_method, suite='prediction', methods=('mile[epochs=3]',), seeds=1)
    assert _run(tmp_path, [*demos, *prediction], RunOptions(quick=True, test=6)) == []
    results = read_results(tmp_path)
    two = next(c for c in results if c.demonstrations == 2)
    assert len(two.of('demonstration')) == 2
    assert two.spent(1) == sum(r['interventions'] for r in [*two.of('demonstration'), *two.of('collect')])
    records = [r for c in results if c.suite == 'prediction' for r in c.of('prediction')]
    own = ('mile[epochs=3]', 'mile[epochs=3], calibrated', 'mile[epochs=3], calibrated ahead')
    assert {r['predictor'] for r in records} == {*own, 'bc_intervention', 'majority', 'previous_rate'}
    assert {r['iteration'] for r in records} == {2, 3, 4, 5}
    numbers = make_report(tmp_path)['predictions'][0]['tasks'][own_method]
    assert numbers['majority']['steps'] == numbers['previous_rate']['steps'] > 0


def test_a_human_with_knobs_is_a_cell_of_its_own(own_method: str, tmp_path: Path) -> None:
    humans = ('delayed', 'delayed[reaction=0,std=0.3]')
    cells = cells_of(suite_named('single'), tasks=[own_method], humans=humans, methods=['shift'], seeds=[0])
    assert _run(tmp_path, cells) == []
    assert (tmp_path / 'cells' / f'single-{own_method}-delayed_reaction_0_std_0.3_-shift-d0-s0.jsonl').is_file()
    given = {cell.human: cell.of('fit')[0]['data'] for cell in read_results(tmp_path) if cell.method == 'shift'}
    assert set(given) == set(humans)
    assert len(set(given.values())) == 2
    assert {entry['human'] for entry in make_report(tmp_path)['comparisons']} == set(humans)


@pytest.mark.slow
def test_processes_give_what_one_process_gives(toy_task: str, tmp_path: Path) -> None:
    from bench_toy import TINY

    cells = _cells(toy_task, methods=('mile[epochs=2]',), seeds=1)
    for out, workers in ((tmp_path / 'one', 1), (tmp_path / 'two', 2)):
        assert prepare_all([(toy_task, 0)], TINY, humans=humans_for(HUMANS), workers=workers, progress=False)[1] == {}
        assert run_comparison(out, cells, OPTIONS, TINY, workers=workers, progress=False) == []
    for path in (tmp_path / 'one' / 'cells').iterdir():
        one, two = (
            [r for r in map(json.loads, p.read_text().splitlines()) if r['kind'] != 'fit']
            for p in (path, tmp_path / 'two' / 'cells' / path.name)
        )
        assert one == two


def test_tuning_tries_the_same_grid_for_every_method_on_seeds_and_states_of_its_own(toy_task: str, tmp_path: Path) -> None:
    from bench_toy import TINY

    methods = tune.candidates(['iwr[epochs=2]', 'bc_all[epochs=2]'], (1e-5, 1e-2))
    assert methods[:2] == ['iwr[learning_rate=0.00001,epochs=2]', 'iwr[learning_rate=0.01,epochs=2]']
    cells = cells_of(suite_named('single'), tasks=[toy_task], humans=HUMANS, methods=methods, seeds=[tune.FIRST_SEED])
    grid, out = tmp_path / 'grid', tmp_path / 'out'
    assert _run(grid, cells, RunOptions(test=6, starts='tune')) == []
    found = tune.choose(grid)
    tested = {r['start'] for cell in read_results(grid) for r in cell.of('test')}
    assert tested <= set(prepare(toy_task, tune.FIRST_SEED, TINY).starts['tune'])
    for method, rates in found['scores'][toy_task].items():
        assert set(rates) == {'0.00001', '0.01'}
        best = found['chosen'][toy_task][method]['learning_rate']
        assert rates[np.format_float_positional(best)] == max(rates.values())
        assert found['margins'][toy_task][method]['difference'][1:] == [None, None], 'one seed says nothing of the next'
    found['chosen'][toy_task] = {'iwr': {'learning_rate': 0.02}, 'bc_all': {'learning_rate': 0.03}}
    (grid / tune.CHOSEN_FILE).write_text(json.dumps(found))
    cells = _cells(toy_task, methods=('iwr[epochs=2]', 'bc_all[epochs=2,learning_rate=0.5]'), seeds=1)
    assert _run(out, cells, RunOptions(test=6, chosen=tune.chosen_options(grid))) == []
    used = {(c.method, r['configuration']['learning_rate']) for c in read_results(out) for r in c.of('fit')}
    assert used == {('iwr[epochs=2]', 0.02), ('bc_all[epochs=2,learning_rate=0.5]', 0.5)}, 'what a cell says itself comes last'
    make_report(out)
    assert 'iwr learning_rate 0.02' in (out / 'report.md').read_text()
    with pytest.raises(LearnerError, match='expected what `mile bench tune SUITE'):
        tune.chosen_options(tmp_path)


@pytest.mark.slow
def test_a_local_ray_of_two_workers_gives_what_processes_give(toy_task: str, tmp_path: Path) -> None:
    from bench_toy import TINY

    cells = _cells(toy_task, methods=('mile[epochs=2]',), seeds=1)
    found = []
    for name, ray in (('processes', None), ('ray', 'local')):
        assert run_comparison(tmp_path / name, cells, OPTIONS, TINY, workers=2, ray=ray, progress=False) == []
        results = read_results(tmp_path / name)
        for fit in (fit for cell in results for fit in cell.of('fit')):
            del fit['seconds']
        found.append(results)
    assert found[0] == found[1]
    assert {cell.method for cell in found[1]} == {'mile[epochs=2]', 'no_training', 'expert'}


@pytest.mark.slow
def test_the_command_compares_on_lunar_lander(tmp_path: Path) -> None:
    """With the very arguments of the repository's first page; nobody should wait for it much longer than a minute."""
    environment = {**os.environ, 'MILE_HOME': str(tmp_path / 'home'), 'OMP_NUM_THREADS': '1'}
    base = [sys.executable, '-m', 'mile_learner.bench.cli']
    out = tmp_path / 'out'
    run = subprocess.run(
        [*base, 'run', 'single', '--tasks', 'lunar_lander', '--seeds', '2', '--quick', '--out', str(out), '--json'],
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)['failed'] == []
    report = subprocess.run([*base, 'report', str(out)], env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert report.returncode == 0, report.stderr
    assert 'The numbers mean nothing' in report.stdout
    discrete = {name for name, method in METHODS.items() if getattr(method, 'discrete', False)}
    assert discrete >= {'mile', 'bc_interventions', 'bc_all', 'hg_dagger', 'iwr', 'sirius', 'dagger'}
    for comparison in json.loads((out / 'report.json').read_text())['comparisons']:
        lander = comparison['tasks']['lunar_lander']
        assert lander['seeds'] == [0, 1]
        assert set(lander['methods']) == {*discrete, 'no_training', 'expert'}
    for account in (tmp_path / 'home' / 'bench').glob('*/account.json'):
        found = json.loads(account.read_text())
        assert 0.1 <= found['initial']['success'] <= 0.4
        assert found['expert']['success'] >= 0.8
        assert found['expert']['return'] >= 200
        assert 'Made with --quick' in account.with_name('account.md').read_text()


@pytest.mark.parametrize('text', ['mile[', 'mile[a]', 'mile[a=[]', 'a b', ''])
def test_method_texts_that_are_refused(text: str) -> None:
    with pytest.raises(LearnerError, match='expected "name"'):
        parse_method(text)


def test_every_suite_names_tasks_humans_and_options_that_exist() -> None:
    for suite in SUITES.values():
        methods = suite.methods or tuple(METHODS)
        assert cells_of(suite, tasks=suite.tasks, humans=suite.humans, methods=methods, seeds=[0])


def test_method_options() -> None:
    assert parse_method('mile[intervention_weight=0.5, std_gradient=true]') == ('mile', {'intervention_weight': 0.5, 'std_gradient': True})


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['run', 'singel', '--out', 'x'], 'expected one of single'),
        (['run', 'single', '--out', 'x', '--tasks', 'lunar'], 'expected one of lunar_lander'),
        (['run', 'single', '--out', 'x', '--methods', 'milo'], 'expected one of'),
        (['run', 'single', '--out', 'x', '--methods', 'mile[epoch=3]'], "did you mean 'epochs'"),
        (['run', 'single', '--out', 'x', '--humans', 'nobody'], 'expected one of as_published'),
        (['run', 'single', '--out', 'x', '--humans', 'delayed[hold=3]'], "got 'hold', expected one of rate, std, bias, slip, reaction"),
        (['prepare', '--humans', 'delayed[std=2]'], 'std: got 2.0, expected > 0.0 and <= 1.0'),
        (['run', 'single', '--out', 'x', '--tuned', 'nowhere'], 'expected what `mile bench tune SUITE'),
        (['tune', 'prediction', '--out', 'x'], 'expected a suite that compares policies'),
        (['tune', 'single', '--out', 'x', '--methods', 'iwr[learning_rate=0.1]'], 'expected no learning rate'),
        (['report', 'no-such-folder'], 'holds no whole cell'),
        (['prepare', '--register', 'point=bench_toy'], 'NAME=MODULE:ATTRIBUTE'),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert cli.main(parser.parse_args(arguments)) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count('\n') == 1
    assert not list(tmp_path.iterdir())
