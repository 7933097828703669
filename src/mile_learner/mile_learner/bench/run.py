"""Preparing and running the cells of a comparison; what was killed resumes by starting it again.

DIR/run.json              the options; a comparison cannot be resumed with others
DIR/cells/<cell>.jsonl    one whole cell: its episodes, its trainings, what the guards say of these; a record a line
DIR/cells/.<cell>.part    a cell that is being run on this machine
DIR/failed/<cell>.txt     why a cell failed; it is tried again when the comparison is resumed
"""

from __future__ import annotations

import dataclasses
import json
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mile_learner.bench.cells import Record, RunOptions, run_cell
from mile_learner.bench.prepare import Note, PrepareConfig, is_whole, parts_done, parts_of, prepare, prepared_path, silent
from mile_learner.bench.rollouts import start_worker
from mile_learner.bench.suites import SUITES, Cell, planned_episodes
from mile_learner.bench.tasks import TASKS, check_names
from mile_learner.bench.workers import on_processes, on_ray
from mile_learner.errors import LearnerError
from mile_learner.files import write_atomically

MOST_OFTEN = 1.0 if sys.stderr.isatty() else 10.0
"""How often a bar is drawn at most [s]; in a file each time is another line."""
EPISODES = ('collect', 'demonstration', 'test')
"""Kinds of records that are one."""
DIED = 'its process was killed, twice; is there enough memory for so many --workers?'


@dataclasses.dataclass(frozen=True)
class PrepareJob:
    """One preparation, for a worker."""

    task: str
    seed: int
    config: PrepareConfig
    humans: Sequence[str]
    tasks: dict[str, str]


def prepare_all(
    pairs: Sequence[tuple[str, int]], config: PrepareConfig, *, humans: Sequence[str], workers: int, progress: bool = True
) -> tuple[list[dict[str, Any]], dict[tuple[str, int], str]]:
    """Prepare every pair of task and seed with these humans, with a progress bar on standard error.

    Returns:
        The accounts, with their folders; and why a task and seed could not be prepared.

    Raises:
        LearnerError: unknown task.
    """
    check_names([task for task, _ in pairs], tuple(TASKS), 'task')
    folders = [prepared_path(task, seed, config) for task, seed in pairs]
    jobs = [PrepareJob(task, seed, config, humans, dict(TASKS)) for task, seed in pairs]
    missing = [job for job, folder in zip(jobs, folders, strict=True) if not is_whole(folder, humans)]
    failed: dict[tuple[str, int], str] = {}
    results: Iterator[tuple[str, int, str] | None]
    bar_options: dict[str, Any] = {'unit': 'part', 'desc': 'preparing', 'miniters': 0, 'mininterval': MOST_OFTEN, 'disable': not progress}
    with tqdm(total=sum(len(parts_of(task, humans)) for task, _ in pairs), **bar_options) as bar:

        def show(_: str = '') -> None:
            now = sum(parts_done(folder, task, humans) for folder, (task, _) in zip(folders, pairs, strict=True))
            bar.update(now - bar.n)

        if workers > 1:
            results = on_processes(prepare_job, missing, workers, lambda job: (job.task, job.seed, f'{job.task}: {DIED}'))
        else:
            results = (prepare_job(job, show) for job in missing)
        for result in results:
            if result is not None and result[2]:
                failed[result[0], result[1]] = result[2]
            show()
    whole = [(folder, pair) for folder, pair in zip(folders, pairs, strict=True) if pair not in failed]
    return [{'folder': str(folder), **prepare(task, seed, config, humans=humans).account()} for folder, (task, seed) in whole], failed


def prepare_job(job: PrepareJob, note: Note = silent) -> tuple[str, int, str]:
    """Prepare one task and seed in this process; the last value says in one line why it cannot be, and is empty where it is.

    Of an error in the task's own code the line says its kind and where it was raised.
    """
    start_worker(job.tasks)
    try:
        prepare(job.task, job.seed, job.config, humans=job.humans, note=note)
    except LearnerError as error:
        return job.task, job.seed, str(error)
    except Exception as error:  # noqa: BLE001 - one task that breaks must not end the preparation of others; it is reported
        last = traceback.extract_tb(error.__traceback__)[-1]
        return job.task, job.seed, f'{job.task}: {type(error).__name__}: {" ".join(str(error).split())} ({last.filename}:{last.lineno})'
    return job.task, job.seed, ''


@dataclasses.dataclass(frozen=True)
class Job:
    """One cell, for a worker anywhere."""

    cell: Cell
    options: RunOptions
    preparation: PrepareConfig
    tasks: dict[str, str]
    part: str | None


