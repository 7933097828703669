"""The figures of a comparison: bars or curves as in the paper, and the paired differences that verdicts are about.

Bars (Fig. 3) lie, as names may be long; curves are over iterations or demonstrations.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from mile_learner.bench.comparison import verdict
from mile_learner.bench.figure_style import AXES, BARS, BARS_ASIDE, Report, Style, aside, bar_looks, curve, errors, label, note, styles
from mile_learner.bench.figures_prediction import draw_prediction
from mile_learner.bench.suites import REFERENCES
from mile_learner.bench.variants import file_name

mpl.use('Agg')

WORTH_A_LINE = 10
"""Episodes with the human's help; where an iteration has one, a seed or two say nothing."""
_VERDICT_COLOURS = {'ahead': 'C2', 'behind': 'C3', 'undecided': '0.5'}
_REFERENCE_LINES = {'no_training': ':', 'expert': '-.'}
_ALL = 'all tasks'
_OF_THE_WAY = 'share of the way from the\ninitial to the expert return, %'
_DIFFERENCES = {
    ('success',): 'difference in success, points',
    ('return',): f'difference, {_OF_THE_WAY}',
    ('return', 'success'): f'difference, points or {_OF_THE_WAY}',
}
"""By the metrics of the tasks that a difference is of."""


def comparisons(entries: Sequence[Report], folder: Path) -> list[Path]:
    """One figure to three per suite and human, into `folder`, and which these are; see `_differences` for the one that may be missing."""
    groups: dict[tuple[str, str], list[Report]] = {}
    for entry in entries:
        groups.setdefault((entry['suite'], entry['human']), []).append(entry)
    drawn = []
    for (suite, human), group in groups.items():
        path = _path(folder, suite, human)
        tasks = group[0]['tasks']
        if len(group) > 1:
            drawn += _panels(group[0], path, functools.partial(_over_demonstrations, group), BARS_ASIDE)
        elif any(len(points) > 1 for content in tasks.values() for points in content['methods'].values()):
            spent = path.with_name(f'{path.stem}-spent.png')
            drawn += _panels(group[0], path, functools.partial(_curves, group[0], 'iteration'), BARS_ASIDE)
            drawn += _panels(group[0], spent, functools.partial(_curves, group[0], 'interventions'), BARS)
        else:
            drawn += _panels(group[0], path, functools.partial(_bars, group[0]), BARS)
        drawn += _differences(group, path.with_name(f'{path.stem}-paired.png'))
    return drawn


def _path(folder: Path, *names: str) -> Path:
    return folder / f'{file_name("-".join(names))}.png'


