"""The raw records of a comparison, read back and put in order; the report is made from these alone."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mile_learner.bench.suites import NO_HUMAN, REFERENCES, Cell, suite_named
from mile_learner.bench.tasks import METRICS, TASKS, get_task
from mile_learner.errors import LearnerError, quoted
from mile_learner.plain_text import load_json

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class CellResult:
    """One whole cell.

    Attributes:
        suite, task, human, method, seed, demonstrations: as in `mile_learner.bench.suites.Cell`.
        records: all of them, in order.
        quick: made with little effort, to see that it works.
        chosen: options that `mile bench tune` chose, by task and method, as JSON; empty if nothing was tuned.
        grids: what they were chosen from, by task and method, as JSON; empty if it does not say.
        networks: hash of what it shares with all cells of its task and seed, as the initial policy; empty if it does not say.
        shared: the same as cells said it before, with the time of its making in it: equal ones are of one preparation, others need not
            differ.
        made_with: see `mile_learner.bench.provenance`; empty if it does not say.
        metric: 'success' or 'return': what its task is judged by; empty if it does not say.
    """

    suite: str
    task: str
    human: str
    method: str
    seed: int
    demonstrations: int
    records: list[dict[str, Any]]
    quick: bool = False
    chosen: str = ''
    grids: str = ''
    networks: str = ''
    shared: str = ''
    made_with: dict[str, str] = field(default_factory=dict)
    metric: str = ''

    @property
    def name(self) -> str:
        """As `mile_learner.bench.suites.Cell.name`."""
        return Cell(self.suite, self.task, self.human, self.method, self.seed, self.demonstrations).name

    def of(self, kind: str, iteration: int | None = None) -> list[dict[str, Any]]:
        """The records of a kind, and of an iteration if given."""
        return [r for r in self.records if r['kind'] == kind and (iteration is None or r['iteration'] == iteration)]

    def tested(self) -> list[int]:
        """After which iterations the policy was tested."""
        return sorted({r['iteration'] for r in self.of('test')})

    def score(self, iteration: int, key: str = 'success') -> float:
        """Mean of the test episodes' success or return."""
        return float(np.mean([r[key] for r in self.of('test', iteration)]))

    @property
    def step(self) -> float:
        """What its last success rate comes in: 1 / test episodes."""
        return 1 / len(self.of('test', self.tested()[-1]))

    def spent(self, iteration: int, key: str = 'interventions') -> int:
        """Steps with an intervention, or all steps, up to and including an iteration, demonstrations included."""
        seen = [*self.of('collect'), *self.of('demonstration')]
        return sum(r[key] for r in seen if r['iteration'] <= iteration)


def read_results(out: Path) -> list[CellResult]:
    """Every whole cell in a comparison's folder.

    Raises:
        LearnerError: there is none, or one is not what `mile bench run` wrote.
    """
    results = [_read(path) for path in sorted((out / 'cells').glob('*.jsonl'))]
    if not results:
        msg = f'{out}: holds no whole cell; run `mile bench run SUITE --out {quoted(out)}` first'
        raise LearnerError(msg)
    return results


def _read(path: Path) -> CellResult:
    try:
        head, *records = [load_json(line) for line in path.read_text(encoding='utf-8').splitlines()]
        keys = ('suite', 'task', 'human', 'method', 'seed', 'demonstrations')
        options = {'chosen': '', 'grids': '', **head['options']}  # a cell from before there was tuning does not name it
        made = {key: head[key] for key in ('networks', 'shared', 'made_with', 'metric') if key in head}
        made |= {key: options[key] for key in ('quick', 'chosen', 'grids')}
        cell = CellResult(**{key: head[key] for key in keys}, records=records, **made)
        _check_whole(cell, options.get('test'))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f'{path}: is not a whole cell of a comparison ({error}); delete it and resume the comparison'
        raise LearnerError(msg) from error
    if path.stem != cell.name:
        msg = f'{path}: got the records of {cell.name}, expected them in {cell.name}.jsonl alone; delete it if it is a copy, else rename it'
        raise LearnerError(msg)
    return cell


