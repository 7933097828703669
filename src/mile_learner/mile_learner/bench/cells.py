"""What happens in one cell: collect with the human, train, test; every episode is a record.

Everything is a function of the cell and the options, so that cells can run anywhere, in any order, and again.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mile_learner.bench.prediction import MEANING, PREDICTORS, calibrated, rate_predictions
from mile_learner.bench.prepare import PrepareConfig, Prepared, humans_for, prepare
from mile_learner.bench.provenance import made_with
from mile_learner.bench.rollouts import Episode, run_episodes, to_data
from mile_learner.bench.suites import NO_HUMAN, SUITES, Belief, Cell, Suite, configured, parse_method, predicts, takes
from mile_learner.bench.training_warnings import KIND
from mile_learner.bench.tune import chosen_for
from mile_learner.bundle import Bundle
from mile_learner.config import Config, option
from mile_learner.errors import LearnerError
from mile_learner.guards import training_warnings
from mile_learner.methods import METHODS
from mile_learner.methods.base import InterventionData
from mile_learner.network import Policy
from mile_learner.run_calibration import LoggedSteps, steps_of

Record = dict[str, Any]
Sink = Callable[[Record], object]
QUICK_EPOCHS = 20
DECIMALS = 8
"""Of a recorded probability: enough for one that is as sure as `mile_learner.bench.prediction.scores` counts, 1e-6."""


@dataclasses.dataclass(frozen=True)
class RunOptions(Config):
    """What all cells of a comparison share."""

    quick: bool = option(False, doc='few epochs and episodes, to see that everything works; the numbers mean nothing')
    test: int = option(100, doc='test episodes per tested policy', ge=1)
    starts: str = option('test', doc='which start states policies are tested on', choices=('test', 'tune'))
    chosen: str = option('', doc='options of the methods by task, as `mile bench tune` chose them, as JSON')
    grids: str = option('', doc='by task and method what they were chosen from, as JSON; for the report, and nothing else depends on it')

    def configuration(self, cell: Cell) -> Config:
        """What the cell's method is trained with: its defaults, what was chosen for the task, what the cell itself says."""
        return configured(cell.method, cell.task, chosen_for(cell.method, cell.task, self.chosen))


def run_cell(cell: Cell, options: RunOptions, preparation: PrepareConfig, sink: Sink) -> None:
    """Run one cell; `sink` is given every record as it comes."""
    humans = humans_for(human for human in (cell.human,) if human != NO_HUMAN)
    prepared = prepare(cell.task, cell.seed, preparation, humans=humans)
    suite = SUITES[cell.suite]
    tests = prepared.starts[options.starts][: options.test]
    made_from = {'prepared': prepared.folder.name, 'networks': prepared.shared_digest(), 'made_with': made_with()}
    judged = {'metric': prepared.task.metric}  # the report is made where the task need not be registered
    sink({'kind': 'cell', **dataclasses.asdict(cell), **judged, **made_from, 'options': options.to_mapping()})
    if cell.human == NO_HUMAN:
        for episode in _reference(cell, prepared, tests):
            sink({'kind': 'test', 'iteration': 0, **episode})
    elif suite.prediction:
        _predict(cell, suite, prepared, options, sink)
    else:
        _learn(cell, suite, prepared, options, tests, sink)


def _reference(cell: Cell, prepared: Prepared, tests: list[int]) -> list[Record]:
    """The initial policy, or the expert, alone."""
    if cell.method == 'expert':
        episodes = run_episodes(prepared.task, tests, bundle=None, expert=prepared.expert, supervisor=prepared.demonstrator(0.0))
    else:
        episodes = run_episodes(prepared.task, tests, bundle=prepared.initial)
    return [episode.record() for episode in episodes]


def demonstrations(cell: Cell, prepared: Prepared, sink: Sink) -> list[InterventionData]:
    """What every method is given beforehand, from start states that are not used otherwise."""
    if not cell.demonstrations:
        return []
    starts = prepared.starts['train'][-cell.demonstrations :]
    human = prepared.human_config(cell.human)
    supervisor = prepared.demonstrator(human.std, slip=human.slip, bias=human.bias, seed=prepared.seed_of(20))
    episodes = prepared.play(starts, supervisor=supervisor)
    for episode in episodes:
        sink({'kind': 'demonstration', 'iteration': 0, **episode.record()})
    return [to_data(prepared.task, episodes, iteration=0, first=0, demonstration=True)]


def collect(cell: Cell, suite: Suite, prepared: Prepared, bundle: Bundle, iteration: int, sink: Sink) -> InterventionData:
    """The episodes of one iteration, 1 .. N, with the human."""
    count = suite.episodes or prepared.task.offline_episodes
    starts = prepared.starts['train'][(iteration - 1) * count : iteration * count]
    if len(starts) < count:
        msg = f'{cell.name}: got {len(prepared.starts["train"])} start states for training, expected {iteration * count}'
        raise LearnerError(msg)
    if iteration == 1:
        episodes = _first_episodes(prepared.folder, cell.task, cell.seed, prepared.config, cell.human, tuple(starts))
    else:
        episodes = prepared.play(starts, bundle=bundle, supervisor=prepared.human(cell.human, bundle))
    for episode in episodes:
        sink({'kind': 'collect', 'iteration': iteration, **episode.record()})
    return to_data(prepared.task, episodes, iteration=iteration, first=cell.demonstrations + (iteration - 1) * count)


