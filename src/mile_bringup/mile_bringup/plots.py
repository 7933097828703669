"""Pictures: one episode's timeline, and a run's progress. No display is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mile_bringup.summary import losses_of
from mile_learner.bags import EpisodeRecord
from mile_learner.evaluate import wilson_interval
from mile_learner.files import write_atomically
from mile_learner.step import ACTION_DIM, Mode

ACTION_NAMES = ('dx', 'dy', 'dz', 'gripper')
MODE_COLOURS = {Mode.IDLE: '#bbbbbb', Mode.AUTONOMOUS: '#7fb3d5', Mode.HUMAN: '#f5b041', Mode.HOLD: '#d7dbdd', Mode.ESTOP: '#cb4335'}

BESIDE: dict[str, Any] = {'loc': 'upper left', 'bbox_to_anchor': (1.0, 1.0)}
"""Where a legend covers nothing."""


def timeline(record: EpisodeRecord, path: Path) -> None:
    """PNG of one episode over wall time [s]: mode, ν and p(ν=1|s), and per action component a_r, a_h and what was executed."""
    time = record.column('stamp') - record.steps[0].stamp
    mode = record.column('mode')
    nu = record.column('intervening').astype(bool)
    figure = Figure(figsize=(11, 9), layout='constrained')
    axes = figure.subplots(2 + ACTION_DIM, 1, sharex=True, height_ratios=[0.4, 1.0] + [1.0] * ACTION_DIM)
    _bands(axes[0], time, mode)
    axes[0].set(ylabel='mode', yticks=[])
    axes[0].set_title(
        f'{record.path.parent.name}/{record.path.name}: {record.outcome}, policy {record.metadata.get("policy_version", "?")}'
    )
    axes[1].fill_between(time, nu, step='post', color=MODE_COLOURS[Mode.HUMAN], alpha=0.5, label='nu')
    axes[1].plot(time, record.column('intervention_probability'), color='black', linewidth=1, label='p(nu=1|s)')
    axes[1].set(ylabel='nu, p(nu)', ylim=(-0.05, 1.05))
    human = np.where(nu[:, None], record.column('human_action'), np.nan)
    for number, name in enumerate(ACTION_NAMES):
        axis = axes[2 + number]
        axis.plot(time, record.column('robot_action')[:, number], color='#2874a6', linewidth=1, label='a_r')
        axis.plot(time, human[:, number], color='#d35400', linewidth=2, label='a_h')
        axis.plot(time, record.column('executed_action')[:, number], color='black', linewidth=0.7, linestyle=':', label='executed')
        axis.set(ylabel=name, ylim=(-1.1, 1.1))
    axes[1].legend(**BESIDE)
    axes[2].legend(**BESIDE)
    axes[-1].set_xlabel('wall time [s]')
    _save(figure, path)


def progress(iterations: Sequence[Mapping[str, Any]], path: Path) -> None:
    """PNG of a run per iteration: success with its 95 % interval, intervention ratio, losses after training."""
    figure = Figure(figsize=(12, 3.6), layout='constrained')
    success, ratio, losses = figure.subplots(1, 3)
    numbers = [record['iteration'] for record in iterations]
    rates = np.array([record['successes'] / record['episodes'] for record in iterations])
    bounds = np.array([wilson_interval(record['successes'], record['episodes']) for record in iterations])
    success.errorbar(numbers, rates, yerr=np.abs(bounds.T - rates), fmt='o-', capsize=3)
    success.set(title='success (with help)', ylim=(-0.05, 1.05))
    ratio.plot(numbers, [record['intervention_ratio'] for record in iterations], 'o-')
    ratio.set(title='intervention ratio', ylim=(-0.02, 1.02))
    trained = [(record['iteration'], losses_of(record)) for record in iterations]
    for name in sorted({name for _, values in trained for name in values}):
        points = [(number, values[name]) for number, values in trained if name in values]
        losses.plot([x for x, _ in points], [y for _, y in points], 'o-', label=name)
    if losses.lines:
        losses.legend(**BESIDE)
    losses.set(title='losses after training')
    for axis in (success, ratio, losses):
        axis.set(xlabel='iteration', xticks=numbers)
    _save(figure, path)


def _bands(axis: Axes, time: np.ndarray[Any, Any], mode: np.ndarray[Any, Any]) -> None:
    """Coloured spans, one per stretch of the same mode."""
    edges = np.flatnonzero(np.diff(mode, prepend=-1))
    seen = set()
    for begin, end in zip(edges, [*edges[1:], len(mode) - 1], strict=True):
        kind = Mode(int(mode[begin]))
        axis.axvspan(time[begin], time[end], color=MODE_COLOURS[kind], label=None if kind in seen else kind.name.lower())
        seen.add(kind)
    axis.legend(**BESIDE)


def _save(figure: Figure, path: Path) -> None:
    temporary = path.with_name(f'.{path.name}.png')
    try:
        figure.savefig(temporary, dpi=110)
        write_atomically(path, temporary.read_bytes())
    finally:
        temporary.unlink(missing_ok=True)
