"""Processes of this machine, or a Ray cluster, that work through a list of jobs."""

from __future__ import annotations

import importlib
import multiprocessing
import re
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from mile_learner.errors import LearnerError
from mile_learner.processes import make_pool

Job = TypeVar('Job')
Result = TypeVar('Result')


def on_processes(
    function: Callable[[Job], Result], jobs: Sequence[Job], workers: int, died: Callable[[Job], Result]
) -> Iterator[Result | None]:
    """Results as they come, and None about once a second in between; when it is left early, what runs is ended.

    A process that is killed takes its pool with it. The jobs that were under way are then run again, each alone; one whose process is
    killed again has the result `died(job)`.
    """
    waiting = deque(jobs)
    while waiting:
        for job in (yield from _on_pool(function, waiting, workers)):
            if (yield from _on_pool(function, deque([job]), 1)):
                yield died(job)


def _on_pool(function: Callable[[Job], Result], waiting: deque[Job], workers: int) -> Generator[Result | None, None, list[Job]]:
    """Results of the jobs, which are taken from `waiting`; returns those that were under way when a process was killed."""
    pool = make_pool(min(workers, len(waiting)))
    running: dict[Future[Result], Job] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                running[pool.submit(function, waiting[0])] = waiting[0]
                waiting.popleft()
            for future in wait(running, timeout=1.0, return_when=FIRST_COMPLETED).done:
                result = future.result()
                del running[future]
                yield result
            yield None
    except BrokenProcessPool:
        return list(running.values())
    except BaseException:
        for child in multiprocessing.active_children():
            child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    return []


def check_ray(address: str) -> None:
    """Refuse what cannot be an address of Ray, before anything else is done.

    Raises:
        LearnerError: Ray is not installed, or no such address.
    """
    if not re.fullmatch(r'auto|local|ray://[^/\s:]+:\d+', address):
        msg = f'--ray: got {address!r}, expected auto, local, or ray://host:port'
        raise LearnerError(msg)
    _ray()


def on_ray(
    function: Callable[[Job], Result], jobs: Sequence[Job], address: str, workers: int, died: Callable[[Job], Result]
) -> Iterator[Result | None]:
    """The same on a Ray cluster, one core per job; one whose worker or machine dies under it is run again, once.

    Args:
        function: of one job; this repository must be importable on the cluster's machines.
        jobs: sent to them.
        address: 'local' starts Ray here; 'auto' and 'ray://host:port' join a cluster.
        workers: of a local Ray; a cluster has its own.
        died: the result of a job that died again.

    Raises:
        LearnerError: Ray is not installed, or does not answer.
    """
    ray = _ray()
    where = {'num_cpus': workers} if address == 'local' else {'address': address}
    try:
        ray.init(**where, log_to_driver=False)
    except (OSError, ValueError, RuntimeError) as error:
        msg = f'--ray: got {address!r}, where no Ray answers ({" ".join(str(error).split())}); start one, or use --workers'
        raise LearnerError(msg) from error
    try:
        remote = ray.remote(num_cpus=1, max_retries=1)(function)
        pending = {remote.remote(job): job for job in jobs}
        while pending:
            for future in ray.wait(list(pending), timeout=1.0)[0]:
                job = pending.pop(future)
                try:
                    result = ray.get(future)
                except _deaths(ray):
                    result = died(job)
                yield result
            yield None
    finally:
        ray.shutdown()


def _deaths(ray: Any) -> tuple[type[Exception], ...]:
    """What Ray raises where a job ended with its worker, for want of memory or with its machine; not what the job itself raised."""
    errors = ray.exceptions
    return errors.WorkerCrashedError, errors.OutOfMemoryError, errors.NodeDiedError, errors.ObjectLostError


def _ray() -> Any:
    try:
        return importlib.import_module('ray')
    except ImportError as error:
        msg = 'ray: is not installed; `pip install ray` into this environment, or use the processes of this machine (--workers)'
        raise LearnerError(msg) from error
