"""How interventions are predicted: nobody is asked about what it was trained on, and the two plain predictors are what they say."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from mile_learner.bench import cells
from mile_learner.bench.cells import Record, RunOptions, run_cell
from mile_learner.bench.prediction import calibrated, rate_predictions, scores
from mile_learner.bench.suites import Cell
from mile_learner.bundle import Bundle
from mile_learner.methods import METHODS
from mile_learner.methods.base import InterventionData
from mile_learner.methods.training import Report
from mile_learner.run_calibration import LoggedSteps
from mile_learner.step import Array

UNIT = 1.23e-6


class Constant(Bundle):
    """Foresees every step with the same probability."""

    p: float

    def act(self, stacked: Array) -> tuple[Array, Array]:
        """As the policy, (B, A), and p, (B,)."""
        return super().act(stacked)[0], np.full(len(stacked), self.p)


class Stub:
    """A method that learns nothing; its k-th training foresees k units, and it notes what it was trained on and went on from.

    Attributes:
        given: the iterations in the data, per training.
        made: start and result, per training.
    """

    predicts = True

    def __init__(self) -> None:
        self.given: list[list[int]] = []
        self.made: list[tuple[Bundle, Bundle]] = []

    def configure(self, task: str) -> Any:
        return METHODS['mile'].configure(task)

    def fit(self, data: InterventionData, start: Bundle, *, config: Any, seed: int, progress: Report | None = None) -> Bundle:  # noqa: ARG002
        bundle = Constant(start.policy, start.mental_model, start.manifest)
        self.given.append(sorted(set(data.iteration.tolist())))
        self.made.append((start, bundle))
        bundle.p = len(self.given) * UNIT
        return bundle


@pytest.fixture
def stubs(monkeypatch: pytest.MonkeyPatch) -> dict[str, Stub]:
    """The only methods that predict, by name."""
    for name in [name for name, method in METHODS.items() if getattr(method, 'predicts', False)]:
        monkeypatch.delitem(METHODS, name)
    stubs = {'stub': Stub(), 'rival': Stub()}
    for name, stub in stubs.items():
        monkeypatch.setitem(METHODS, name, stub)
    return stubs


def _records(task: str) -> list[Record]:
    from bench_toy import TINY

    records: list[Record] = []
    run_cell(Cell('prediction', task, 'as_published', 'stub', 0), RunOptions(), TINY, records.append)
    return records


def test_an_iteration_is_predicted_by_what_was_trained_on_those_before_it(toy_task: str, stubs: dict[str, Stub]) -> None:
    foreseen = [r for r in _records(toy_task) if r['kind'] == 'prediction']
    for name, stub in stubs.items():
        own = {r['iteration']: set(r['p']) for r in foreseen if r['predictor'] == name}
        assert list(own) == [2, 3, 4, 5]
        for iteration, (p,) in own.items():
            assert stub.given[round(p / UNIT) - 1] == list(range(1, iteration))
        assert len(stub.given) == 4, 'once for each iteration that is predicted'
        assert all(start is before for (_, before), (start, _) in pairwise(stub.made)), 'each training goes on from the last'


def test_a_recorded_probability_keeps_what_the_log_loss_sees(toy_task: str, stubs: dict[str, Stub]) -> None:
    told = [r['p'] for r in _records(toy_task) if r['kind'] == 'prediction' and r['predictor'] in stubs]
    assert {p for values in told for p in values} == {round(number * UNIT, 8) for number in (1, 2, 3, 4)}
    assert scores(np.array([told[0][0]]), np.ones(1))['log_loss'] == pytest.approx(-math.log(UNIT), rel=1e-3)


def test_c_and_sigma_are_fitted_to_steps_from_before(toy_task: str, stubs: dict[str, Stub], monkeypatch: pytest.MonkeyPatch) -> None:
    assert stubs
    fitted_to: list[int] = []

    def noted(bundle: Bundle, seen: list[LoggedSteps]) -> Bundle:
        fitted_to.append(sum(len(steps) for steps in seen))
        return calibrated(bundle, seen)

    monkeypatch.setattr(cells, 'calibrated', noted)
    records = _records(toy_task)
    steps = [sum(r['steps'] for r in records if r['kind'] == 'collect' and r['iteration'] == iteration) for iteration in range(1, 6)]
    assert fitted_to[0::2] == [sum(steps[:count]) for count in (1, 2, 3, 4)], 'calibrated: all that was trained on'
    assert fitted_to[1::2] == [sum(steps[1:count]) for count in (1, 2, 3, 4)], 'calibrated ahead: what was predicted before'


def _data(*nu: int) -> InterventionData:
    actions, steps, no = np.zeros((len(nu), 2), np.float32), np.arange(len(nu)), np.zeros(len(nu), bool)
    return InterventionData(actions, actions, actions, actions, np.array(nu, bool), *[steps] * 3, *[no] * 3)


@pytest.mark.parametrize(
    ('past', 'majority', 'rate'), [((1, 0, 0, 0, 1), 0.0, 0.4), ((1, 1, 0), 1.0, 2 / 3), ((1, 0), 0.0, 0.5), ((0, 0), 0.0, 0.0)]
)
def test_the_plain_predictors_by_hand(past: tuple[int, ...], majority: float, rate: float) -> None:
    now = _data(1, 1, 0, 1)
    assert rate_predictions('majority', _data(*past), now).tolist() == [majority] * 4
    assert rate_predictions('previous_rate', _data(*past), now) == pytest.approx(np.full(4, rate))


def test_a_majority_that_is_wrong_pays_as_much_as_can_be() -> None:
    past, now = _data(1, 0, 0, 0), _data(0, 0, 1, 0, 0)
    found = {name: scores(rate_predictions(name, past, now), now.intervening) for name in ('majority', 'previous_rate')}
    assert found['majority']['log_loss'] == pytest.approx(-math.log(1e-6) / 5, rel=1e-5)
    assert found['majority']['accuracy'] == pytest.approx(0.8)
    assert found['previous_rate']['log_loss'] == pytest.approx(-(math.log(0.25) + 4 * math.log(0.75)) / 5)
    assert found['previous_rate']['brier'] == pytest.approx((0.75**2 + 4 * 0.25**2) / 5)