@functools.lru_cache(maxsize=1)
def _first_episodes(
    folder: Path,  # noqa: ARG001 - another home is another preparation
    task: str,
    seed: int,
    preparation: PrepareConfig,
    human: str,
    starts: tuple[int, ...],
) -> list[Episode]:
    """What the first iteration collects: the initial policy flies, so it is the same for every method; such cells follow each other."""
    prepared = prepare(task, seed, preparation, humans=humans_for([human]))
    initial = prepared.bundle(human)
    return prepared.play(list(starts), bundle=initial, supervisor=prepared.human(human, initial))


def fit(
    cell: Cell,
    data: InterventionData,
    start: Bundle,
    iteration: int,
    options: RunOptions,
    sink: Sink,
    *,
    target_rate: float | None = None,
) -> Bundle:
    """Train the cell's method, and record what it was given, how long it took, and what the guards say of it.

    Before the human has acted for the first time most methods have nothing to learn from, and none is trained: `start` stays.

    Raises:
        LearnerError: the method refuses the data, or its weights are not finite.
    """
    config = options.configuration(cell)
    if options.quick and 'epochs' in config.to_mapping() and 'epochs' not in parse_method(cell.method)[1]:
        config = type(config).from_mapping(config.to_mapping() | {'epochs': QUICK_EPOCHS})
    seed = int(np.random.SeedSequence([cell.seed, iteration]).generate_state(1)[0])
    began = time.monotonic()
    method = METHODS[parse_method(cell.method)[0]]
    bundle = method.fit(data, start, config=config, seed=seed) if data.intervening.any() else start
    seconds = round(time.monotonic() - began, 3)
    warnings = training_warnings(data, start, bundle, target_rate)
    digest = hashlib.sha256(data.stacked.tobytes() + data.executed_action.tobytes() + data.intervening.tobytes())
    sink(
        {
            'kind': 'fit',
            'iteration': iteration,
            'seconds': seconds,
            'steps': len(data),
            'interventions': int(data.intervening.sum()),
            'data': digest.hexdigest()[:16],
            'configuration': config.to_mapping(),
            'metrics': _finite(bundle.manifest.metrics) if bundle is not start else {},
        }
    )
    sink({'kind': KIND, 'iteration': iteration, 'method': cell.method, 'warnings': warnings})
    return bundle


def _finite(metrics: Mapping[str, Any]) -> Record:
    """Without numbers that JSON does not have."""
    return {key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in metrics.items()}


def first_bundle(cell: Cell, prepared: Prepared) -> Bundle:
    """The initial bundle, with what the learner believes about the human."""
    bundle, belief = prepared.bundle(cell.human), Belief.of(cell.method)
    if belief.mental_start == 'shown':
        bundle.mental_model = prepared.shown
    bundle.manifest = dataclasses.replace(bundle.manifest, c=bundle.manifest.c * belief.c_scale)
    return bundle


def _learn(cell: Cell, suite: Suite, prepared: Prepared, options: RunOptions, tests: list[int], sink: Sink) -> None:
    """N iterations of k episodes and training, tested now and then with the last policy."""
    bundle, rate = first_bundle(cell, prepared), prepared.human_config(cell.human).rate
    parts = demonstrations(cell, prepared, sink)
    for iteration in range(1, suite.iterations + 1):
        parts.append(collect(cell, suite, prepared, bundle, iteration, sink))
        bundle = fit(cell, InterventionData.concatenate(parts), bundle, iteration, options, sink, target_rate=rate)
        if iteration in suite.test_at:
            for episode in run_episodes(prepared.task, tests, bundle=bundle):
                sink({'kind': 'test', 'iteration': iteration, **episode.record()})


def _predict(cell: Cell, suite: Suite, prepared: Prepared, options: RunOptions, sink: Sink) -> None:
    """Train on the iterations before, predict the interventions of the next: the protocol of the paper's user study.

    The cell's method flies; every other method of the registry that predicts (its attribute `predicts`) is trained on the same data, and as
    often: each iteration goes on from the last. Where the cell's method has a mental model, two more predictors are that method with other
    c and σ than it was told: "calibrated", those of the steps that it was trained on, as `mile calibrate` finds them, and "calibrated
    ahead", those of the iterations that it predicted before.
    """
    others = [name for name in METHODS if name != cell.method and predicts(name) and takes(name, cell.task)]
    bundle, rate = first_bundle(cell, prepared), prepared.human_config(cell.human).rate
    rivals = {name: first_bundle(cell, prepared) for name in others}
    parts: list[InterventionData] = []
    predicted: list[LoggedSteps] = []
    for iteration in range(1, suite.iterations + 1):
        parts.append(collect(cell, suite, prepared, bundle, iteration, sink))
        if iteration > 1:
            past, now = InterventionData.concatenate(parts[:-1]), parts[-1]
            predictions = {cell.method: bundle.act(now.stacked)[1], **{name: rate_predictions(name, past, now) for name in PREDICTORS}}
            if isinstance(bundle.mental_model, Policy):
                trained_on = [steps_of(past, bundle, MEANING)]
                for name, seen in (('calibrated', trained_on), ('calibrated ahead', predicted)):
                    predictions[f'{cell.method}, {name}'] = calibrated(bundle, seen).act(now.stacked)[1]
                predicted.append(steps_of(now, bundle, MEANING))
            for name in others:
                rival_cell = dataclasses.replace(cell, method=name)
                rivals[name] = fit(rival_cell, past, rivals[name], iteration, options, sink, target_rate=rate)
                predictions[name] = rivals[name].act(now.stacked)[1]
            for name, p in predictions.items():
                values = {'p': [round(float(x), DECIMALS) for x in p], 'nu': now.intervening.astype(int).tolist()}
                sink({'kind': 'prediction', 'iteration': iteration, 'predictor': name, **values})
        if iteration < suite.iterations:
            bundle = fit(cell, InterventionData.concatenate(parts), bundle, iteration, options, sink, target_rate=rate)
