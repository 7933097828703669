"""A process that is killed costs the job that it was at, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from mile_learner.bench.run import prepare_all
from mile_learner.bench.workers import on_processes, on_ray

KILLED = '__import__("os")._exit(9)'


def _all(jobs: list[str], workers: int) -> list[object]:
    """What becomes of Python expressions in processes of their own."""
    return [result for result in on_processes(eval, jobs, workers, lambda job: f'died: {job[:6]}') if result is not None]


def test_the_other_jobs_have_their_results() -> None:
    jobs = ['10 + 1', '10 + 2', KILLED, '10 + 3', KILLED, '10 + 4']
    assert sorted(map(str, _all(jobs, 2))) == ['11', '12', '13', '14', 'died: __impo', 'died: __impo']


def test_a_job_is_run_again_before_it_counts_as_failed(tmp_path: Path) -> None:
    path = f'__import__("pathlib").Path({str(tmp_path / "once")!r})'
    assert _all([f'7 if {path}.exists() else {path}.touch() or {KILLED}', '8'], 2).count(7) == 1


def test_an_error_of_the_job_itself_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        _all(['1 / 0', '1'], 2)


def _all_on_ray(jobs: list[str]) -> list[object]:
    """The same on a local Ray of two workers; a function of this module is not importable there, a lambda is sent along."""
    return [result for result in on_ray(lambda text: eval(text), jobs, 'local', 2, lambda job: f'died: {job[:6]}') if result is not None]


@pytest.mark.slow
def test_a_worker_of_ray_that_is_killed_costs_its_job_alone(tmp_path: Path) -> None:
    path = f'__import__("pathlib").Path({str(tmp_path / "once")!r})'
    jobs = ['10 + 1', KILLED, '10 + 2', f'13 if {path}.exists() else {path}.touch() or {KILLED}', '10 + 4']
    assert sorted(map(str, _all_on_ray(jobs))) == ['11', '12', '13', '14', 'died: __impo']
    with pytest.raises(ZeroDivisionError):
        _all_on_ray(['1 / 0', '1'])


def test_a_task_that_breaks_while_it_is_prepared_is_named_with_the_line_that_broke(toy_task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench_toy import TINY, PointExpert

    def breaks(*_: object) -> None:
        msg = 'two\nlines'
        raise RuntimeError(msg)

    monkeypatch.setattr(PointExpert, '__call__', breaks)
    accounts, failed = prepare_all([(toy_task, 77)], TINY, humans=['as_published'], workers=1, progress=False)
    assert accounts == []
    assert failed[toy_task, 77].startswith(f'{toy_task}: RuntimeError: two lines ({__file__}:')
