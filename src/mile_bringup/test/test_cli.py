"""The mile command as a black box: bad input is one line that says what was got, what was expected, what to do, and exit code 2."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from mile_bringup.cli import VERBS, build_parser, main
from mile_learner.run_folder import Run

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENT = {**os.environ, 'PYTHONPATH': os.pathsep.join(map(str, sorted(ROOT.glob('src/mile_*'))))}


def exit_code(arguments: list[str]) -> int:
    """What the command exits with, be it by returning or by raising, as argparse does."""
    try:
        return main(arguments)
    except SystemExit as error:
        return int(error.code or 0)


@pytest.mark.parametrize(
    ('arguments', 'line'),
    [
        (['fly'], "invalid choice: 'fly'"),
        (['bench', 'run', 'singel', '--out', 'out'], "mile bench run: suite: got 'singel', expected one of single"),
        (['deploy', '--speed', 'fast'], "argument --speed: invalid float value: 'fast'"),
        (['deploy', '--speed', '1000'], 'speed: got 1000.0, expected >= 0.1 and <= 50.0'),
        (['deploy', '--rate', '3'], 'rate_hz: got 3.0, expected >= 5.0'),
        (['deploy', '--operator', 'nobody'], "argument --operator: invalid choice: 'nobody'"),
        (['deploy', '--task', 'cooking'], "task: got 'cooking', expected block_insertion, or the path of a .yaml file"),
        (['deploy', '--pad', 'pad_short.yaml'], 'motion_axes: got 2 values, expected 3'),
        (['deploy', '--mode', 'demonstrate', '--pad', 'pad_few.yaml'], 'start: got button 9, expected one below 9'),
        (['deploy', '--pad', 'pad_typo.yaml'], "unknown key 'takover'; did you mean 'takeover'?"),
        (['deploy', '--task', 'task_nan.yaml'], 'workspace_low: got nan, expected a finite number'),
        (['deploy', '--task', 'task_typo.yaml'], "unknown key 'step_sise_m'; did you mean 'step_size_m'?"),
        (['deploy', '--run', '.'], 'exists and is not a run; give a new folder'),
        (['deploy', '--namespace', 'bad name'], "namespace: got 'bad name', expected a letter, and then letters, digits and underscores"),
        (['deploy', '--params-file', 'nope.yaml'], "nope.yaml', expected the path of a .yaml file"),
        (['train', '.'], 'is not a run folder (no run.yaml)'),
        (['import', '--from', 'robomimic', 'nope.hdf5', '--run', 'new'], 'nope.hdf5: is not there'),
        (['inspect', 'run', '--invariants', '--plot', 'p.png'], '--invariants: got --check or --plot with it, expected it alone'),
        (['inspect', 'run', '--plot', 'run/p.txt'], 'run/p.txt, expected the name of a .png file'),
        (['inspect', 'run', '--plot', 'no/p.png'], 'no/p.png, expected the name of a .png file in a folder that is there'),
        (['eval', 'run'], 'no policy flies yet; clone a first one from demonstrations with `mile train'),
        (['eval', '.', '--episodes', '0'], 'argument --episodes: got 0, expected 1 to 100000'),
        (['policies', '.', 'promote'], 'expected: promote VERSION'),
        (['policies', 'nowhere'], 'is not a run folder (no run.yaml)'),
        (['inspect', 'nowhere'], 'is not a whole bag'),
        (['train', '.', '--set', 'epochs=[1'], "--set: got 'epochs=[1'"),
        (['calibrate', '.'], 'is not a run folder (no run.yaml)'),
        (['calibrate', '.', '--rate', '1'], "argument --rate: got '1', expected a number from 0.001 to 0.999"),
        (['calibrate', '.', '--mental-model', 'none'], "argument --mental-model: invalid choice: 'none'"),
        (['deploy', '--operator-name', '7'], "operator_name: got '7', expected a letter first"),
    ],
    ids=lambda value: ' '.join(value) if isinstance(value, list) else '',
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: list[str], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pad = yaml.safe_load((ROOT / 'config' / 'pad_ps3.yaml').read_text())
    for name, wrong in (('short', {'motion_axes': [1, 0]}), ('few', {'buttons': 9}), ('typo', {'takover': 5})):
        (tmp_path / f'pad_{name}.yaml').write_text(yaml.safe_dump(pad | wrong))
    task = yaml.safe_load((ROOT / 'config' / 'task_block_insertion.yaml').read_text())
    for name, wrong in (('nan', {'workspace_low': [0.1, float('nan'), 0.1]}), ('typo', {'step_sise_m': 0.005})):
        (tmp_path / f'task_{name}.yaml').write_text(yaml.safe_dump(task | wrong))
    Run.create(tmp_path / 'run', {'seed': 0, 'task': task})
    (tmp_path / 'something').touch()
    before = sorted(tmp_path.iterdir())
    monkeypatch.chdir(tmp_path)
    assert exit_code(arguments) == 2
    output = capsys.readouterr()
    assert line in output.err
    assert len(output.err.splitlines()) == 1
    assert output.out == ''
    assert sorted(tmp_path.iterdir()) == before, 'nothing was made'


def test_what_the_system_refuses_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / 'file').touch()
    assert exit_code(['deploy', '--run', str(tmp_path / 'file' / 'run')]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f'mile deploy: {tmp_path}/file/run/policies: Not a directory; give a path that can be used, on a disk with space'


def test_a_full_standard_output_is_one_line(tmp_path: Path) -> None:
    Run.create(tmp_path, {})
    command = [sys.executable, '-m', 'mile_bringup.cli', 'policies', str(tmp_path)]
    with Path('/dev/full').open('w') as full:
        result = subprocess.run(command, env=ENVIRONMENT, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        'mile policies: standard output: No space left on device; the work is done, what it found out is lost'
    ]


def test_a_run_without_a_policy_that_flies_can_be_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Run.create(tmp_path, {})
    assert exit_code(['policies', str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == 'there is none yet'


def test_a_run_keeps_its_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / 'run.yaml').write_text('deployment: {seed: 3}\n')
    assert exit_code(['deploy', '--run', str(tmp_path), '--seed', '4']) == 2
    assert 'got seed 4, but this run has 3; leave the option out' in capsys.readouterr().err


NESTED = {'bench': ('prepare', 'run', 'report', 'rollouts', 'latency'), 'encoder': ('check',)}
COMMANDS = [[verb] for verb in VERBS if verb not in NESTED] + [[verb, name] for verb, names in NESTED.items() for name in names]


@pytest.mark.parametrize('command', COMMANDS, ids=' '.join)
def test_help_says_what_a_verb_does(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code([*command, '--help']) == 0
    assert '--json' in capsys.readouterr().out


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser, and those of its verbs."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for verb in action.choices.values():
                yield from parsers(verb)


def test_no_option_takes_the_place_of_what_a_verb_runs() -> None:
    found = list(parsers(build_parser()))
    assert len(found) > len(VERBS)
    assert [parser.prog for parser in found for action in parser._actions if action.dest in ('run', 'json') and action.nargs != 0] == []


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    code = (
        'import sys; from mile_bringup.cli import build_parser; build_parser(); '
        'heavy = {"torch", "rclpy", "mujoco", "numpy", "matplotlib", "scipy", "rosbags"} & set(sys.modules); '
        'sys.exit(repr(heavy) if heavy else 0)'
    )
    result = subprocess.run([sys.executable, '-c', code], env=ENVIRONMENT, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_an_interrupted_comparison_says_that_the_same_command_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr('mile_learner.bench.cli._run', interrupted)
    assert exit_code(['bench', 'run', 'single', '--out', 'out']) == 1
    assert capsys.readouterr().err == 'mile bench run: interrupted; the same command goes on where it was\n'
