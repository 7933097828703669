"""The bisection of a human's dial, of which the rate of interventions is a given function."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mile_learner.bench import calibration
from mile_learner.bench.calibration import Dial, calibrate_human
from mile_learner.bench.human_config import HumanConfig
from mile_learner.bench.tasks import get_task
from mile_learner.errors import LearnerError

END = 20.0
"""Of the range of as_published where actions are discrete."""
WANTED = 0.25


def _calibrated(monkeypatch: pytest.MonkeyPatch, rate_of: Callable[[float], float]) -> Dial:
    def played(*_: object, supervisor: Any, **__: object) -> list[Any]:
        return [SimpleNamespace(intervening=np.arange(1000) < 1000 * rate_of(supervisor.dial), success=True)]

    monkeypatch.setattr(calibration, 'make_human', lambda *given, **_: SimpleNamespace(dial=given[3]))
    monkeypatch.setattr(calibration, 'run_episodes', played)
    nobody: Any = None
    config = HumanConfig(gate='as_published', rate=WANTED)
    return calibrate_human(get_task('lunar_lander'), 'as_published', config, nobody, nobody, [], seed=0)


def test_the_search_goes_on_above_the_range_where_a_human_acts_too_often_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    found = _calibrated(monkeypatch, lambda dial: min(0.3 * 30.0 / dial, 1.0))
    assert found.reached
    assert found.dial == pytest.approx(30.0 * 0.3 / WANTED, rel=0.15)
    dials = [dial for dial, *_ in found.tried]
    assert max(dials[:8]) < END < min(dials[8:])


@pytest.mark.parametrize('rate_of', [lambda dial: 0.5 if dial < 15.0 else 0.1, lambda dial: min(WANTED * 10.0 / dial, 1.0)])
def test_a_range_that_suffices_is_not_left(monkeypatch: pytest.MonkeyPatch, rate_of: Callable[[float], float]) -> None:
    found = _calibrated(monkeypatch, rate_of)
    assert len(found.tried) <= 8
    assert max(dial for dial, *_ in found.tried) < END


def test_a_human_who_acts_too_often_at_every_dial_is_refused_with_the_end_of_the_range(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LearnerError, match=r'as_published: intervention rates 0.90, .* at dials to 985, where their range ends') as caught:
        _calibrated(monkeypatch, lambda _: 0.9)
    assert '\n' not in str(caught.value)
