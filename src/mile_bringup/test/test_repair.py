"""`mile repair` on a run: every torn attempt is salvaged once, whatever was tidied away between."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from mile_msgs.msg import Step
from rclpy.serialization import serialize_message

from mile_bringup.cli import main
from mile_learner.bags import read_metadata
from mile_learner.run_folder import Run
from mile_teleop.bag_metadata import Topic
from mile_teleop.bag_writer import BagWriter
from mile_teleop.message_types import load_types

TYPES = load_types(Path(__file__).parents[2] / 'mile_msgs' / 'msg')
STEP = Topic('/mile/step', 'mile_msgs/msg/Step', essential=True, depth=1000)
CUSTOM = {'task': 'toy', 'episode_id': 'e0'}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / 'run', {'seed': 0, 'task': {}})


def tear(run: Run, steps: int, *, killed: bool = False) -> Path:
    """An attempt at the first episode that is not whole; that of a killed recorder is not set aside yet."""
    writer = BagWriter(run.episode_path(0, 0), [STEP], TYPES, CUSTOM)
    for index in range(steps):
        writer.write(STEP.name, serialize_message(Step(episode_id='e0', index=index)), 1000 + index)
    torn = writer.leave(CUSTOM)
    return torn.rename(writer.folder) if killed else torn


def repair(path: Path) -> dict[str, int]:
    """Steps of what was salvaged, by the name of the salvaged bag."""
    command = [sys.executable, '-m', 'mile_bringup.cli', 'repair', str(path), '--json']
    found: list[dict[str, Any]] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)['episodes']
    return {Path(one['path']).name: one['steps'] for one in found}


def inspect(run: Run) -> str:
    with redirect_stdout(StringIO()) as said:
        assert main(['inspect', str(run.path)]) == 0
    return said.getvalue()


def test_what_is_torn_after_older_attempts_were_tidied_away_is_salvaged(run: Run) -> None:
    first = tear(run, 3)
    tear(run, 4)
    inspected = inspect(run)
    assert 'not whole: iter_00/episode_000.torn-0, iter_00/episode_000.torn-1; unless recorded now: mile repair ' in inspected
    assert repair(run.path) == {'episode_000.salvaged-0': 3, 'episode_000.salvaged-1': 4}
    assert 'not whole' not in inspect(run)
    shutil.rmtree(first)
    assert tear(run, 5).name == 'episode_000.torn-2'
    tear(run, 6, killed=True)
    assert repair(run.path) == {'episode_000.salvaged-2': 5, 'episode_000.salvaged-3': 6}
    assert repair(run.path) == {}


def test_what_a_kill_left_is_salvaged_under_a_name_of_its_own_when_it_is_named(run: Run) -> None:
    tear(run, 3)
    assert repair(tear(run, 7, killed=True)) == {'episode_000.salvaged-1': 7}
    assert repair(run.path) == {'episode_000.salvaged-0': 3}
    assert len(run.salvaged()) == 2


def record(run: Run, index: int) -> Path:
    writer = BagWriter(run.episode_path(0, index), [STEP], TYPES, CUSTOM)
    for step in range(9):
        writer.write(STEP.name, serialize_message(Step(episode_id='e0', index=step)), 1000 + step)
    return writer.close({**CUSTOM, 'outcome': 'success', 'success': 'true', 'steps': '9'})


def test_a_bag_that_lost_its_metadata_is_in_nobodys_way_and_salvaged(run: Run) -> None:
    one, other = (record(run, index) for index in range(2))
    for bag in (one, other):
        (bag / 'metadata.yaml').unlink()
    assert repair(one) == {'episode_000.salvaged-0': 9}
    assert repair(run.path) == {'episode_001.salvaged-0': 9}
    assert not one.exists()


def test_a_whole_bag_that_was_damaged_since_is_set_aside_and_salvaged(run: Run) -> None:
    whole, one, other = (record(run, index) for index in range(3))
    assert repair(whole) == repair(run.path) == {}
    for bag in (one, other):
        file = bag / f'{bag.name}_0.mcap'
        with file.open('r+b') as handle:
            handle.truncate(file.stat().st_size * 2 // 3)
    assert list(repair(one)) == ['episode_001.salvaged-0']
    assert list(repair(run.path)) == ['episode_002.salvaged-0']
    assert run.bags() == [whole]
    metadata = read_metadata(one.with_name('episode_001.salvaged-0'))
    assert (metadata['outcome'], metadata['success']) == ('aborted', 'false')
    assert metadata['salvaged'].startswith('it was damaged later')
    assert len(run.salvaged()) == 2
