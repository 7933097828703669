"""When disk or memory run out a person is told so in one line, and nothing half-written is left."""

from __future__ import annotations

import argparse
import errno
import json
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mile_learner.bench import cli
from mile_learner.bench.cli_arguments import add_arguments
from mile_learner.bundle import Bundle
from mile_learner.errors import LearnerError
from mile_learner.files import remedy


def test_a_policy_for_which_the_disk_has_no_room(tmp_path: Path, make_bundle: Callable[..., Bundle]) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(LearnerError, match=r'v000: cannot be written .* free the disk'):
            make_bundle().save(tmp_path / 'v000')
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())
    make_bundle().save(tmp_path / 'v000')
    assert Bundle.load(tmp_path / 'v000').manifest.version == 'v000'


def test_a_folder_that_is_not_writable_is_not_taken_for_a_full_disk() -> None:
    assert remedy(OSError(errno.EACCES, 'Permission denied')) == 'make its folder writable'
    assert remedy(OSError(errno.ENOSPC, 'No space left on device')) == 'free the disk'


def test_a_report_for_which_the_disk_has_no_room(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head = {'suite': 'single', 'task': 'door', 'human': 'as_published', 'method': 'mile', 'seed': 0, 'demonstrations': 0}
    tested = {'kind': 'test', 'iteration': 1, 'start': 0, 'success': True, 'return': 0.0}
    (tmp_path / 'cells').mkdir()
    (tmp_path / 'cells' / 'single-door-as_published-mile-d0-s0.jsonl').write_text(
        '\n'.join(map(json.dumps, (head | {'options': {'quick': False}}, tested)))
    )
    parser = argparse.ArgumentParser(prog='mile bench')
    add_arguments(parser)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        assert cli.main(parser.parse_args(['report', str(tmp_path)])) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("mile bench report: got 'File too large' while writing")
    assert not (tmp_path / 'report.md').exists()


@pytest.mark.parametrize(
    'error', [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")]
)
def test_a_training_for_which_there_is_no_memory(error: Exception, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip('rclpy')
    from mile_msgs.action import Train

    from mile_learner import learner_node

    def out_of_memory(*_: Any, **__: Any) -> None:
        raise error

    (tmp_path / 'run.yaml').write_text('{}')
    monkeypatch.setattr(learner_node, 'train', out_of_memory)
    job = learner_node.Job(Train.Goal(run_dir=str(tmp_path)))
    job.stop()
    assert not job.result.success
    assert 'memory' in job.result.message
    assert '\n' not in job.result.message
