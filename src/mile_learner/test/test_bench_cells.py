"""What happens within one cell of a comparison."""

from __future__ import annotations

import torch

from mile_learner.bench.cells import Record, RunOptions, first_bundle, fit
from mile_learner.bench.prepare import humans_for, prepare
from mile_learner.bench.rollouts import to_data
from mile_learner.bench.suites import Cell
from mile_learner.network import Policy


def test_before_the_human_has_acted_no_method_learns(toy_task: str) -> None:
    from bench_toy import TINY

    prepared = prepare(toy_task, 0, TINY, humans=humans_for(['as_published']))
    start = prepared.bundle('as_published')
    data = to_data(prepared.task, prepared.play(prepared.starts['train'][:2], bundle=start), iteration=1, first=0)
    for method in ('mile', 'bc_all', 'bc_intervention', 'dagger'):
        records: list[Record] = []
        assert fit(Cell('single', toy_task, 'as_published', method, 0), data, start, 1, RunOptions(), records.append) is start
        assert (records[0]['interventions'], records[0]['metrics']) == (0, {})


def test_what_a_learner_begins_with(toy_task: str) -> None:
    from bench_toy import TINY

    prepared = prepare(toy_task, 0, TINY, humans=humans_for(['as_published']))
    inputs = torch.zeros(1, prepared.initial.policy.architecture.input_dim)
    initial, watched = (policy(inputs).mode() for policy in (prepared.initial.policy, prepared.mental.policy))

    def mental(method: str) -> torch.Tensor:
        bundle = first_bundle(Cell('single', toy_task, 'as_published', method, 0), prepared)
        assert isinstance(bundle.mental_model, Policy)
        assert torch.equal(bundle.policy(inputs).mode(), initial)
        return bundle.mental_model(inputs).mode()

    assert torch.equal(mental('mile'), initial)
    shown = mental('mile[mental_start=shown]')
    assert not torch.equal(shown, initial), 'it is a clone, not a copy'
    assert not torch.equal(shown, watched), 'and not what the simulated human itself believes'
    c = [first_bundle(Cell('single', toy_task, 'as_published', method, 0), prepared).manifest.c for method in ('mile', 'mile[c_scale=2]')]
    assert c[1] == 2 * c[0]
