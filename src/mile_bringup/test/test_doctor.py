"""What the doctor says about this machine, about hardware that is not there, and how it maps a pad."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mile_bringup.cli import main
from mile_bringup.doctor import Health
from mile_bringup.doctor_hardware import HARDWARE, arm, camera
from mile_teleop.pad import Button, PadConfig
from mile_teleop.pad_device import PadState

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENT = {**os.environ, 'PYTHONPATH': os.pathsep.join(map(str, sorted(ROOT.glob('src/mile_*'))))}


def doctor(cwd: Path, *options: str) -> tuple[int, dict[str, dict[str, str]]]:
    """Exit code, and the checks by name."""
    command = [sys.executable, '-m', 'mile_bringup.cli', 'doctor', '--json', *options]
    result = subprocess.run(command, env=ENVIRONMENT, cwd=cwd, capture_output=True, text=True, check=False)
    return result.returncode, {check['name']: check for check in json.loads(result.stdout)['checks']}


def test_whatever_is_wrong_or_missing_comes_with_the_next_thing_to_do(tmp_path: Path) -> None:
    code, checks = doctor(tmp_path)
    assert checks['ros']['health'] == checks['messages']['health'] == 'ok'
    assert set(HARDWARE) < set(checks)
    assert all(bool(check['do']) is (check['health'] != 'ok') for check in checks.values())
    assert code == (1 if {'missing', 'FAIL'} & {check['health'] for check in checks.values()} else 0)


def test_a_simulation_misses_no_hardware(tmp_path: Path) -> None:
    _, checks = doctor(tmp_path, '--sim')
    assert not set(HARDWARE) & set(checks)
    assert 'missing' not in {check['health'] for check in checks.values()}


def test_hardware_that_is_not_there(tmp_path: Path) -> None:
    for finding in (camera(str(tmp_path / 'video0')), arm(tmp_path / 'ttyDXL')):
        assert finding.health is Health.MISSING
        assert str(tmp_path) in finding.detail
        assert finding.do


def test_an_arm_behind_a_slow_adapter(tmp_path: Path) -> None:
    (tmp_path / 'ttyUSB3').touch()
    (tmp_path / 'ttyDXL').symlink_to('ttyUSB3')
    timer = tmp_path / 'sys' / 'ttyUSB3' / 'latency_timer'
    timer.parent.mkdir(parents=True)
    timer.write_text('16\n')
    finding = arm(tmp_path / 'ttyDXL', tmp_path / 'sys')
    assert finding.health is Health.FAIL
    assert 'latency timer of 16 ms' in finding.detail
    assert str(timer) in finding.do
    timer.write_text('1\n')
    assert arm(tmp_path / 'ttyDXL', tmp_path / 'sys').health is Health.OK


class FakePad:
    """Stands in for `PadDevice`: a pad with six axes and nine buttons that does what the wizard asks for, in its order."""

    name = 'fake pad'

    def __init__(self) -> None:
        rest = [0.0] * 6
        self._moves: list[tuple[list[float], list[int]]] = []
        for axis, way in ((1, 1.0), (1, -1.0), (0, 1.0), (0, -1.0), (4, -1.0), (4, 1.0)):
            self._moves += [([way * (number == axis) for number in range(6)], [0] * 9), (rest, [0] * 9)]
        for button in reversed(range(9)):
            self._moves += [(rest, [int(number == button) for number in range(9)]), (rest, [0] * 9)]
        self._begin = time.monotonic() + 1.5
        self.state = PadState((0.0,) * 6, (0,) * 9, connected=True, changed_at=0.0)

    def wait(self, timeout_s: float) -> list[PadState]:
        """At rest until the wizard knows its rest, then one change per call."""
        if time.monotonic() < self._begin or not self._moves:
            time.sleep(min(timeout_s, 0.05))
            return []
        axes, buttons = self._moves.pop(0)
        self.state = PadState(tuple(axes), tuple(buttons), connected=True, changed_at=time.monotonic())
        return [self.state]

    def close(self) -> None:
        """Nothing to let go of."""


def test_the_wizard_writes_a_mapping_that_deploy_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr('mile_teleop.pad_device.PadDevice', FakePad)
    file = tmp_path / 'mine.yaml'
    assert main(['doctor', '--pad', str(file), '--json']) == 0
    output = capsys.readouterr()
    config = PadConfig.from_yaml(file)
    assert (config.axes, config.buttons, config.motion_axes, config.motion_signs) == (6, 9, (1, 0, 4), (1, 1, -1))
    assert [config.index(button) for button in Button] == list(reversed(range(9)))
    assert json.loads(output.out)['file'] == str(file)
    assert 'takes over' in output.err


def test_a_wizard_that_cannot_write_asks_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['doctor', '--pad', str(tmp_path / 'nowhere' / 'pad.yaml')]) == 2
    assert 'expected the name of a .yaml or .yml file in a folder that is there' in capsys.readouterr().err
