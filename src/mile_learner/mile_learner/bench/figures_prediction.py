"""The figure of how well interventions are predicted (Fig. 7, left): log-loss, average precision and calibration of every predictor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from mile_learner.bench.figure_style import BARS, Report, Style, bar_looks, errors, label, note, styles
from mile_learner.bench.prediction import PREDICTORS

FEWEST = 20
"""Steps of a bin of the calibration curve; the observed rate of fewer says nothing."""
ROOM = 1.15
"""Height of the log-loss axis, in the largest value that is no majority's."""


def draw_prediction(entry: Report, path: Path) -> list[Path]:
    """A column per task, into `path`, which is returned; nothing where nothing was predicted."""
    tasks = [task for task, predictors in entry['tasks'].items() if predictors]
    if not tasks:
        return []
    figure = Figure(figsize=(3.6 * len(tasks) + 1, 9.0), layout='constrained')
    panels = figure.subplots(3, len(tasks), squeeze=False, height_ratios=(1.0, 1.0, 1.3))
    drawn = styles(_ordered({name for task in tasks for name in entry['tasks'][task]}))
    for (loss, precision, calibration), task in zip(panels.T, tasks, strict=True):
        predictors = {name: entry['tasks'][task][name] for name in drawn if name in entry['tasks'][task]}
        loss.set_title(task)
        _bars(loss, predictors, 'log_loss', drawn)
        loss.set_ylabel('log-loss, nats per step')
        loss.set_xticklabels([])
        _clip(loss, predictors)
        _bars(precision, predictors, 'average_precision', drawn)
        precision.set_ylabel('average precision, fraction')
        _calibration(calibration, predictors, drawn)
    tops = [axes.get_ylim()[1] for axes in panels[1]]
    for axes in panels[1]:
        axes.set_ylim(0.0, max(tops))
    handles, labels = panels[2][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc='outside lower center', ncols=len(labels), fontsize='small')
    every = [content['scores'][score] for task in tasks for content in entry['tasks'][task].values() for score in content['scores']]
    about = f'human: {entry["human"]}' + (f', flown by {label(entry["flown"])}' if 'flown' in entry else '')
    figure.suptitle(f'prediction of interventions, {about}\n{note(every, BARS)}', fontsize='medium')
    figure.savefig(path, dpi=110)
    return [path]


def _ordered(names: Iterable[str]) -> list[str]:
    """MILE's first, those that learn nothing last."""
    return sorted(names, key=lambda name: (name in PREDICTORS, not name.startswith('mile'), name))


def _bars(axes: Any, predictors: Mapping[str, Report], score: str, drawn: Mapping[str, Style]) -> None:
    values, places = [content['scores'][score] for content in predictors.values()], range(len(predictors))
    axes.bar(places, [value['mean'] for value in values], yerr=errors(values), **bar_looks(drawn[name] for name in predictors))
    axes.set_xticks(places, [label(name) for name in predictors], rotation=30, ha='right', fontsize='small')


def _clip(axes: Any, predictors: Mapping[str, Report]) -> None:
    """End the axis above the others, if there are any, where the majority, which is certain and so pays the most, would hide them."""
    values = {name: content['scores']['log_loss'] for name, content in predictors.items()}
    ends = [
        value['mean'] + above
        for (name, value), above in zip(values.items(), errors([*values.values()])[1], strict=True)
        if name != 'majority'
    ]
    if not ends:
        return
    top = ROOM * max(ends)
    axes.set_ylim(0.0, top)
    for place, value in enumerate(values.values()):
        if value['mean'] > top:
            axes.annotate(
                f'{value["mean"]:.1f}',
                (place, 0.97 * top),
                ha='center',
                va='top',
                fontsize='small',
                bbox={'boxstyle': 'round,pad=0.15', 'facecolor': 'white', 'edgecolor': 'none'},
            )


def _calibration(axes: Any, predictors: Mapping[str, Report], drawn: Mapping[str, Style]) -> None:
    axes.plot([0, 1], [0, 1], color='0.8')
    for name, content in predictors.items():
        expected, observed = ([bin_[place] for bin_ in content['reliability'] if bin_[2] >= FEWEST] for place in (0, 1))
        style = drawn[name]
        axes.plot(expected, observed, color=style.colour, linestyle=style.line, marker=style.marker, markersize=5, label=label(name))
    axes.set_xlabel('predicted probability of an intervention')
    axes.set_ylabel(f'observed rate, fraction of steps\n(bins of {FEWEST} steps and more)')
