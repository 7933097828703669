"""The same tuning budget for every method: each is run with every learning rate of one grid, on seeds and start states of their own.

The initial policies of the tuning seeds appear in no comparison, and neither do the start states that are tested on here (`tune`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from mile_learner.bench.results import read_results
from mile_learner.bench.statistics import paired_difference
from mile_learner.bench.suites import NO_HUMAN, Cell, configured, parse_method, trained
from mile_learner.bench.tasks import TASKS, get_task
from mile_learner.errors import LearnerError, quoted
from mile_learner.files import write_atomically

CHOSEN_FILE = 'chosen.json'
FIRST_SEED = 1000
LEARNING_RATES = (1e-5, 1e-4, 1e-3)

Scores = dict[tuple[str, str, int, int], float]
"""By suite, human, number of demonstrations, and seed."""


def candidates(methods: Sequence[str], rates: Sequence[float]) -> list[str]:
    """Every method with every learning rate, as methods with options.

    Raises:
        LearnerError: a method that brings its own learning rate.
    """
    found = []
    for method in methods:
        name, options = parse_method(method)
        if 'learning_rate' in options:
            msg = f'methods: got {method!r}, expected no learning rate, which is what is tuned'
            raise LearnerError(msg)
        others = ''.join(f',{key}={json.dumps(value)}' for key, value in options.items())
        found += [f'{name}[learning_rate={_text(rate)}{others}]' for rate in rates]
    return found


def without_rate(method: str) -> str:
    """The method with its options, by name, but its learning rate: what a rate is chosen for."""
    name, options = parse_method(method)
    others = {key: value if isinstance(value, str) else json.dumps(value) for key, value in options.items() if key != 'learning_rate'}
    return f'{name}[{",".join(f"{key}={others[key]}" for key in sorted(others))}]' if others else name


def choose(out: Path) -> dict[str, Any]:
    """The best learning rate of every task and method (each variant is one), by the mean after the last iteration.

    That is over suites, humans, numbers of demonstrations and seeds; those count that all rates of the method have. Of equally good rates
    that which is nearest to the method's own, as a ratio: where nothing succeeds, nothing speaks for another.

    Writes `out`/chosen.json: `chosen` by task and method, the `scores` that it was chosen by, and the `margins`: the next best rate, and by
    how much the chosen one is ahead of it, with the 95 % interval of a paired difference (null with one seed). An interval that holds 0
    says that other seeds may choose otherwise. `grids`: the rates that were tried, on how many seeds, and whether with --quick.

    Raises:
        LearnerError: no whole cell, or a damaged one; rates of a method that share no seed.
    """
    cells = [cell for cell in read_results(out) if cell.human != NO_HUMAN]
    tried: dict[str, dict[str, dict[str, Scores]]] = {}
    steps: dict[str, float] = {}
    quick = {(cell.task, without_rate(cell.method)) for cell in cells if cell.quick}
    for cell in cells:
        rate = configured(cell.method, cell.task).to_mapping()['learning_rate']
        of_method = tried.setdefault(cell.task, {}).setdefault(without_rate(cell.method), {})
        metric = get_task(cell.task).metric
        of_method.setdefault(_text(rate), {})[cell.suite, cell.human, cell.demonstrations, cell.seed] = cell.score(
            cell.tested()[-1], metric
        )
        steps[cell.task] = max(steps.get(cell.task, 0.0), cell.step if metric == 'success' else 0.0)
    tried = {task: {method: _shared(rates, f'{method} on {task}') for method, rates in methods.items()} for task, methods in tried.items()}
    scores = {
        task: {method: {rate: fmean(values.values()) for rate, values in rates.items()} for method, rates in methods.items()}
        for task, methods in tried.items()
    }
    best = {task: {method: _best(rates, configured(method, task)) for method, rates in methods.items()} for task, methods in scores.items()}
    found = {
        'chosen': {task: {method: {'learning_rate': float(rate)} for method, rate in rates.items()} for task, rates in best.items()},
        'scores': scores,
        'margins': {
            task: {name: _margin(tried[task][name], rate, steps[task]) for name, rate in rates.items()} for task, rates in best.items()
        },
        'grids': {
            task: {method: {**_grid(rates), 'quick': (task, method) in quick} for method, rates in methods.items()}
            for task, methods in tried.items()
        },
    }
    write_atomically(out / CHOSEN_FILE, (json.dumps(found, indent=1) + '\n').encode())
    return found


def chosen_options(out: Path) -> str:
    """What `choose` wrote into `out`, as `RunOptions.chosen` takes it.

    Raises:
        LearnerError: nothing was chosen there.
    """
    return json.dumps(_read(out)['chosen'], sort_keys=True)


def grid_options(out: Path, *, quick: bool) -> str:
    """From which rates they were chosen, as `RunOptions.grids` takes it; empty where that is not noted, as it was not before.

    Args:
        out: where `choose` wrote.
        quick: whether what is run with the choice is quick.

    Raises:
        LearnerError: nothing was chosen there, or with --quick for what is not.
    """
    grids = _read(out)['grids']
    if not quick and any(grid['quick'] for methods in grids.values() for grid in methods.values()):
        msg = f'--tuned: got {out}, where --quick chose, expected a choice without it; tune without --quick, or run with it'
        raise LearnerError(msg)
    return json.dumps(grids, sort_keys=True) if grids else ''


def _read(out: Path) -> dict[str, Any]:
    """`chosen` and `grids` of what `choose` wrote.

    Raises:
        LearnerError: nothing was chosen there.
    """
    path = out / CHOSEN_FILE
    try:
        found = {'grids': {}, **json.loads(path.read_text(encoding='utf-8'))}
        if not all(isinstance(options, dict) for methods in found['chosen'].values() for options in methods.values()):
            msg = 'expected options by task and method'
            raise TypeError(msg)
        for grid in (grid for methods in found['grids'].values() for grid in methods.values()):
            if not (isinstance(grid['quick'], bool) and all(isinstance(rate, float) for rate in grid['rates'])):
                msg = 'expected the rates and quick of each grid'
                raise TypeError(msg)
        return {'chosen': found['chosen'], 'grids': found['grids']}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f'{path}: got nothing that can be read ({error}), expected what `mile bench tune SUITE --out {quoted(out)}` writes'
        raise LearnerError(msg) from error


def chosen_for(method: str, task: str, chosen: str) -> dict[str, Any]:
    """The options that were chosen for a method on a task: for this variant, else for the plain method; none if neither was tuned.

    Args:
        method: with or without options.
        task: whose own choice counts, else that of the task whose hyper-parameters it takes.
        chosen: what `chosen_options` returned, or empty.
    """
    methods = _of_task(task, chosen) or {}
    return dict(methods.get(without_rate(method), methods.get(parse_method(method)[0], {})))


def has_choice(method: str, task: str, chosen: str) -> bool:
    """Whether the method's learning rate is one that was chosen for the task, or is said in the method's text."""
    return 'learning_rate' in parse_method(method)[1] or 'learning_rate' in chosen_for(method, task, chosen)


def not_tuned(cells: Iterable[Cell], chosen: str, where: Path) -> list[str]:
    """The methods without a choice, as "METHOD on TASK": they train with their own learning rate.

    Args:
        cells: to be run; methods that say their learning rate, or have none, need no choice.
        chosen: what `chosen_options` returned.
        where: it was read from.

    Raises:
        LearnerError: for a task nothing was chosen.
        ConfigError: what was chosen is no option of the method.
    """
    found = []
    for task, suite, method in dict.fromkeys((cell.task, cell.suite, name) for cell in cells for name in trained(cell)):
        if 'learning_rate' in parse_method(method)[1] or 'learning_rate' not in configured(method, task).to_mapping():
            continue
        if _of_task(task, chosen) is None:
            command = f'mile bench tune {suite} --tasks {task} --methods {quoted(without_rate(method))} --out DIR'
            known = ', '.join(json.loads(chosen)) or 'none'
            msg = f'--tuned: got {where} for {method} on {task}, expected one of its tasks ({known}); tune this one with `{command}`'
            raise LearnerError(msg)
        options = chosen_for(method, task, chosen)
        configured(method, task, options)
        if not options:
            found.append(f'{method} on {task}')
    return found


def _of_task(task: str, chosen: str) -> dict[str, Any] | None:
    """By method; None: the task was not tuned."""
    tasks: dict[str, Any] = json.loads(chosen or '{}')
    return tasks.get(task, tasks.get(get_task(task).configured_as if task in TASKS else task))


def _best(rates: Mapping[str, float], config: Any) -> str:
    return max(rates, key=lambda rate: (rates[rate], -abs(math.log(float(rate) / config.learning_rate))))


def _shared(rates: Mapping[str, Scores], what: str) -> dict[str, Scores]:
    """The scores that every rate has, in order.

    Raises:
        LearnerError: there are none.
    """
    shared = sorted(set.intersection(*(set(scores) for scores in rates.values())))
    if not shared:
        msg = f'{what}: got rates {", ".join(rates)} that share no suite, human and seed, expected some of all; tune them together'
        raise LearnerError(msg)
    return {rate: {key: scores[key] for key in shared} for rate, scores in rates.items()}


def _grid(rates: Mapping[str, Scores]) -> dict[str, Any]:
    seeds = {seed for scores in rates.values() for *_, seed in scores}
    return {'rates': sorted(map(float, rates)), 'seeds': len(seeds)}


def _margin(rates: Mapping[str, Scores], best: str, step: float) -> dict[str, Any] | None:
    """The next best rate, and mean, low and high of the difference to it; None where there is no other.

    `step`: see `paired_difference`. Suites, humans and numbers of demonstrations are strata.
    """
    others = [rate for rate in rates if rate != best]
    if not others:
        return None
    second = max(others, key=lambda rate: fmean(rates[rate].values()))
    strata: dict[tuple[Any, ...], list[tuple[str, str, int, int]]] = {}
    for key in rates[best]:
        strata.setdefault(key[:-1], []).append(key)
    one, other = ([np.array([rates[rate][key] for key in keys]) for keys in strata.values()] for rate in (best, second))
    difference = paired_difference(one, other, steps=[step] * len(strata))
    return {'next': float(second), 'difference': [value if math.isfinite(value) else None for value in difference]}


def _text(rate: float) -> str:
    return np.format_float_positional(rate)