def _check_whole(cell: CellResult, test: int | None) -> None:
    """Refuse a cell that lacks episodes or predictions, as one that was cut at the end of a line; `test`: test episodes per tested policy.

    Raises:
        ValueError: it lacks some, is of an unknown suite, or is judged by what no record has.
        KeyError, TypeError, AttributeError: records that are none.
    """
    suite = suite_named(cell.suite)
    if cell.metric not in ('', *METRICS):
        msg = f'metric: got {cell.metric!r}, expected one of {", ".join(METRICS)}'
        raise ValueError(msg)
    tested = Counter(r['iteration'] for r in cell.records if r['kind'] == 'test' and math.isfinite(r['success'] + r['return']))
    planned = suite.test_at if cell.human != NO_HUMAN else (0,)
    for iteration in planned if test is not None else ():
        if tested[iteration] != test:
            msg = f'got {tested[iteration]} test episodes after iteration {iteration}, expected {test}'
            raise ValueError(msg)
    predicted = Counter(r['iteration'] for r in cell.of('prediction'))
    for iteration in range(2, suite.iterations + 1) if suite.prediction else ():
        if predicted[iteration] != max(predicted[2], 1):
            msg = f'got {predicted[iteration]} predictors in iteration {iteration}, expected {max(predicted[2], 1)}'
            raise ValueError(msg)


@dataclass(frozen=True)
class Table:
    """The cells of one suite, one human and one number of demonstrations, with the references of the same suite."""

    suite: str
    human: str
    demonstrations: int
    cells: Sequence[CellResult]

    @property
    def tasks(self) -> list[str]:
        """In the order of their names."""
        return sorted({cell.task for cell in self.cells if cell.human == self.human})

    @property
    def methods(self) -> list[str]:
        """MILE first, then by name; the references last."""
        names = {cell.method for cell in self.cells} - set(REFERENCES)
        references = [name for name in REFERENCES if any(cell.method == name for cell in self.cells)]
        return [*sorted(names, key=lambda name: (not name.startswith('mile'), name)), *references]

    def cells_of(self, task: str, method: str) -> list[CellResult]:
        """By seed."""
        return sorted((c for c in self.cells if c.task == task and c.method == method), key=lambda c: c.seed)

    def seeds(self, task: str) -> list[int]:
        """The seeds for which every method of the task is whole: comparisons are paired."""
        by_method = self._seeds_by_method(task).values()
        return sorted(set.intersection(*by_method)) if by_method else []

    def left_out(self, task: str) -> dict[int, list[str]]:
        """The seeds of some method that do not count, with the methods and references that lack them."""
        by_method = self._seeds_by_method(task)
        ran = set[int]().union(*(seeds for method, seeds in by_method.items() if method not in REFERENCES))
        lacking = {seed: [method for method, seeds in by_method.items() if seed not in seeds] for seed in sorted(ran)}
        return {seed: methods for seed, methods in lacking.items() if methods}

    def _seeds_by_method(self, task: str) -> dict[str, set[int]]:
        """Of the methods and references that were run on the task."""
        found = {method: {cell.seed for cell in self.cells_of(task, method)} for method in self.methods}
        return {method: seeds for method, seeds in found.items() if seeds}

    def scores(self, task: str, method: str, iteration: int | None = None, key: str = 'success') -> Scores:
        """One score per common seed; at the last tested iteration by default."""
        common = set(self.seeds(task))
        cells = [cell for cell in self.cells_of(task, method) if cell.seed in common]
        return np.array([cell.score(cell.tested()[-1] if iteration is None else iteration, key) for cell in cells])

    def metric(self, task: str) -> str:
        """What the task is judged by, success or return, as its cells say; where none does, as the registry says, else success.

        Raises:
            LearnerError: its cells do not agree.
        """
        told = sorted({cell.metric for cell in self.cells if cell.task == task} - {''})
        if len(told) > 1:
            msg = f'{task}: got cells judged by {" and others by ".join(told)}, expected one of these; compare them in folders of their own'
            raise LearnerError(msg)
        if told:
            return told[0]
        return get_task(task).metric if task in TASKS else 'success'

    def judged(self, task: str, method: str) -> Scores:
        """What verdicts are about, per common seed: success; or the return, where 0 is the mean of the initial policies and 1 the experts'.

        The references must be there for a return.
        """
        metric = self.metric(task)
        scores = self.scores(task, method, key=metric)
        if metric == 'success':
            return scores
        initial, expert = (self.scores(task, name, key=metric).mean() for name in REFERENCES)
        return np.asarray((scores - initial) / (expert - initial))

    def step(self, task: str) -> float:
        """What the scores that verdicts are about come in: 1 / test episodes for success, the fewest of any cell; 0 for a return."""
        if self.metric(task) != 'success':
            return 0.0
        return max(cell.step for cell in self.cells if cell.task == task)

    def unpaired(self, task: str) -> list[str]:
        """Cells of which something that all methods of a seed share is not as in most of them.

        That is what was prepared, the first episodes, for which all methods fly the initial policy, and the start states of the last test.
        """
        found = []
        for seed in self.seeds(task):
            cells = [cell for cell in self.cells if (cell.task, cell.seed) == (task, seed)]
            first = {cell.method: json.dumps(episodes) for cell in cells if (episodes := cell.of('collect', 1))}
            prepared = {cell.method: cell.networks for cell in cells if cell.networks}
            tested = {cell.method: json.dumps([episode['start'] for episode in cell.of('test', cell.tested()[-1])]) for cell in cells}
            odd = {*_unusual(first), *_unusual(prepared), *_unusual(tested)}
            found += [f'{cell.method} of seed {seed}' for cell in cells if cell.method in odd]
        return found

    def spent(self, task: str, method: str, iteration: int, key: str = 'interventions') -> Scores:
        """Interventions, or all steps, spent per common seed."""
        common = set(self.seeds(task))
        return np.array([cell.spent(iteration, key) for cell in self.cells_of(task, method) if cell.seed in common], dtype=np.float64)

    def tested(self, task: str, method: str) -> list[int]:
        """Iterations at which every seed of a method was tested."""
        return self.cells_of(task, method)[0].tested() if self.cells_of(task, method) else []


