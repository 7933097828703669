"""The report of a comparison (Markdown, JSON, figures), made from its raw records alone."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mile_learner.bench import figures
from mile_learner.bench.prediction import SCORES, reliability, scores
from mile_learner.bench.results import Table, read_results, tables
from mile_learner.bench.statistics import interquartile_mean, interval, mean, paired_difference, probability_of_improvement
from mile_learner.bench.suites import REFERENCES, SUITES
from mile_learner.bench.tasks import TASKS, check_names, get_task
from mile_learner.files import write_atomically

Report = dict[str, Any]


def make_report(out: Path, method: str = 'mile', only: Sequence[str] = ()) -> Report:
    """Write report.md, report.json and figures/*.png into `out`, and return what is in the JSON.

    Args:
        out: folder of the comparison.
        method: which one is compared with every other, pair by pair.
        only: the methods that are shown, beside the references; by default all. Only seeds that are whole for all of them count.

    Raises:
        LearnerError: no whole cell, a damaged one, or none of a method that is named.
    """
    results = read_results(out)
    there = sorted({cell.method for cell in results} - set(REFERENCES))
    check_names(only, there, '--only')
    shown = [name for name in there if not only or name in only]
    if method != 'mile':
        check_names([method], shown, '--method')
    results = [cell for cell in results if cell.method in (*shown, *REFERENCES)]
    (out / 'figures').mkdir(exist_ok=True)
    report: Report = {'comparisons': [], 'predictions': []}
    lines = [
        '# Comparison',
        '',
        'Success of the last policy over the test episodes: mean over seeds, 95 % bootstrap interval. Rows of one table share',
        'initial policies, humans and start states, seed by seed. Interventions: steps on which the human acted.',
        '',
    ]
    if any(cell.quick for cell in results):
        lines += ['**Made with --quick: few epochs, episodes and pilots, to see that everything works. The numbers mean nothing.**', '']
    lines += tuning_text({cell.chosen for cell in results})
    for table in tables(results):
        if SUITES[table.suite].prediction:
            entry = prediction_numbers(table)
            report['predictions'].append(entry)
            lines += prediction_text(entry)
            figures.prediction(entry, out / 'figures' / f'{table.suite}-{table.human}.png')
        else:
            entry = comparison_numbers(table, method)
            report['comparisons'].append(entry)
            lines += comparison_text(entry)
    figures.comparisons(report['comparisons'], out / 'figures')
    names = sorted(path.name for path in (out / 'figures').glob('*.png'))
    lines += ['## Figures', '', *(f'![{name}](figures/{name})' for name in names), '']
    write_atomically(out / 'report.md', ('\n'.join(lines)).encode())
    write_atomically(out / 'report.json', (json.dumps(_finite(report), indent=1, allow_nan=False) + '\n').encode())
    return report


def tuning_text(chosen: Iterable[str]) -> list[str]:
    """Which options were tuned; `chosen` as in `CellResult`."""
    lines = []
    for text in sorted(filter(None, chosen)):
        lines += ['Chosen by `mile bench tune`, from one grid for every method, on seeds and start states of their own:', '']
        for task, methods in json.loads(text).items():
            told = '; '.join(f'{name} {", ".join(f"{key} {value:g}" for key, value in of.items())}' for name, of in methods.items())
            lines += [f'- {task}: {told}']
        lines.append('')
    return lines or ['Every method has the options of the paper (Table I) or, where that gives none, its defaults; nothing was tuned.', '']


def comparison_numbers(table: Table, compared: str) -> Report:
    """Everything about one suite, human and number of demonstrations; `compared` against every other method."""
    per_task: Report = {}
    for task in table.tasks:
        returns = task in TASKS and get_task(task).metric == 'return'
        per_task[task] = {'seeds': table.seeds(task), 'methods': {}, 'assisted': _assisted(table, task)}
        for method in table.methods:
            if not table.seeds(task) or not table.cells_of(task, method):
                continue
            points = []
            for iteration in table.tested(task, method):
                values = table.scores(task, method, iteration)
                point = {'iteration': iteration, **_estimate(values), 'interventions': float(table.spent(task, method, iteration).mean())}
                if returns:
                    point['return'] = _estimate(table.scores(task, method, iteration, 'return'))
                points.append(point)
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
    first, other = ([table.scores(task, name) for task in tasks] for name in (compared, method))
    difference = paired_difference(first, other)
    return {
        'probability_of_improvement': list(probability_of_improvement(first, other)),
        'paired_difference': list(difference),
        'verdict': verdict(*difference[1:]),
        'tasks': {task: list(paired_difference([a], [b])) for task, a, b in zip(tasks, first, other, strict=True)},
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


def _estimate(values: Any) -> Report:
    low, high = interval([values], mean)
    return {'mean': float(values.mean()), 'low': low, 'high': high, 'per_seed': [float(value) for value in values]}


def _tasks_of(table: Table, *methods: str) -> list[str]:
    """The tasks on which all of these methods were compared."""
    return [task for task in table.tasks if table.seeds(task) and all(table.cells_of(task, method) for method in methods)]


def _overall(table: Table, method: str) -> Report:
    values = [table.scores(task, method) for task in _tasks_of(table, method)]
    low, high = interval(values, interquartile_mean)
    return {'iqm': float(interquartile_mean(*values)), 'low': low, 'high': high}


def _assisted(table: Table, task: str) -> dict[str, int]:
    """Of the episodes of the first iteration, which are the same for every method: the initial policy with the human's help."""
    cells = [cell for cell in table.cells if cell.task == task and cell.seed in table.seeds(task)]
    episodes = {(cell.seed, r['start']): r['success'] for cell in cells for r in cell.of('collect', 1)}
    return {'episodes': len(episodes), 'succeeded': sum(episodes.values())}


def comparison_text(entry: Report) -> list[str]:
    """Markdown of one comparison."""
    demonstrations = f', {entry["demonstrations"]} demonstrations' if entry['demonstrations'] else ''
    lines = [f'## {entry["suite"]} ({SUITES[entry["suite"]].figure}), human: {entry["human"]}{demonstrations}', '']
    for task, content in entry['tasks'].items():
        lines += [
            f'### {task}, seeds: {len(content["seeds"])}',
            '',
        ]
        assisted = content['assisted']
        if assisted['episodes']:
            lines += [
                f"With the human's help the initial policy succeeded in {assisted['succeeded']} of {assisted['episodes']} episodes.",
                '',
            ]
        with_returns = any('return' in point for points in content['methods'].values() for point in points)
        lines += [
            '| method | iteration | success | interventions |' + (' return |' if with_returns else ''),
            '|---' * (4 + with_returns) + '|',
        ]
        for method, points in content['methods'].items():
            for point in points:
                row = f'| {method} | {point["iteration"]} | {_interval_text(point, _percent)} | {point["interventions"]:.0f} |'
                lines.append(row + (f' {_interval_text(point["return"], lambda value: f"{value:.0f}")} |' if with_returns else ''))
        lines += ['', *([text, ''] if (text := reached(content['methods'])) else [])]
    if entry['overall']:
        lines += ['### All tasks', '', '| method | interquartile mean of success |', '|---|---|']
        lines += [
            f'| {method} | {_interval_text({"mean": value["iqm"], **value}, _percent)} |' for method, value in entry['overall'].items()
        ]
        lines.append('')
    if 'compared' in entry:
        lines += against_text(entry['compared'], entry['against'], [task for task, content in entry['tasks'].items() if content['seeds']])
    return lines


def against_text(compared: str, against: Report, tasks: Sequence[str]) -> list[str]:
    """Markdown of the pairwise comparisons of one method; a verdict of one task counts seeds only of that task.

    A method that was not run on every task is named with those on which it was.
    """
    heads = [f'{compared} against', 'probability of improvement', 'paired difference of success', f'{compared} is']
    heads += tasks if len(tasks) > 1 else []
    lines = [f'| {" | ".join(heads)} |', '|---' * len(heads) + '|']
    for method, value in against.items():
        cells = [_triple(value['probability_of_improvement'], '.2f'), _triple(value['paired_difference'], '+.2f'), value['verdict']]
        if len(tasks) > 1:
            cells += [_on_task(value['tasks'][task]) if task in value['tasks'] else '' for task in tasks]
        where = '' if len(value['tasks']) == len(tasks) else f' (on {", ".join(value["tasks"])})'
        lines.append(f'| {method}{where} | {" | ".join(cells)} |')
    return [*lines, '']


def _on_task(difference: list[float]) -> str:
    return f'{_triple(difference, "+.2f")} {verdict(*difference[1:])}'


def _triple(value: list[float], form: str) -> str:
    estimate = dict(zip(('mean', 'low', 'high'), value, strict=True))
    return _interval_text(estimate, lambda number: format(number, form))


def prediction_numbers(table: Table) -> Report:
    """Scores of every predictor per task, over all seeds' steps of the held-out iterations."""
    per_task: Report = {}
    for task in table.tasks:
        records = [record for cell in table.cells if cell.task == task for record in cell.of('prediction')]
        per_task[task] = {}
        for name in sorted({record['predictor'] for record in records}):
            chosen = [record for record in records if record['predictor'] == name]
            p, nu = (np.concatenate([np.asarray(record[key], dtype=float) for record in chosen]) for key in ('p', 'nu'))
            per_seed = _per_seed(table, task, name)
            per_task[task][name] = {
                'steps': len(p),
                'scores': scores(p, nu),
                'log_loss': _estimate(per_seed),
                'reliability': reliability(p, nu),
            }
    return {'suite': table.suite, 'human': table.human, 'tasks': per_task}


def _per_seed(table: Table, task: str, name: str) -> Any:
    """Log-loss of a predictor in every seed."""
    values = []
    for cell in (cell for cell in table.cells if cell.task == task):
        chosen = [record for record in cell.of('prediction') if record['predictor'] == name]
        if chosen:
            p, nu = (np.concatenate([np.asarray(record[key], dtype=float) for record in chosen]) for key in ('p', 'nu'))
            values.append(scores(p, nu)['log_loss'])
    return np.array(values)


def prediction_text(entry: Report) -> list[str]:
    """Markdown of the prediction of interventions."""
    lines = [f'## {entry["suite"]}, human: {entry["human"]}', '']
    for task, predictors in entry['tasks'].items():
        heads = [f'{name.replace("_", " ")} ({better} is better)' for name, better in SCORES.items()]
        lines += [f'### {task}', '', f'| predictor | steps | {" | ".join(heads)} |', '|---' * (2 + len(heads)) + '|']
        for name, content in predictors.items():
            numbers = ' | '.join(f'{content["scores"][score]:.3f}' for score in SCORES)
            lines.append(f'| {name} | {content["steps"]} | {numbers} |')
        lines.append('')
    return lines


def _interval_text(value: Report, form: Any) -> str:
    if math.isnan(value['low']):
        return str(form(value['mean']))
    return f'{form(value["mean"])} [{form(value["low"])}, {form(value["high"])}]'


def _percent(value: float) -> str:
    return '-' if math.isnan(value) else f'{100 * value:.0f} %'


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(element) for key, element in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(element) for element in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
