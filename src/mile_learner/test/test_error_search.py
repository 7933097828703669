"""The search for a teacher's error: it finds every threshold, and goes on looking where luck decides."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mile_learner.bench.error_search import ErrorSearch
from mile_learner.bench.tasks import InitialRecipe


@given(threshold=st.floats(0.05, 3.95), guess=st.floats(0.1, 3.9))
def test_without_luck_it_is_bisection(threshold: float, guess: float) -> None:
    search = ErrorSearch(InitialRecipe(guess=guess, limit=4.0, longest=100))
    for _ in range(search.attempts(10)):
        search.judge(too_good=search.error < threshold)
    assert abs(search.error - threshold) <= 4.0 / 2**9
    assert search.attempts(10) == 10


@given(seed=st.integers(0, 10**6), threshold=st.floats(0.1, 0.9))
def test_where_luck_decides_it_stays_near_and_tries_several(seed: int, threshold: float) -> None:
    rng = np.random.default_rng(seed)
    search = ErrorSearch(InitialRecipe(guess=0.4, limit=1.0, longest=100, resolution=0.04))
    tried = []
    for _ in range(search.attempts(10)):
        tried.append(search.error)
        search.judge(too_good=bool(rng.normal(threshold, 0.05) > search.error))
    assert len(tried) == 30
    assert all(0.0 <= error <= 1.0 for error in tried)
    assert len({round(error, 2) for error in tried[10:]}) >= 3, 'bisection would have stayed at one'
    assert abs(np.mean(tried[10:]) - threshold) < 0.15
