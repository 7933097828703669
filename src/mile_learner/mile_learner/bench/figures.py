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
from mile_learner.bench.suites import REFERENCES
from mile_learner.bench.variants import file_name
from mile_learner.methods import METHODS

mpl.use('Agg')

Report = dict[str, Any]
WORTH_A_LINE = 10
"""Episodes with the human's help; where an iteration has one, a seed or two say nothing."""
_VERDICT_COLOURS = {'ahead': 'C2', 'behind': 'C3', 'undecided': '0.5'}
_REFERENCE_STYLE = {'no_training': (':', 'initial policy'), 'expert': ('-.', 'expert')}


def comparisons(entries: Sequence[Report], folder: Path) -> None:
    """Two figures or three per suite and human, into `folder`."""
    groups: dict[tuple[str, str], list[Report]] = {}
    for entry in entries:
        groups.setdefault((entry['suite'], entry['human']), []).append(entry)
    for (suite, human), group in groups.items():
        path = _path(folder, suite, human)
        tasks = group[0]['tasks']
        if len(group) > 1:
            _panels(group[0], path, functools.partial(_over_demonstrations, group))
        elif any(len(points) > 1 for content in tasks.values() for points in content['methods'].values()):
            _panels(group[0], path, functools.partial(_curves, group[0], 'iteration'))
            _panels(group[0], path.with_name(f'{path.stem}-spent.png'), functools.partial(_curves, group[0], 'interventions'))
        else:
            _panels(group[0], path, functools.partial(_bars, group[0]))
        _differences(group, path.with_name(f'{path.stem}-paired.png'))


def _path(folder: Path, suite: str, human: str) -> Path:
    return folder / f'{file_name(f"{suite}-{human}")}.png'


