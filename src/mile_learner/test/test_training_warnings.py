"""What the guards say of the trainings of a comparison."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mile_learner.bench.cells import RunOptions
from mile_learner.bench.report import make_report
from mile_learner.bench.results import read_results
from mile_learner.bench.run import run_comparison
from mile_learner.bench.suites import cells_of, suite_named
from mile_learner.bench.training_warnings import count_warnings, warnings_text
from mile_learner.bundle import Bundle
from mile_learner.methods import METHODS


def _run(out: Path, task: str, methods: Sequence[str]) -> list[str]:
    """One seed of each method; the names of the cells that failed."""
    from bench_toy import TINY

    cells = cells_of(suite_named('single'), tasks=[task], humans=['as_published'], methods=methods, seeds=[0])
    return run_comparison(out, cells, RunOptions(test=4), TINY, workers=1, progress=False)


def test_weights_that_are_not_finite_fail_their_cell_in_one_line(toy_task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    works = type(METHODS['iwr']).fit

    def breaks(*args: Any, **options: Any) -> Bundle:
        bundle = works(*args, **options)
        bundle.policy.body[0].weight.data[0, 0] = math.nan
        return bundle

    monkeypatch.setattr(type(METHODS['iwr']), 'fit', breaks)
    (failed,) = _run(tmp_path, toy_task, ['iwr[epochs=1]'])
    why = (tmp_path / 'failed' / f'{failed}.txt').read_text()
    assert why == 'training: the policy has non-finite weights, nothing was saved; lower the learning rate\n'
    assert count_warnings(tmp_path) == (0, {})


def test_warnings_are_recorded_for_each_training_and_counted(toy_task: str, tmp_path: Path) -> None:
    methods = ('iwr[epochs=1]', 'bc_intervention[epochs=1]', 'mile[epochs=3]', 'mile[epochs=3,c_scale=0.01]')
    assert _run(tmp_path, toy_task, methods) == []
    records = {cell.method: cell.of('warnings') for cell in read_results(tmp_path)}
    said = {method: [text.partition(':')[0] for record in of for text in record['warnings']] for method, of in records.items()}
    assert {method: len(of) for method, of in records.items()} == dict.fromkeys(methods, 1) | {'no_training': 0, 'expert': 0}
    assert said[methods[0]] == said[methods[1]] == []
    assert said[methods[2]] == ['mental distance'], 'so few epochs leave the policy where it was'
    assert said[methods[3]] == ['floor', 'mental distance'], 'a hundredth of c asks for more interventions than are wanted'
    trainings, counts = count_warnings(tmp_path)
    assert warnings_text(trainings, counts) == 'trainings watched: 4; warnings: mental distance in 2, floor in 1'


def test_cells_from_before_there_were_guards_are_read(toy_task: str, tmp_path: Path) -> None:
    assert _run(tmp_path, toy_task, ['iwr[epochs=1]']) == []
    assert count_warnings(tmp_path) == (1, {})
    for path in (tmp_path / 'cells').iterdir():
        lines = path.read_text().splitlines(keepends=True)
        path.write_text(''.join(line for line in lines if json.loads(line)['kind'] != 'warnings'))
    trainings, counts = count_warnings(tmp_path)
    assert warnings_text(trainings, counts) == 'trainings watched: 0; warnings: none'
    assert make_report(tmp_path)['comparisons']
