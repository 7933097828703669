"""Episodes per second: one environment at a time, a batch in lockstep, and a batch on each of several processes; the same episodes."""

from __future__ import annotations

import time

from mile_learner.bench.prepare import PrepareConfig, prepare
from mile_learner.bench.rollouts import BATCH, RolloutPool, run_episodes


def rollout_speed(task: str, *, episodes: int, workers: int, preparation: PrepareConfig) -> dict[str, float]:
    """Episodes per second of the initial policy of seed 0, per way; environments and processes are warm.

    Raises:
        LearnerError: unknown task, or a task that cannot be prepared.
    """
    prepared = prepare(task, 0, preparation)
    starts = (prepared.starts['train'] * (episodes // len(prepared.starts['train']) + 1))[:episodes]
    rates: dict[str, float] = {}
    for name, batch in (('loop', 1), ('lockstep', BATCH)):
        list(run_episodes(prepared.task, starts[:batch], bundle=prepared.initial, batch=batch))
        began = time.perf_counter()
        list(run_episodes(prepared.task, starts, bundle=prepared.initial, batch=batch))
        rates[name] = episodes / (time.perf_counter() - began)
    with RolloutPool(workers) as pool:
        pool.run(task, starts[: workers * BATCH], bundle=prepared.initial)
        began = time.perf_counter()
        pool.run(task, starts, bundle=prepared.initial)
        rates['processes'] = episodes / (time.perf_counter() - began)
    return rates