def _panels(entry: Report, path: Path, draw: Callable[[Any, str], None], intervals: str) -> list[Path]:
    """One panel per task, and none without any; `intervals` says what is drawn of them. Returns the figures, `path` or none."""
    tasks = [task for task, content in entry['tasks'].items() if content['methods']]
    if not tasks:
        return []
    names = [[label(name) for name in entry['tasks'][task]['methods']] for task in tasks]
    width = 4.2 + 0.04 * max(map(len, itertools.chain(*names)))
    figure = Figure(figsize=(width * len(tasks) + 1.5, max(4.0, 0.3 * max(map(len, names)))), layout='constrained')
    panels = figure.subplots(1, len(tasks), squeeze=False)[0]
    for axes, task in zip(panels, tasks, strict=True):
        draw(axes, task)
        axes.set_title(f'{task} (seeds: {len(entry["tasks"][task]["seeds"])})')
    shown = {label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    if shown:
        figure.legend(shown.values(), shown, loc='outside right center', fontsize='small')
    points = [point for task in tasks for of_method in entry['tasks'][task]['methods'].values() for point in of_method]
    figure.suptitle(f'{entry["suite"]}, human: {entry["human"]}\n{note(points, intervals)}', fontsize='medium')
    figure.savefig(path, dpi=110)
    return [path]


def _references(line: Callable[..., object], content: Report) -> None:
    """The lines of the initial policy, the expert, and the robot with the human's help."""
    for method, style in _REFERENCE_LINES.items():
        if method in content['methods']:
            line(content['methods'][method][0]['mean'], color='0.4', linestyle=style, label=label(method))
    assisted = content['assisted']
    if assisted['episodes'] >= WORTH_A_LINE:
        line(assisted['mean'], color='0.4', linestyle='--', label="with the human's help")


def _bars(entry: Report, axes: Any, task: str) -> None:
    content = entry['tasks'][task]
    learners = {name: points[-1] for name, points in content['methods'].items() if name not in REFERENCES}
    points = list(learners.values())
    places, drawn = range(len(points)), _styles(entry)
    axes.barh(places, [p['mean'] for p in points], xerr=errors(points), **bar_looks(drawn[name] for name in learners))
    axes.set_yticks(places, [label(name) for name in learners], fontsize='small')
    axes.invert_yaxis()
    axes.set_xlabel(AXES[content['metric']])
    if content['metric'] == 'success':
        axes.set_xlim(-0.02, 1.02)
    _references(axes.axvline, content)


def _styles(entry: Report) -> dict[str, Style]:
    """Of each learner, the same in all panels."""
    return styles(name for content in entry['tasks'].values() for name in content['methods'])


def _curves(entry: Report, x: str, axes: Any, task: str) -> None:
    """Over x: 'iteration', the same for all, whose curves are moved apart; or 'interventions', where each point stays at what was spent."""
    content = entry['tasks'][task]
    initial = content['methods'].get('no_training', [])[:1]
    drawn = {name: style for name, style in _styles(entry).items() if content['methods'].get(name)}
    for place, (name, style) in enumerate(drawn.items()):
        line = [*initial, *content['methods'][name]]
        values = [p[x] for p in line]
        curve(axes, aside(values, place, len(drawn)) if x == 'iteration' else values, line, name, style)
    axes.set_xlabel('iterations of training' if x == 'iteration' else 'steps with an intervention so far')
    axes.xaxis.get_major_locator().set_params(integer=True)
    _score_upwards(axes, content)


def _score_upwards(axes: Any, content: Report) -> None:
    axes.set_ylabel(AXES[content['metric']])
    if content['metric'] == 'success':
        axes.set_ylim(-0.02, 1.02)
    _references(axes.axhline, content)


def _over_demonstrations(group: Sequence[Report], axes: Any, task: str) -> None:
    drawn = _styles(group[0])
    for place, (name, style) in enumerate(drawn.items()):
        found = [
            (e['demonstrations'], e['tasks'][task]['methods'][name][-1])
            for e in group
            if name in e['tasks'].get(task, {'methods': {}})['methods']
        ]
        if found:
            counts, points = zip(*found, strict=True)
            curve(axes, aside(counts, place, len(drawn)), points, name, style)
    axes.set_xlabel('demonstrations beforehand, episodes')
    _score_upwards(axes, group[0]['tasks'][task])


def _difference_columns(group: Sequence[Report]) -> dict[str, dict[str, list[float]]]:
    """Mean and interval of what one method is ahead of every other by: over all tasks, and per task and number of demonstrations.

    Without those of a single seed, which have no interval.
    """
    columns: dict[str, dict[str, list[float]]] = {}
    for entry in group:
        against, tasks = entry.get('against', {}), [task for task, content in entry['tasks'].items() if content['seeds']]
        given = f'\n{entry["demonstrations"]} demonstrations' if len(group) > 1 else ''
        if len(tasks) > 1:
            columns[f'{_ALL}{given}'] = {name: of['paired_difference'] for name, of in against.items() if len(of['tasks']) == len(tasks)}
        for task in tasks:
            columns[f'{task}{given}'] = {name: of['tasks'][task] for name, of in against.items() if task in of['tasks']}
    known = {title: {name: of for name, of in found.items() if math.isfinite(of[1])} for title, found in columns.items()}
    return {title: found for title, found in known.items() if found}


def _differences(group: Sequence[Report], path: Path) -> list[Path]:
    """A panel per column, a row per method that it has; none, nor one from before, where there is nothing to compare."""
    columns = _difference_columns(group)
    names = list(dict.fromkeys(itertools.chain(*columns.values())))
    path.unlink(missing_ok=True)
    if not names:
        return []
    labels = [label(name) for name in names]
    metrics = {task: content['metric'] for entry in group for task, content in entry['tasks'].items() if content['seeds']}
    figure = Figure(figsize=(2.8 * len(columns) + 1.5 + 0.08 * max(map(len, labels)), 2.0 + 0.3 * len(names)), layout='constrained')
    panels = figure.subplots(1, len(columns), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (title, found) in zip(panels, columns.items(), strict=True):
        for name, difference in found.items():
            mean, low, high = (100 * value for value in difference)
            colour = _VERDICT_COLOURS[verdict(low, high)]
            axes.errorbar(
                [mean], [names.index(name)], xerr=errors([{'mean': mean, 'low': low, 'high': high}]), color=colour, marker='o', capsize=3
            )
        axes.axvline(0.0, color='0.4', linewidth=0.8)
        axes.set_title(title, fontsize='medium')
        of = title.partition('\n')[0]
        axes.set_xlabel(_DIFFERENCES[tuple(sorted(set(metrics.values()) if of == _ALL else {metrics[of]}))], fontsize='small')
        axes.xaxis.get_major_locator().set_params(nbins=5)
        axes.set_yticks(range(len(names)), labels, fontsize='small')
        axes.set_ylim(len(names) - 0.5, -0.5)
    compared = label(next(entry['compared'] for entry in group if 'compared' in entry))
    about = f"{compared} minus the other, paired by seed\nerror bars: 95 % interval by Student's t"
    figure.suptitle(f'{group[0]["suite"]}, human: {group[0]["human"]}\n{about}', fontsize='medium')
    figure.savefig(path, dpi=110)
    return [path]


def prediction(entry: Report, folder: Path) -> list[Path]:
    """One figure per suite, human and, where there are several, method that flew, into `folder`; returns it, if anything was predicted."""
    return draw_prediction(entry, _path(folder, entry['suite'], entry['human'], *([entry['flown']] if 'flown' in entry else [])))
