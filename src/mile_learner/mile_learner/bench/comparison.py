"""What is worked out of one suite, human and number of demonstrations: estimates, intervals, pairwise verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mile_learner.bench.results import Table
from mile_learner.bench.statistics import interquartile_mean, interval, mean, paired_difference, probability_of_improvement
from mile_learner.bench.suites import REFERENCES

Report = dict[str, Any]


def comparison_numbers(table: Table, compared: str) -> Report:
    """Everything about one suite, human and number of demonstrations; `compared` against every other method.

    Scores are those of the task's metric: success, or return; where it is the return, `success` is there, too.
    """
    per_task: Report = {}
    for task in table.tasks:
        metric = table.metric(task)
        per_task[task] = {
            'seeds': table.seeds(task),
            'left_out': table.left_out(task),
            'metric': metric,
            'methods': {},
            'assisted': _assisted(table, task),
            'unpaired': table.unpaired(task),
        }
        for method in table.methods:
            if not table.seeds(task) or not table.cells_of(task, method):
                continue
            points = []
            for iteration in table.tested(task, method):
                point = {'iteration': iteration, **estimate(table.scores(task, method, iteration, metric))}
                if metric != 'success':
                    point['success'] = estimate(table.scores(task, method, iteration, 'success'))
                spent, steps = (table.spent(task, method, iteration, key).mean() for key in ('interventions', 'steps'))
                points.append({**point, 'interventions': float(spent), 'rate': float(spent / steps) if steps else 0.0})
            per_task[task]['methods'][method] = points
    entry: Report = {'suite': table.suite, 'human': table.human, 'demonstrations': table.demonstrations, 'tasks': per_task}
    everywhere = [method for method in table.methods if _tasks_of(table) and _tasks_of(table, method) == _tasks_of(table)]
    entry['overall'] = {method: _overall(table, method) for method in everywhere}
    shared = {method: _tasks_of(table, compared, method) for method in table.methods if method != compared}
    if compared not in REFERENCES and any(shared.values()):
        entry['compared'] = compared
        entry['against'] = {method: _against(table, tasks, compared, method) for method, tasks in shared.items() if tasks}
    return entry


def _against(table: Table, tasks: list[str], compared: str, method: str) -> Report:
    first, other = ([table.judged(task, name) for task in tasks] for name in (compared, method))
    steps = [table.step(task) for task in tasks]
    difference = paired_difference(first, other, steps=steps)
    return {
        'probability_of_improvement': list(probability_of_improvement(first, other)),
        'paired_difference': list(difference),
        'verdict': verdict(*difference[1:]),
        'tasks': {
            task: list(paired_difference([a], [b], steps=[step])) for task, a, b, step in zip(tasks, first, other, steps, strict=True)
        },
    }


def verdict(low: float, high: float) -> str:
    """What the interval of a difference says in plain words."""
    return 'ahead' if low > 0 else 'behind' if high < 0 else 'undecided'


def reached(methods: Mapping[str, list[Report]]) -> str:
    """After which iteration each method's mean success was first that of the expert; empty where methods are tested only once."""
    expert, learners = methods.get('expert'), {name: points for name, points in methods.items() if len(points) > 1}
    if not expert or not learners:
        return ''
    first = {
        name: next((str(point['iteration']) for point in points if point['mean'] >= expert[0]['mean']), 'never')
        for name, points in learners.items()
    }
    return f"The expert's mean success was reached after iteration: {', '.join(f'{name} {when}' for name, when in first.items())}."


def estimate(values: Any) -> Report:
    """Mean over the seeds with its interval, and every seed's value."""
    low, high = interval([values], mean)
    return {'mean': float(values.mean()), 'low': low, 'high': high, 'per_seed': [float(value) for value in values]}


def _tasks_of(table: Table, *methods: str) -> list[str]:
    """The tasks on which all of these methods were compared; where the return counts, only with the references that give it its scale."""
    needed = {task: methods if table.metric(task) == 'success' else (*methods, *REFERENCES) for task in table.tasks}
    return [task for task, names in needed.items() if table.seeds(task) and all(table.cells_of(task, name) for name in names)]


def _overall(table: Table, method: str) -> Report:
    values = [table.judged(task, method) for task in _tasks_of(table, method)]
    low, high = interval(values, interquartile_mean)
    return {'iqm': float(interquartile_mean(*values)), 'low': low, 'high': high}


def _assisted(table: Table, task: str) -> Report:
    """Of the episodes of the first iteration, which are the same for every method: the initial policy with the human's help."""
    cells = [cell for cell in table.cells if cell.task == task and cell.seed in table.seeds(task)]
    episodes = {(cell.seed, r['start']): r for cell in cells for r in cell.of('collect', 1)}
    if not episodes:
        return {'episodes': 0, 'succeeded': 0, 'mean': 0.0, 'rate': 0.0}
    spent, steps = (sum(r[key] for r in episodes.values()) for key in ('interventions', 'steps'))
    metric = table.metric(task)
    return {
        'episodes': len(episodes),
        'succeeded': sum(r['success'] for r in episodes.values()),
        'mean': float(np.mean([r[metric] for r in episodes.values()])),
        'rate': spent / steps,
    }
