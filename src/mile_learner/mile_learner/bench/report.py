"""The report of a comparison (Markdown, JSON, figures), made from its raw records alone."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mile_learner.bench import figures
from mile_learner.bench.comparison import comparison_numbers, estimate, reached, verdict
from mile_learner.bench.prediction import SCORES, reliability, scores
from mile_learner.bench.provenance import differences_text
from mile_learner.bench.results import CellResult, Table, assumed_metrics, doubtful_references, read_results, tables
from mile_learner.bench.suites import REFERENCES, SUITES
from mile_learner.bench.tasks import check_names
from mile_learner.bench.tune import has_choice
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
        'Success (or return) of the last policy over the test episodes: mean over seeds, 95 % bootstrap interval, which few seeds make too',
        "narrow; paired differences have Student's t in its place. Rows of one table share initial policies, humans and start states, seed",
        'by seed. Interventions: steps on which the human acted, and their share.',
        '',
    ]
    if any(cell.quick for cell in results):
        lines += ['**Made with --quick: few epochs, episodes and pilots, to see that everything works. The numbers mean nothing.**', '']
    lines += tuning_text(results)
    lines += differences_text([cell.made_with for cell in results])
    if assumed := assumed_metrics(results):
        why = 'as neither its cells nor a task registered here says otherwise'
        lines += [f'**Judged by success**, {why}: {", ".join(assumed)}.', '']
    if doubtful := doubtful_references(results):
        told = ', '.join(f'{name} (seeds {", ".join(map(str, seeds))})' for name, seeds in sorted(doubtful.items()))
        lines += [f'**Perhaps not paired** with the methods, as only these or those say what they were prepared from: {told}.', '']
    if method not in shown and not all(SUITES[cell.suite].prediction for cell in results):
        lines += no_pairs_text(method, shown, hidden=method in there)
    drawn: list[Path] = []
    for table in tables(results):
        if SUITES[table.suite].prediction:
            for entry in predictions(table):
                report['predictions'].append(entry)
                lines += prediction_text(entry)
                drawn += figures.prediction(entry, out / 'figures')
        else:
            entry = comparison_numbers(table, method)
            report['comparisons'].append(entry)
            lines += comparison_text(entry)
    drawn += figures.comparisons(report['comparisons'], out / 'figures')
    names = sorted(path.name for path in drawn)
    lines += ['## Figures', '', *(f'![{name}](figures/{name})' for name in names), '']
    write_atomically(out / 'report.md', ('\n'.join(lines)).encode())
    report = _finite(report)
    write_atomically(out / 'report.json', (json.dumps(report, indent=1, allow_nan=False) + '\n').encode())
    return report


def no_pairs_text(method: str, shown: Sequence[str], *, hidden: bool) -> list[str]:
    """Why nothing is compared with the others; `hidden`: there are cells of the method, which are not shown."""
    if not shown:
        return ['**No pairs**: there are cells of the references alone.', '']
    why = f'{method} is not among those that `--only` names' if hidden else f'there is no cell of {method}'
    return [f'**No pairs**: {why}; `--method NAME` compares another ({", ".join(shown)}).', '']


def tuning_text(results: Iterable[CellResult]) -> list[str]:
    """Which options were tuned, from which grids where it is known, and for which of the methods with a learning rate none was."""
    by_choice: dict[tuple[str, str], set[str]] = {}
    for cell in results:
        if cell.chosen:
            rated = any('learning_rate' in fit['configuration'] for fit in cell.of('fit')[:1])
            own = rated and not has_choice(cell.method, cell.task, cell.chosen)
            by_choice.setdefault((cell.chosen, cell.grids), set()).update([f'{cell.method} on {cell.task}'] if own else [])
    lines = []
    for (text, noted), untuned in sorted(by_choice.items()):
        chosen = json.loads(text)
        grids = {(task, method): _grid_text(noted, task, method) for task, methods in chosen.items() for method in methods}
        one = len(set(grids.values())) == 1
        whence = '' if not any(grids.values()) else ', from one grid for every method' if one else ', not from one grid for every method'
        lines += [f'Chosen by `mile bench tune`{whence}, on seeds and start states of their own:', '']
        for task, methods in chosen.items():
            told = [
                f'{name} {", ".join(f"{key} {value:g}" for key, value in of.items())}{"" if one else grids[task, name]}'
                for name, of in methods.items()
            ]
            lines += [f'- {task}: {"; ".join(told)}']
        lines += ['', *([f'**Not tuned**, with a learning rate of their own: {", ".join(sorted(untuned))}.', ''] if untuned else [])]
    return lines or [
        'Every method has the learning rate of the paper (Table I) or, where that gives none, its defaults; nothing was tuned.',
        '',
    ]


def _grid_text(noted: str, task: str, method: str) -> str:
    """Which rates one was chosen from; empty where that is not noted."""
    grid = json.loads(noted or '{}').get(task, {}).get(method)
    return f' (of {", ".join(f"{rate:g}" for rate in grid["rates"])})' if grid else ''


def comparison_text(entry: Report) -> list[str]:
    """Markdown of one comparison."""
    demonstrations = f', {entry["demonstrations"]} demonstrations' if entry['demonstrations'] else ''
    lines = [f'## {entry["suite"]} ({SUITES[entry["suite"]].figure}), human: {entry["human"]}{demonstrations}', '']
    for task, content in entry['tasks'].items():
        lines += [
            f'### {task}, seeds: {len(content["seeds"])}',
            '',
        ]
        returns, assisted = content['metric'] == 'return', content['assisted']
        form = _number if returns else _percent
        if assisted['episodes']:
            helped = f"With the human's help the initial policy succeeded in {assisted['succeeded']} of {assisted['episodes']} episodes"
            helped += f', with a mean return of {form(assisted["mean"])}' if returns else ''
            lines += [f'{helped}; the human acted on {_percent(assisted["rate"])} of the steps.', '']
        lines += left_out_text(content['left_out'])
        if content['unpaired']:
            names = ', '.join(content['unpaired'])
            lines += [
                f'**Not paired**, as initial policy, first episodes or tested start states are not those of the other methods: {names}.',
                '',
            ]
        lines += [
            f'| method | iteration | {content["metric"]} | interventions |' + (' success |' if returns else ''),
            '|---' * (4 + returns) + '|',
        ]
        for method, points in content['methods'].items():
            for point in points:
                share = f' ({_percent(point["rate"])})' if point['interventions'] else ''
                row = f'| {method} | {point["iteration"]} | {_interval_text(point, form)} | {point["interventions"]:.0f}{share} |'
                lines.append(row + (f' {_interval_text(point["success"], _percent)} |' if returns else ''))
        lines += ['', *([text, ''] if (text := reached(content['methods'])) else [])]
    if entry['overall']:
        judged = 'success' if all(content['metric'] == 'success' for content in entry['tasks'].values()) else 'score'
        note = 'Score: success; of a return its share of the way from the initial policies to the experts.'
        lines += ['### All tasks', '', *([note, ''] if judged == 'score' else [])]
        lines += [f'| method | interquartile mean of {judged} |', '|---|---|']
        lines += [
            f'| {method} | {_interval_text({"mean": value["iqm"], **value}, _percent)} |' for method, value in entry['overall'].items()
        ]
        lines.append('')
    if 'compared' in entry:
        lines += against_text(entry['compared'], entry['against'], [task for task, content in entry['tasks'].items() if content['seeds']])
    return lines


def left_out_text(left_out: Mapping[int, Sequence[str]]) -> list[str]:
    """Which seeds do not count for want of which methods."""
    by_methods: dict[str, list[str]] = {}
    for seed, methods in left_out.items():
        by_methods.setdefault(', '.join(methods), []).append(str(seed))
    told = '; '.join(f'{", ".join(seeds)} (lacking: {methods})' for methods, seeds in by_methods.items())
    text = f'**Seeds left out**, as not every method has them: {told}. `--only` shows some methods with all that they have.'
    return [text, ''] if told else []


def against_text(compared: str, against: Report, tasks: Sequence[str]) -> list[str]:
    """Markdown of the pairwise comparisons of one method; a verdict of one task counts seeds only of that task.

    A method that was not run on every task is named with those on which it was.
    """
    heads = [f'{compared} against', 'probability of improvement', 'paired difference', f'{compared} is']
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


def predictions(table: Table) -> list[Report]:
    """What `prediction_numbers` gives, of each method whose policy flew; where these are several, with its name.

    Each of them met interventions of its own. The predictors beside the methods' own are in the cells of each.
    """
    flown = {name: dataclasses.replace(table, cells=[cell for cell in table.cells if cell.method == name]) for name in table.methods}
    return [prediction_numbers(cells) | ({'flown': name} if len(flown) > 1 else {}) for name, cells in flown.items()]


def prediction_numbers(table: Table) -> Report:
    """Scores of every predictor per task: of each held-out iteration, averaged within a seed, over seeds; curves are of all steps.

    Steps of several iterations in one ranking would reward whoever knows which iteration had more interventions.
    """
    per_task: Report = {}
    for task in table.tasks:
        cells = [cell for cell in table.cells if cell.task == task and cell.of('prediction')]
        per_task[task] = {}
        for name in sorted({record['predictor'] for cell in cells for record in cell.of('prediction')}):
            seeds = [_blocks(cell, name) for cell in cells]
            of_seeds = [[scores(p, nu) for p, nu in blocks] for blocks in seeds]
            p, nu = (np.concatenate(values) for values in zip(*itertools.chain(*seeds), strict=True))
            per_task[task][name] = {
                'steps': len(p),
                'scores': {score: estimate(np.array([_defined(of, score) for of in of_seeds])) for score in SCORES},
                'reliability': reliability(p, nu),
            }
    return {'suite': table.suite, 'human': table.human, 'tasks': per_task}


def _blocks(cell: CellResult, predictor: str) -> list[tuple[Any, Any]]:
    """Predicted probability and what happened, (N,) each, per held-out iteration."""
    chosen = [record for record in cell.of('prediction') if record['predictor'] == predictor]
    return [(np.asarray(record['p'], dtype=float), np.asarray(record['nu'], dtype=float)) for record in chosen]


def _defined(iterations: Sequence[Mapping[str, float]], score: str) -> float:
    """Mean over the iterations in which both classes occur, where the score needs them; NaN if there is none."""
    values = [of[score] for of in iterations if not math.isnan(of[score])]
    return float(np.mean(values)) if values else float('nan')


def prediction_text(entry: Report) -> list[str]:
    """Markdown of the prediction of interventions."""
    flown = f', flown by {entry["flown"]}' if 'flown' in entry else ''
    lines = [f'## {entry["suite"]}, human: {entry["human"]}{flown}', '']
    for task, predictors in entry['tasks'].items():
        heads = [f'{name.replace("_", " ")} ({better} is better)' for name, better in SCORES.items()]
        lines += [f'### {task}', '', f'| predictor | steps | {" | ".join(heads)} |', '|---' * (2 + len(heads)) + '|']
        for name, content in predictors.items():
            numbers = ' | '.join(_interval_text(content['scores'][score], lambda value: f'{value:.3f}') for score in SCORES)
            lines.append(f'| {name} | {content["steps"]} | {numbers} |')
        lines.append('')
    return lines


def _interval_text(value: Report, form: Any) -> str:
    if math.isnan(value['low']):
        return str(form(value['mean']))
    return f'{form(value["mean"])} [{form(value["low"])}, {form(value["high"])}]'


def _number(value: float) -> str:
    return f'{value:.0f}'


def _percent(value: float) -> str:
    return '-' if math.isnan(value) else f'{100 * value:.0f} %'


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(element) for key, element in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(element) for element in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
