"""Simulated time follows the clock."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mile_sim.errors import SimError
from mile_sim.pacing import Pacing


@given(st.lists(st.floats(0.0, 0.02), min_size=1, max_size=100), st.floats(0.1, 10.0))
def test_it_hands_out_speed_times_the_time_that_passed_in_whole_steps(waits: list[float], speed: float) -> None:
    pacing = Pacing(speed, 0.002)
    now = 100.0
    assert pacing.due(now) == 0
    total = 0.0
    for wait in waits:
        now += wait
        due = pacing.due(now)
        assert due / 0.002 == pytest.approx(round(due / 0.002), abs=1e-6)
        total += due
    passed = speed * (now - 100.0)
    assert passed - 0.002 - 1e-6 <= total <= passed + 1e-6


def test_a_standstill_is_not_caught_up_with() -> None:
    pacing = Pacing(1.0, 0.002, largest_lag_s=0.1)
    pacing.due(0.0)
    assert pacing.due(60.0) == pytest.approx(0.1)
    assert pacing.due(60.01) == pytest.approx(0.01)


def test_a_speed_of_zero_is_refused() -> None:
    with pytest.raises(SimError, match='got speed 0'):
        Pacing(0.0, 0.002)
