"""What the progress bar of a comparison counts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mile_learner.bench.cells import RunOptions
from mile_learner.bench.run import run_comparison
from mile_learner.bench.suites import cells_of, suite_named

OPTIONS = RunOptions(test=6)


def test_what_a_killed_comparison_left_of_other_cells_is_no_progress_of_this_one(
    toy_task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from bench_toy import TINY

    cells = cells_of(suite_named('single'), tasks=[toy_task], humans=['as_published'], methods=['iwr'], seeds=[0])
    (tmp_path / 'cells').mkdir()
    left = tmp_path / 'cells' / f'.{cells[-1].name}.part'
    left.write_text('{"kind": "test", "iteration": 0}\n' * 500)
    assert run_comparison(tmp_path, cells[:2], OPTIONS, TINY, workers=1, progress=True) == []
    shown = capsys.readouterr().err.split('\r')
    assert '| 12/12 [' in shown[-1]
    assert left.exists()


def test_episodes_alone_are_counted(
    toy_task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the cell itself, its trainings, their warnings, and the predictions."""
    from bench_toy import TINY

    monkeypatch.setattr('mile_learner.bench.run.MOST_OFTEN', 0.0)
    (cell,) = cells_of(suite_named('prediction'), tasks=[toy_task], humans=['as_published'], methods=['mile[epochs=1]'], seeds=[0])
    assert run_comparison(tmp_path, [cell], OPTIONS, TINY, workers=1, progress=True) == []
    shown = [int(count) for count in re.findall(r'(\d+)(?:/10|episode) \[', capsys.readouterr().err)]
    assert list(dict.fromkeys(shown)) == list(range(11)), 'five iterations of two episodes'
