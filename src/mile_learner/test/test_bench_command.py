"""What the commands of the comparison print: why cells failed, names, interruptions."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from mile_learner.bench import cli, run
from mile_learner.bench.cli_arguments import add_arguments
from mile_learner.bench.human_config import GATES
from mile_learner.bench.results import read_results
from mile_learner.bench.suites import NO_HUMAN, REFERENCES, SUITES, Cell
from mile_learner.bench.tasks import TASKS
from mile_learner.methods import METHODS


def _arguments(*arguments: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog='mile bench')
    add_arguments(parser)
    return parser.parse_args(list(map(str, arguments)))


def test_failed_cells_say_why_at_the_end(
    toy_task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from bench_toy import TINY

    def breaks(*_: object, **__: object) -> None:
        msg = 'broken on purpose'
        raise RuntimeError(msg)

    monkeypatch.setattr(cli, '_preparation', lambda **_: TINY)
    for name in ('iwr', 'sirius'):
        monkeypatch.setattr(type(METHODS[name]), 'fit', breaks)
    chosen = {'chosen': {toy_task: {'iwr': {'learning_rate': 1e-3}}}}
    (tmp_path / 'chosen.json').write_text(json.dumps(chosen))
    command = ('run', 'single', '--tasks', toy_task, '--humans', 'as_published', '--methods', 'iwr', 'sirius', '--seeds', 1, '--workers', 1)
    assert cli.main(_arguments(*command, '--out', tmp_path / 'out', '--tuned', tmp_path)) == 1
    printed = capsys.readouterr()
    first, reason, where, watched = printed.out.splitlines()
    assert first == f'2 of 4 cells are whole in {tmp_path / "out"}'
    assert reason == f'2 failed: RuntimeError: broken on purpose (single-{toy_task}-as_published-iwr-d0-s0, ...)'
    assert str(tmp_path / 'out' / 'failed') in where
    assert watched == 'trainings watched: 0; warnings: none'
    assert f'mile bench run: sirius on {toy_task}: not tuned in {tmp_path}; trains with its own learning rate\n' in printed.err


def test_cells_that_could_not_be_prepared_count_among_all(
    toy_task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from bench_toy import TINY

    monkeypatch.setattr(cli, '_preparation', lambda **_: TINY)
    monkeypatch.setattr(run, 'prepare_all', lambda *_, **__: ([], {(toy_task, 1): 'no initial policy'}))
    command = ('run', 'single', '--tasks', toy_task, '--humans', 'as_published', '--methods', 'iwr[epochs=2]', '--seeds', 2, '--workers', 1)
    assert cli.main(_arguments(*command, '--out', tmp_path, '--json')) == 1
    assert json.loads(capsys.readouterr().out)['cells'] == 6
    assert cli.main(_arguments(*command, '--out', tmp_path)) == 1
    first, why, *_ = capsys.readouterr().out.splitlines()
    assert first == f'3 of 6 cells are whole in {tmp_path}'
    assert why == 'not prepared: seed 1: no initial policy'


@pytest.mark.parametrize('number', ['0', '-1', 'two', '1.5', '', '²', '①'])
def test_what_is_no_number_of_seeds(capsys: pytest.CaptureFixture[str], number: str) -> None:
    with pytest.raises(SystemExit, match='2'):
        _arguments('run', 'single', '--out', 'x', f'--seeds={number}')
    assert capsys.readouterr().err.endswith(f'argument --seeds: got {number!r}, expected a whole number of at least 1\n')


@pytest.mark.parametrize('command', ['prepare', 'tune', 'run'])
def test_help_names_what_is_registered(capsys: pytest.CaptureFixture[str], command: str) -> None:
    with pytest.raises(SystemExit, match='0'):
        _arguments(command, '--help')
    words = capsys.readouterr().out.replace(',', ' ').split()
    assert {*SUITES, *TASKS, *GATES, *METHODS} - set(REFERENCES) <= set(words)


@pytest.mark.parametrize(('arguments', 'goes_on'), [(('run', 'single', '--out', 'x'), True), (('report', 'x'), False)])
def test_an_interruption_says_whether_the_same_command_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], goes_on: bool
) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, f'_{arguments[0]}', interrupted)
    assert cli.main(_arguments(*arguments)) == 1
    end = '; the same command goes on where it was' if goes_on else ''
    assert capsys.readouterr().err == f'mile bench {arguments[0]}: interrupted{end}\n'


def test_a_task_of_ones_own_is_registered_for_the_run_and_reported_from_its_records_alone(
    toy_task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from bench_toy import BY_RETURN, TINY

    monkeypatch.setattr(cli, '_preparation', lambda **_: TINY)
    monkeypatch.setitem(TASKS, BY_RETURN.name, '')  # so that it is taken out at the end
    del TASKS[BY_RETURN.name]
    own = ('--register', f'{BY_RETURN.name}=bench_toy:BY_RETURN', '--tasks', BY_RETURN.name)
    few = ('--humans', 'as_published', '--methods', 'iwr[epochs=2]', '--seeds', 2, '--workers', 1, '--episodes', 4)
    assert cli.main(_arguments('run', 'single', *own, *few, '--out', tmp_path)) == 0
    assert '6 of 6 cells are whole' in capsys.readouterr().out
    del TASKS[BY_RETURN.name]
    assert cli.main(_arguments('report', tmp_path, '--method', 'iwr[epochs=2]', '--json')) == 0
    (entry,) = json.loads(capsys.readouterr().out)['comparisons']
    assert (entry['tasks'][BY_RETURN.name]['metric'], list(entry['overall'])) == ('return', ['iwr[epochs=2]', 'no_training', 'expert'])
    assert entry['overall']['expert']['iqm'] == pytest.approx(1.0), 'the scale of a return ends at the expert'
    assert toy_task in TASKS


@pytest.mark.parametrize(
    ('given', 'asked_for'), [((), ['as_published']), (('--humans', 'delayed', 'q_threshold'), ['delayed', 'q_threshold'])]
)
def test_quick_is_of_one_human_unless_others_are_named(
    toy_task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: tuple[str, ...], asked_for: list[str]
) -> None:
    seen: list[str] = []

    def noted(_: Path, cells: list[Cell], *__: object, **___: object) -> list[str]:
        seen.extend(dict.fromkeys(cell.human for cell in cells if cell.human != NO_HUMAN))
        return []

    monkeypatch.setattr(run, 'run_comparison', noted)
    monkeypatch.setattr(run, 'prepare_all', lambda *_, **__: ([], {}))
    assert cli.main(_arguments('run', 'single', '--tasks', toy_task, '--quick', *given, '--out', tmp_path)) == 0
    assert seen == asked_for


def test_the_command_tunes_and_compares(
    toy_task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from bench_toy import TINY

    def answer(*arguments: str) -> dict[str, Any]:
        parser = argparse.ArgumentParser()
        add_arguments(parser)
        common = ['--tasks', toy_task, '--humans', 'as_published', '--methods', 'iwr[epochs=2]', '--seeds', '1', '--workers', '1', '--json']
        assert cli.main(parser.parse_args([*arguments, *common])) == 0
        return json.loads(capsys.readouterr().out)

    monkeypatch.setattr(cli, '_preparation', lambda **_: TINY)
    grid, out = tmp_path / 'grid', tmp_path / 'out'
    found = answer('tune', 'single', '--out', str(grid), '--rates', '1e-5', '1e-2', '--episodes', '4')
    assert set(found['scores'][toy_task]['iwr[epochs=2]']) == {'0.00001', '0.01'}
    ran = answer('run', 'single', '--out', str(out), '--tuned', str(grid), '--episodes', '4')
    assert (ran['failed'], ran['trainings'], ran['warnings']) == ([], 1, {})
    (used,) = {r['configuration']['learning_rate'] for c in read_results(out) for r in c.of('fit')}
    assert used == found['chosen'][toy_task]['iwr[epochs=2]']['learning_rate']
    monkeypatch.setenv('MILE_HOME', str(tmp_path / 'elsewhere'))
    assert answer('run', 'single', '--out', str(out), '--tuned', str(grid), '--episodes', '4')['cells'] == 3
    assert not (tmp_path / 'elsewhere').exists(), 'cells that are whole need no preparation'