def _unusual(values: Mapping[str, str]) -> list[str]:
    """The keys of all values but the most frequent one."""
    usual = Counter(values.values()).most_common(1)
    return [key for key, value in values.items() if value != usual[0][0]]


def doubtful_references(results: Sequence[CellResult]) -> dict[str, list[int]]:
    """The seeds, by "REFERENCE on TASK", of the references that cannot be held against the methods beside them.

    Not both say comparably what they were prepared from, and a reference has no episodes with a human that could be compared instead.
    """
    helped: dict[tuple[str, str, int], list[CellResult]] = {}
    for cell in results:
        if cell.human != NO_HUMAN:
            helped.setdefault((cell.suite, cell.task, cell.seed), []).append(cell)
    found: dict[str, list[int]] = {}
    for cell in sorted(results, key=lambda cell: cell.seed):
        beside = helped.get((cell.suite, cell.task, cell.seed), [])
        if cell.human == NO_HUMAN and beside and not _comparable(cell, beside):
            found.setdefault(f'{cell.method} on {cell.task}', []).append(cell.seed)
    return found


def _comparable(reference: CellResult, methods: Sequence[CellResult]) -> bool:
    """Whether one of them says what it was prepared from as the reference does, or nobody says it."""
    if not any(cell.networks or cell.shared for cell in (reference, *methods)):
        return True
    return any((reference.networks and cell.networks) or (reference.shared and cell.shared == reference.shared) for cell in methods)


def assumed_metrics(results: Sequence[CellResult]) -> list[str]:
    """The tasks of which neither a cell nor the registry says what policies are judged by; success is assumed."""
    judged = {cell.task for cell in results if not suite_named(cell.suite).prediction}
    return sorted(judged - {cell.task for cell in results if cell.metric} - set(TASKS))


def tables(results: Sequence[CellResult]) -> list[Table]:
    """Everything that is to be compared with each other."""
    keys = {(r.suite, r.human, r.demonstrations) for r in results if r.human != NO_HUMAN}
    keys |= {(r.suite, NO_HUMAN, 0) for r in results if all(r.suite != suite for suite, _, _ in keys)}
    found = []
    for suite, human, count in sorted(keys):
        chosen = [r for r in results if r.suite == suite and (r.human == NO_HUMAN or (r.human, r.demonstrations) == (human, count))]
        found.append(Table(suite, human, count, chosen))
    return found
