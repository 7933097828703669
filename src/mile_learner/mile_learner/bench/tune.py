"""The same tuning budget for every method: each is run with every learning rate of one grid, on seeds and start states of their own.

The initial policies of the tuning seeds appear in no comparison, and neither do the start states that are tested on here (`tune`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mile_learner.bench.results import read_results
from mile_learner.bench.suites import NO_HUMAN, configured, parse_method
from mile_learner.bench.tasks import get_task
from mile_learner.errors import LearnerError
from mile_learner.files import write_atomically

CHOSEN_FILE = 'chosen.json'
FIRST_SEED = 1000
LEARNING_RATES = (1e-5, 1e-4, 1e-3)


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


def choose(out: Path) -> dict[str, Any]:
    """The best learning rate of every task and method, by the mean over seeds and humans after the last iteration.

    Of equally good ones that which is nearest to the method's own, as a ratio: where nothing succeeds, nothing speaks for another.

    Writes `out`/chosen.json: `chosen` by task and method, and the `scores` that it was chosen by.

    Raises:
        LearnerError: no whole cell, or a damaged one.
    """
    tried: dict[str, dict[str, dict[str, list[float]]]] = {}
    for cell in read_results(out):
        if cell.human != NO_HUMAN:
            method, given = parse_method(cell.method)
            of_method = tried.setdefault(cell.task, {}).setdefault(method, {})
            of_method.setdefault(_text(given['learning_rate']), []).append(cell.score(cell.tested()[-1], get_task(cell.task).metric))
    scores = {
        task: {method: {rate: float(np.mean(values)) for rate, values in rates.items()} for method, rates in methods.items()}
        for task, methods in tried.items()
    }
    chosen = {
        task: {method: {'learning_rate': _best(rates, configured(method, task))} for method, rates in methods.items()}
        for task, methods in scores.items()
    }
    found = {'chosen': chosen, 'scores': scores}
    write_atomically(out / CHOSEN_FILE, (json.dumps(found, indent=1) + '\n').encode())
    return found


def chosen_options(out: Path) -> str:
    """What `choose` wrote into `out`, as `RunOptions.chosen` takes it.

    Raises:
        LearnerError: nothing was chosen there.
    """
    path = out / CHOSEN_FILE
    try:
        return json.dumps(json.loads(path.read_text(encoding='utf-8'))['chosen'], sort_keys=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f'{path}: got nothing that can be read ({error}), expected what `mile bench tune SUITE --out {out}` writes'
        raise LearnerError(msg) from error


def _best(rates: Mapping[str, float], config: Any) -> float:
    return float(max(rates, key=lambda rate: (rates[rate], -abs(math.log(float(rate) / config.learning_rate)))))


def _text(rate: float) -> str:
    return np.format_float_positional(rate)
