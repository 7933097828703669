"""What a comparison runs, from what is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mile_learner.bench.cells import QUICK_EPOCHS, RunOptions, fit
from mile_learner.bench.suites import Cell, cells_of, configured, suite_named, with_demonstrations
from mile_learner.bundle import Bundle
from mile_learner.config import ConfigError
from mile_learner.methods import METHODS
from mile_learner.methods.base import InterventionData


def test_what_is_named_twice_is_run_once() -> None:
    names: dict[str, Any] = {'tasks': ['drawer_open'] * 2, 'humans': ['delayed'] * 2, 'seeds': [0, 1]}
    cells = cells_of(
        suite_named('single'), methods=['iwr', 'iwr', 'mile[epochs=2,std_gradient=true]', 'mile[epochs=2, std_gradient=true]'], **names
    )
    assert [(cell.method, cell.seed) for cell in cells] == [
        (method, seed) for seed in (0, 1) for method in ('no_training', 'expert', 'iwr', 'mile[epochs=2,std_gradient=true]')
    ]


def test_any_suite_takes_the_numbers_of_demonstrations_that_are_named() -> None:
    suite = with_demonstrations(suite_named('single'), [5, 0, 5], tasks=['drawer_open'], states=20)
    cells = cells_of(suite, tasks=['drawer_open'], humans=['delayed'], methods=['iwr'], seeds=[0])
    assert [(cell.method, cell.demonstrations) for cell in cells] == [('no_training', 0), ('expert', 0), ('iwr', 5), ('iwr', 0)]


@pytest.mark.parametrize(
    ('method', 'words'),
    [
        ('mile[c_scale=abc]', "c_scale: got 'abc', expected float"),
        ('mile[c_scale=-1]', 'c_scale: got -1.0, expected > 0.0'),
        ('mile_iwr[c_scale=.nan]', 'expected a finite number'),
        ('iwr[c_scale=2]', "got c_scale, expected none: iwr trains without a model of the human's decisions"),
        ('iwr[mental_start=shown]', 'got mental_start, expected none'),
        ('mile[mental_start=warm]', "mental_start: got 'warm', expected one of 'copy', 'shown'"),
    ],
)
def test_what_a_learner_believes_is_checked_before_anything_runs(method: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configured(method, 'drawer_open')
    assert words in str(caught.value)


def test_numbers_with_an_exponent_are_numbers() -> None:
    assert configured('mile[learning_rate=1e-3,c_scale=1e-1]', 'drawer_open').to_mapping()['learning_rate'] == 1e-3


@pytest.mark.parametrize(('method', 'epochs'), [('iwr', QUICK_EPOCHS), ('iwr[epochs=3]', 3)])
def test_quick_trains_little_where_the_method_does_not_say_how_long(
    monkeypatch: pytest.MonkeyPatch, make_bundle: Callable[..., Bundle], method: str, epochs: int
) -> None:
    monkeypatch.setattr(type(METHODS['iwr']), 'fit', lambda *_, **__: make_bundle())
    actions, steps = np.zeros((2, 4), np.float32), np.arange(2)
    data = InterventionData(*[np.zeros((2, 12), np.float32)] * 2, actions, actions, steps > 0, *[steps] * 3, *[steps > 0] * 3)
    records: list[dict[str, Any]] = []
    fit(Cell('single', 'drawer_open', 'delayed', method, 0), data, make_bundle(), 1, RunOptions(quick=True), records.append)
    assert records[0]['configuration']['epochs'] == epochs