def missing_cells(out: Path, cells: Iterable[Cell]) -> list[Cell]:
    """Those that are not whole in `out` yet."""
    return [cell for cell in cells if not (out / 'cells' / f'{cell.name}.jsonl').is_file()]


def run_comparison(
    out: Path,
    cells: Sequence[Cell],
    options: RunOptions,
    preparation: PrepareConfig,
    *,
    workers: int,
    ray: str | None = None,
    progress: bool = True,
) -> list[str]:
    """Run every cell that is not whole in `out` yet; returns the names of those that failed.

    Args:
        out: folder of the comparison, which the caller has claimed.
        cells: which.
        options: of all cells.
        preparation: of all tasks and seeds; what is missing of it is made.
        workers: processes of this machine; 1: this process.
        ray: address of a Ray cluster to use instead, see `mile_learner.bench.workers.on_ray`.
        progress: whether to draw a bar on standard error.

    Raises:
        LearnerError: no Ray, or none at its address.
    """
    folder = out / 'cells'
    folder.mkdir(parents=True, exist_ok=True)
    (out / 'failed').mkdir(exist_ok=True)
    missing = missing_cells(out, cells)
    jobs = [Job(cell, options, preparation, dict(TASKS), None if ray else str(folder / f'.{cell.name}.part')) for cell in missing]
    parts = [Path(job.part) for job in jobs if job.part is not None]
    planned = {cell: planned_episodes(cell, SUITES[cell.suite], options.test) for cell in cells}
    done = sum(planned.values()) - sum(planned[cell] for cell in missing)
    failed = []
    bar_options: dict[str, Any] = {'unit': 'episode', 'smoothing': 0.05, 'miniters': 0, 'mininterval': MOST_OFTEN, 'disable': not progress}
    with tqdm(total=sum(planned.values()), initial=done, **bar_options) as bar:

        def show() -> None:
            now = done + sum(_episodes(path) for path in parts if path.is_file())
            bar.update(now - bar.n)

        for outcome in _outcomes(jobs, workers, ray, show):
            if outcome is not None:
                cell, result = outcome
                done += planned[cell]
                failure = out / 'failed' / f'{cell.name}.txt'
                if isinstance(result, str):
                    failed.append(cell.name)
                    write_atomically(failure, result.encode())
                else:
                    lines = ''.join(json.dumps(record, allow_nan=False) + '\n' for record in result)
                    write_atomically(folder / f'{cell.name}.jsonl', lines.encode())
                    failure.unlink(missing_ok=True)
                (folder / f'.{cell.name}.part').unlink(missing_ok=True)
            bar.set_postfix_str(f'{len(failed)} failed' if failed else '', refresh=False)
            show()
    return failed


def _episodes(part: Path) -> int:
    """How many of its records are episodes; others are of the cell, trainings, warnings and predictions."""
    content = part.read_bytes()
    return sum(content.count(b'{"kind": "%s", ' % kind.encode()) for kind in EPISODES)


def reasons(out: Path, failed: Iterable[str]) -> dict[str, list[str]]:
    """The failed cells by why: the last line of what is kept of each."""
    found: dict[str, list[str]] = {}
    for name in failed:
        lines = (out / 'failed' / f'{name}.txt').read_text(encoding='utf-8').split('\n')
        found.setdefault(next((line.strip() for line in reversed(lines) if line.strip()), 'no reason given'), []).append(name)
    return found


def _outcomes(
    jobs: Sequence[Job], workers: int, ray: str | None, show: Callable[[], object]
) -> Iterator[tuple[Cell, list[Record] | str] | None]:
    """What `run_job` returns, as it comes; a single worker is this process, which shows every episode itself."""
    if ray:
        yield from on_ray(run_job, jobs, ray, workers, _died)
    elif workers > 1:
        yield from on_processes(run_job, jobs, workers, _died)
    else:
        yield from (run_job(job, show) for job in jobs)


def _died(job: Job) -> tuple[Cell, str]:
    return job.cell, DIED


def run_job(job: Job, show: Callable[[], object] | None = None) -> tuple[Cell, list[Record] | str]:
    """Run one cell in this process: its records, or why it failed; `show` is called after every record."""
    start_worker(job.tasks)
    records: list[Record] = []
    with nullcontext() if job.part is None else Path(job.part).open('w', encoding='utf-8') as part:

        def keep(record: Record) -> None:
            records.append(record)
            if part is not None:
                part.write(json.dumps(record) + '\n')
                part.flush()
            if show is not None:
                show()

        try:
            run_cell(job.cell, job.options, job.preparation, keep)
        except LearnerError as error:
            return job.cell, f'{error}\n'
        except Exception:  # noqa: BLE001 - one failed cell must not end the comparison; it is reported and tried again
            return job.cell, traceback.format_exc()
    return job.cell, records
