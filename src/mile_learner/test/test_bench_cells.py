"""What happens within one cell of a comparison."""

from __future__ import annotations

from mile_learner.bench.cells import Record, RunOptions, fit
from mile_learner.bench.prepare import humans_for, prepare
from mile_learner.bench.rollouts import to_data
from mile_learner.bench.suites import Cell


def test_before_the_human_has_acted_no_method_learns(toy_task: str) -> None:
    from bench_toy import TINY

    prepared = prepare(toy_task, 0, TINY, humans=humans_for(['as_published']))
    start = prepared.bundle('as_published')
    data = to_data(prepared.task, prepared.play(prepared.starts['train'][:2], bundle=start), iteration=1, first=0)
    for method in ('mile', 'bc_all', 'bc_intervention', 'dagger'):
        records: list[Record] = []
        assert fit(Cell('single', toy_task, 'as_published', method, 0), data, start, 1, RunOptions(), records.append) is start
        assert (records[0]['interventions'], records[0]['metrics']) == (0, {})
