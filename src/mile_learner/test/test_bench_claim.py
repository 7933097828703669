"""What a comparison refuses before it prepares anything: the folder, its options, Ray's address, tasks that were not tuned."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from mile_learner.bench import cli
from mile_learner.bench.cells import RunOptions
from mile_learner.bench.claim import claimed
from mile_learner.bench.cli_arguments import add_arguments
from mile_learner.bench.prepare import PrepareConfig
from mile_learner.errors import LearnerError

CHOSEN = {'drawer_open': {'mile': {'learning_rate': 1e-3}, 'mile[epochs=7]': {'learning_rate': 1e-4}}}


@pytest.fixture(autouse=True)
def _nothing_is_prepared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv('MILE_HOME', str(tmp_path / 'home'))
    monkeypatch.setattr('mile_learner.bench.run.prepare_all', lambda *_, **__: pytest.fail('was prepared'))


@pytest.fixture
def tuned(tmp_path: Path) -> Path:
    """Folder of a tuning on one task, with one method and one variant of it."""
    folder = tmp_path / 'tuned'
    folder.mkdir()
    (folder / 'chosen.json').write_text(json.dumps({'chosen': CHOSEN}))
    return folder


def _refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line that a command ends with."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert cli.main(parser.parse_args(list(map(str, arguments)))) == 2
    error = capsys.readouterr().err
    assert error.count('\n') == 1
    return error


def test_a_task_that_was_not_tuned_is_refused_and_the_command_that_tunes_it_named(
    tmp_path: Path, tuned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ('run', 'single', '--tuned', tuned, '--out', tmp_path / 'out', '--methods')
    error = _refused(capsys, *run, 'iwr[learning_rate=0.1]', 'iwr[epochs=9]', '--tasks', 'drawer_open', 'button_press')
    assert f'got {tuned} for iwr[epochs=9] on button_press, expected one of its tasks (drawer_open)' in error
    assert "`mile bench tune single --tasks button_press --methods 'iwr[epochs=9]' --out DIR`" in error
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('content', ['{"chosen": []}', '{"chosen": {"drawer_open": {"mile": 3}}}', '{"chosen": {"drawer_open": 3}}', '{'])
def test_what_no_tuning_wrote_is_refused(tmp_path: Path, tuned: Path, capsys: pytest.CaptureFixture[str], content: str) -> None:
    (tuned / 'chosen.json').write_text(content)
    assert 'expected what `mile bench tune SUITE' in _refused(capsys, 'run', 'single', '--tuned', tuned, '--out', tmp_path / 'out')


@pytest.mark.parametrize('grids', ['3', '{"door": {"iwr": {"rates": ["much"], "quick": false}}}', '{"door": {"iwr": {"rates": [0.1]}}}'])
def test_grids_that_no_tuning_wrote_are_refused(tmp_path: Path, tuned: Path, capsys: pytest.CaptureFixture[str], grids: str) -> None:
    (tuned / 'chosen.json').write_text(f'{{"chosen": {json.dumps(CHOSEN)}, "grids": {grids}}}')
    assert 'expected what `mile bench tune SUITE' in _refused(capsys, 'run', 'single', '--tuned', tuned, '--out', tmp_path / 'out')


def test_what_was_chosen_with_quick_is_refused_without(tmp_path: Path, tuned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grids = {task: {method: {'rates': [1e-3], 'seeds': 1, 'quick': True} for method in methods} for task, methods in CHOSEN.items()}
    (tuned / 'chosen.json').write_text(json.dumps({'chosen': CHOSEN, 'grids': grids}))
    error = _refused(capsys, 'run', 'single', '--tuned', tuned, '--out', tmp_path / 'out', '--tasks', 'drawer_open', '--methods', 'mile')
    assert f'--tuned: got {tuned}, where --quick chose' in error
    assert not (tmp_path / 'out').exists()


def test_from_what_was_chosen_makes_no_other_comparison(tmp_path: Path) -> None:
    with claimed(tmp_path, RunOptions(chosen=json.dumps(CHOSEN)), PrepareConfig()):
        pass
    with claimed(tmp_path, RunOptions(chosen=json.dumps(CHOSEN), grids='{"drawer_open": {}}'), PrepareConfig()):
        pass


def test_other_options_are_named_with_both_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with claimed(tmp_path, RunOptions(test=50, chosen=json.dumps(CHOSEN)), PrepareConfig()):
        pass
    for arguments, words in {
        ('--episodes', '40'): 'options.test is 50 there and 40 here',
        (): 'options.chosen.drawer_open.mile.learning_rate is 0.001 there and not given here',
    }.items():
        assert words in _refused(capsys, 'run', 'single', '--out', tmp_path, *arguments)


def test_options_from_before_one_was_added_have_its_default(tmp_path: Path) -> None:
    with claimed(tmp_path, RunOptions(), PrepareConfig()):
        there = json.loads((tmp_path / 'run.json').read_text())
    del there['options']['chosen'], there['preparation']['pilots']
    (tmp_path / 'run.json').write_text(json.dumps(there))
    with claimed(tmp_path, RunOptions(), PrepareConfig()):
        pass
    with (
        pytest.raises(LearnerError, match=r'preparation\.pilots is 8 there and 9 here'),
        claimed(tmp_path, RunOptions(), PrepareConfig(pilots=9)),
    ):
        pass


@pytest.mark.parametrize(
    'content', ['', '{', '[]', '{"options": {"speed": 1}, "preparation": {}}', '{"options": {"chosen": "{"}, "preparation": {}}']
)
def test_a_damaged_run_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str) -> None:
    (tmp_path / 'run.json').write_text(content)
    assert 'is not what `mile bench run` writes' in _refused(capsys, 'run', 'single', '--out', tmp_path)


def test_a_folder_has_one_process_at_a_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with claimed(tmp_path, RunOptions(), PrepareConfig()):
        assert 'another process works on it' in _refused(capsys, 'run', 'single', '--out', tmp_path)


def test_folders_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / 'file'
    file.touch()
    for out in (file, file / 'below'):
        assert f'--out: got {out}, which cannot be written' in _refused(capsys, 'run', 'single', '--out', out)
    monkeypatch.setenv('MILE_HOME', str(file))
    assert f'MILE_HOME: got {file / "bench"}, which cannot be written' in _refused(capsys, 'run', 'single', '--out', tmp_path / 'out')


@pytest.mark.parametrize('address', ['nonsense', '127.0.0.1:1', 'ray://host'])
def test_what_is_no_address_of_ray(tmp_path: Path, capsys: pytest.CaptureFixture[str], address: str) -> None:
    error = _refused(capsys, 'run', 'single', '--out', tmp_path / 'out', '--ray', address)
    assert f'--ray: got {address!r}, expected auto, local, or ray://host:port' in error
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(('arguments', 'states'), [((), 100), (('--quick',), 10)])
def test_no_more_test_episodes_than_start_states(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], states: int
) -> None:
    error = _refused(capsys, 'run', 'single', '--out', tmp_path / 'out', '--episodes', '101', *arguments)
    assert f'--episodes: got 101, expected at most {states}' in error


@pytest.mark.parametrize(
    ('suite', 'numbers', 'quick', 'words'),
    [
        ('single', ('0', '386'), (), 'got 386, expected at most 385: single collects from the rest of 400 start states'),
        ('iterative', ('21',), ('--quick',), 'got 21, expected at most 20: iterative collects from the rest of 40 start states'),
        ('prediction', ('2',), (), 'got 2, expected none with prediction'),
    ],
)
def test_demonstrations_have_start_states_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], suite: str, numbers: tuple[str, ...], quick: tuple[str, ...], words: str
) -> None:
    error = _refused(capsys, 'run', suite, '--out', tmp_path / 'out', *quick, '--demonstrations', *numbers)
    assert error == f'mile bench run: --demonstrations: {words}\n'
    assert not (tmp_path / 'out').exists()