def _panels(entry: Report, path: Path, draw: Callable[[Any, str], None]) -> None:
    """One panel per task."""
    tasks = [task for task, content in entry['tasks'].items() if content['methods']]
    if not tasks:
        return
    names = [list(entry['tasks'][task]['methods']) for task in tasks]
    width = 4.2 + 0.04 * max(map(len, itertools.chain(*names)))
    figure = Figure(figsize=(width * len(tasks) + 1.5, max(4.0, 0.3 * max(map(len, names)))), layout='constrained')
    panels = figure.subplots(1, len(tasks), squeeze=False)[0]
    for axes, task in zip(panels, tasks, strict=True):
        draw(axes, task)
        axes.set_title(f'{task} (seeds: {len(entry["tasks"][task]["seeds"])})')
    shown = {label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    if shown:
        figure.legend(shown.values(), shown, loc='outside right center', fontsize='small')
    figure.suptitle(f'{entry["suite"]}, human: {entry["human"]}')
    figure.savefig(path, dpi=110)


def _references(line: Callable[..., object], content: Report) -> None:
    """The lines of the initial policy, the expert, and the robot with the human's help."""
    for method, (style, label) in _REFERENCE_STYLE.items():
        if method in content['methods']:
            line(content['methods'][method][0]['mean'], color='0.4', linestyle=style, label=label)
    assisted = content['assisted']
    if assisted['episodes'] >= WORTH_A_LINE:
        line(assisted['mean'], color='0.4', linestyle='--', label="with the human's help")


def _errors(points: Sequence[Report]) -> list[list[float]]:
    """Distances to the interval's ends; zero where there is none."""
    return [
        [0.0 if math.isnan(p['low']) else p['mean'] - p['low'] for p in points],
        [0.0 if math.isnan(p['high']) else p['high'] - p['mean'] for p in points],
    ]


def _bars(entry: Report, axes: Any, task: str) -> None:
    content = entry['tasks'][task]
    learners = {name: points[-1] for name, points in content['methods'].items() if name not in REFERENCES}
    points = list(learners.values())
    places, colours = range(len(points)), _colours(entry)
    axes.barh(places, [p['mean'] for p in points], xerr=_errors(points), capsize=3, color=[colours[name] for name in learners])
    axes.set_yticks(places, list(learners), fontsize='small')
    axes.invert_yaxis()
    axes.set_xlabel(content['metric'])
    if content['metric'] == 'success':
        axes.set_xlim(-0.02, 1.02)
    _references(axes.axvline, content)


def _colours(entry: Report) -> dict[str, str]:
    """Of each learner: that of its place in the registry, so that every figure has the same; variants take what is left, in turn."""
    names = dict.fromkeys(name for content in entry['tasks'].values() for name in content['methods'] if name not in REFERENCES)
    own = {name: f'C{place}' for place, name in enumerate([*METHODS][:10]) if name in names}
    left = [colour for place in range(10) if (colour := f'C{place}') not in own.values()] or ['C0']
    others = [name for name in names if name not in own]
    return {name: own.get(name) or left[others.index(name) % len(left)] for name in names}


def _curves(entry: Report, x: str, axes: Any, task: str) -> None:
    content = entry['tasks'][task]
    initial = content['methods'].get('no_training', [])[:1]
    for name, colour in _colours(entry).items():
        if points := content['methods'].get(name):
            line = [*initial, *points]
            values = [p[x] for p in line]
            axes.errorbar(values, [p['mean'] for p in line], yerr=_errors(line), label=name, color=colour, marker='o', capsize=2)
    axes.set_xlabel('iteration' if x == 'iteration' else 'steps with an intervention so far')
    axes.xaxis.get_major_locator().set_params(integer=True)
    _score_upwards(axes, content)


def _score_upwards(axes: Any, content: Report) -> None:
    axes.set_ylabel(content['metric'])
    if content['metric'] == 'success':
        axes.set_ylim(-0.02, 1.02)
    _references(axes.axhline, content)


def _over_demonstrations(group: Sequence[Report], axes: Any, task: str) -> None:
    for name, colour in _colours(group[0]).items():
        found = [
            (e['demonstrations'], e['tasks'][task]['methods'][name][-1])
            for e in group
            if name in e['tasks'].get(task, {'methods': {}})['methods']
        ]
        points = [point for _, point in found]
        axes.errorbar(
            [count for count, _ in found],
            [p['mean'] for p in points],
            yerr=_errors(points),
            label=name,
            color=colour,
            marker='o',
            capsize=2,
        )
    axes.set_xlabel('demonstrations')
    _score_upwards(axes, group[0]['tasks'][task])


def _difference_columns(group: Sequence[Report]) -> dict[str, dict[str, list[float]]]:
    """Mean and interval of what one method is ahead of every other by: over all tasks, and per task and number of demonstrations."""
    columns: dict[str, dict[str, list[float]]] = {}
    for entry in group:
        against, tasks = entry.get('against', {}), [task for task, content in entry['tasks'].items() if content['seeds']]
        if len(tasks) > 1:
            columns['all tasks'] = {name: of['paired_difference'] for name, of in against.items() if len(of['tasks']) == len(tasks)}
        given = f'\n{entry["demonstrations"]} demonstrations' if len(group) > 1 else ''
        for task in tasks:
            columns[f'{task}{given}'] = {name: of['tasks'][task] for name, of in against.items() if task in of['tasks']}
    return {title: found for title, found in columns.items() if found}


def _differences(group: Sequence[Report], path: Path) -> None:
    """A panel per column, a row per method that it has; none where there is nothing to compare."""
    columns = _difference_columns(group)
    names = list(dict.fromkeys(itertools.chain(*columns.values())))
    if not names:
        return
    width = 2.6 * len(columns) + 1.5 + 0.08 * max(map(len, names))
    figure = Figure(figsize=(width, 1.6 + 0.3 * len(names)), layout='constrained')
    panels = figure.subplots(1, len(columns), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (title, found) in zip(panels, columns.items(), strict=True):
        for name, (mean, low, high) in found.items():
            point = {'mean': mean, 'low': low, 'high': high}
            colour = _VERDICT_COLOURS[verdict(low, high)]
            axes.errorbar([mean], [names.index(name)], xerr=_errors([point]), color=colour, marker='o', capsize=3)
        axes.axvline(0.0, color='0.4', linewidth=0.8)
        axes.set_title(title, fontsize='medium')
        axes.xaxis.get_major_locator().set_params(nbins=4)
        axes.set_yticks(range(len(names)), names, fontsize='small')
        axes.set_ylim(len(names) - 0.5, -0.5)
    compared = next(entry['compared'] for entry in group if 'compared' in entry)
    figure.supxlabel(f'{compared} minus the other, paired, 95 % interval', fontsize='medium')
    figure.suptitle(f'{group[0]["suite"]}, human: {group[0]["human"]}')
    figure.savefig(path, dpi=110)


def prediction(entry: Report, folder: Path) -> None:
    """Log-loss and calibration curve of every predictor, a column per task, into `folder`."""
    tasks = [task for task, predictors in entry['tasks'].items() if predictors]
    if not tasks:
        return
    figure = Figure(figsize=(3.6 * len(tasks) + 1, 6.0), layout='constrained')
    panels = figure.subplots(2, len(tasks), squeeze=False)
    everyone = sorted({name for predictors in entry['tasks'].values() for name in predictors})
    colours = {name: f'C{place}' for place, name in enumerate(everyone)}
    for column, task in enumerate(tasks):
        predictors = {name: content for name, content in entry['tasks'][task].items() if name != 'majority'}
        losses = [content['scores']['log_loss'] for content in predictors.values()]
        top, bottom = panels[0][column], panels[1][column]
        means = [value['mean'] for value in losses]
        top.bar(range(len(losses)), means, yerr=_errors(losses), color=[colours[name] for name in predictors])
        top.set_xticks(range(len(losses)), list(predictors), rotation=30, ha='right', fontsize='small')
        top.set_title(task)
        top.set_ylabel('log-loss [nats]')
        bottom.plot([0, 1], [0, 1], color='0.7')
        for name, content in predictors.items():
            expected, observed, _ = zip(*content['reliability'], strict=True)
            bottom.plot(expected, observed, marker='o', color=colours[name])
        bottom.set_xlabel('predicted probability')
        bottom.set_ylabel('observed rate')
    figure.suptitle(f'prediction of interventions, human: {entry["human"]}')
    figure.savefig(_path(folder, entry['suite'], entry['human']), dpi=110)
