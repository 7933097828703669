"""An expert by reinforcement learning, as the paper's are, and worse ones from the same training, by Stable-Baselines3.

    <home>/bench/<algorithm>-<task>-<hash>/<steps>.safetensors ranking.json

A training leaves snapshots of what its expert needs. They are ranked by their success; the best is the expert, and the further down the
ranking, the worse its advice: the paper's "suboptimal" policies. One training serves all seeds of a comparison. Killed, it goes on from its
last snapshot with the same replay buffer and a new episode; uninterrupted, the same seed gives the same weights on the same machine.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import gymnasium
import numpy as np
import torch
from safetensors.torch import load_file, save
from tqdm import tqdm

from mile_learner.bench.home import bench_home, locked
from mile_learner.bench.humans import Always, SimulatedHuman
from mile_learner.bench.rollouts import run_episodes, summary
from mile_learner.bench.tasks import ActionValue, Expert, Task
from mile_learner.config import Config, option
from mile_learner.errors import LearnerError
from mile_learner.files import write_atomically
from mile_learner.step import Array

RANKING = 'ranking.json'
Weights = Mapping[str, torch.Tensor]
_MODEL, _BUFFER = 'training.zip', 'training.pkl'
_JUDGED_FROM = 6 * 10**8


@dataclass(frozen=True)
class TrainingConfig(Config):
    """What every training has; the defaults are for an algorithm to change."""

    steps: int = option(400_000, doc='environment steps', ge=1)
    snapshots: int = option(30, doc='evenly spread over the training', ge=2)
    judged: int = option(30, doc='episodes by which a snapshot is ranked', ge=1)
    learning_rate: float = option(5e-4, doc='step size of Adam', gt=0.0, le=1.0)
    batch_size: int = option(64, doc='transitions per gradient step', ge=1)
    buffer: int = option(100_000, doc='transitions that are kept', ge=1)
    discount: float = option(0.99, doc='gamma, per step', ge=0.0, lt=1.0)
    hidden: tuple[int, ...] = option((128, 128), doc='widths of the hidden layers', ge=1)
    seed: int = option(0, doc='of everything random', ge=0)


TrainingConfigT = TypeVar('TrainingConfigT', bound=TrainingConfig)


class Network:
    """Linear layers with ReLU between them, in numpy: for one observation at a time that is faster than torch."""

    def __init__(self, weights: Weights, prefix: str = '') -> None:
        """The layers are those whose names begin with `prefix`; they sort in their order, as those of a torch.nn.Sequential do."""
        names = sorted(name for name in weights if name.startswith(prefix) and name.endswith('weight'))
        self._layers = [(weights[name].numpy().T, weights[name.replace('weight', 'bias')].numpy()) for name in names]

    def __call__(self, inputs: Array) -> Array:
        """The outputs, (..., k), for inputs (..., d)."""
        value = inputs
        for weight, bias in self._layers[:-1]:
            value = np.maximum(value @ weight + bias, 0.0)
        weight, bias = self._layers[-1]
        return np.asarray(value @ weight + bias)


class Algorithm(ABC, Generic[TrainingConfigT]):
    """What has to be known of an algorithm to train an expert of a task with it."""

    name: ClassVar[str]
    """Of its class in Stable-Baselines3."""

    def __init__(self, task: Task, config: TrainingConfigT) -> None:
        self.task, self.config = task, config

    @abstractmethod
    def environment(self) -> gymnasium.Env[Any, Any]:
        """The task as it is trained on."""

    @abstractmethod
    def model(self, kind: Any, env: gymnasium.Env[Any, Any]) -> Any:
        """A model of the library's class `kind`, before its first step."""

    @abstractmethod
    def weights(self, model: Any) -> dict[str, torch.Tensor]:
        """What of a model its expert and its value need."""

    @abstractmethod
    def expert(self, weights: Weights) -> Expert:
        """Who acts with these weights."""

    @abstractmethod
    def value(self, weights: Weights) -> ActionValue:
        """Q(s, a) by these weights."""

    def merit(self, result: Mapping[str, float]) -> float:
        """What ranks snapshots that succeed equally often, given the `summary` of their episodes: the return."""
        return result['return']

    @property
    def folder(self) -> Path:
        """Where the training belongs."""
        digest = hashlib.sha256(json.dumps([self.task.name, self.config.to_mapping()], sort_keys=True).encode()).hexdigest()
        return bench_home() / f'{self.name.lower()}-{self.task.name}-{digest[:10]}'


def rl_expert(algorithm: Algorithm[Any], bias: float) -> Expert:
    """The snapshot at the fraction `bias` of the ranking (0: the best, 1: the worst), trained where it is missing.

    Raises:
        LearnerError: Stable-Baselines3 is not installed, and there is nothing trained yet.
    """
    return algorithm.expert(_snapshot(algorithm, bias))


def rl_value(algorithm: Algorithm[Any]) -> ActionValue:
    """Q(s, a) of the best snapshot; as `rl_expert`."""
    return algorithm.value(_snapshot(algorithm, 0.0))


def _snapshot(algorithm: Algorithm[Any], bias: float) -> Weights:
    folder = algorithm.folder
    if not (folder / RANKING).is_file():
        with locked(folder):
            if not (folder / RANKING).is_file():
                _train(folder, algorithm)
                _rank(folder, algorithm)
    ranking = json.loads((folder / RANKING).read_text(encoding='utf-8'))
    return _weights(folder / ranking[round(min(bias, 1.0) * (len(ranking) - 1))]['snapshot'])


@functools.lru_cache(maxsize=8)
def _weights(path: Path) -> Weights:
    return load_file(path)


def _train(folder: Path, algorithm: Algorithm[Any]) -> None:
    """Leave the snapshots in `folder`; goes on after the last one that is there."""
    try:
        library: Any = importlib.import_module('stable_baselines3')
        callbacks: Any = importlib.import_module('stable_baselines3.common.callbacks')
        logger: Any = importlib.import_module('stable_baselines3.common.logger')
    except ImportError as error:
        msg = f'stable-baselines3: is not installed; `pip install stable-baselines3` to train the {algorithm.name} expert'
        raise LearnerError(msg) from error
    config, kind = algorithm.config, getattr(library, algorithm.name)
    every = math.ceil(config.steps / config.snapshots)
    env = algorithm.environment()
    if (folder / _MODEL).is_file():
        model = kind.load(folder / _MODEL, env=env)
        model.load_replay_buffer(folder / _BUFFER)
    else:
        model = algorithm.model(kind, env)
    model.set_logger(logger.Logger(folder=None, output_formats=[]))  # its own leaves an empty folder behind
    with tqdm(total=config.steps, initial=model.num_timesteps, unit='step', desc=f'training {algorithm.name}') as bar:

        class Snapshots(callbacks.BaseCallback):  # type: ignore[misc]
            """Keeps one now and then."""

            def _on_step(self) -> bool:
                bar.update()
                if self.num_timesteps % every == 0 or self.num_timesteps == config.steps:
                    _keep(folder, algorithm, self.model)
                return True

        model.learn(config.steps - model.num_timesteps, callback=Snapshots(), reset_num_timesteps=False)


def _keep(folder: Path, algorithm: Algorithm[Any], model: Any) -> None:
    """A snapshot, and what going on from it takes; nothing of it is ever half-written."""
    write_atomically(folder / f'{model.num_timesteps:09}.safetensors', save(algorithm.weights(model)))
    for name, write in ((_BUFFER, model.save_replay_buffer), (_MODEL, model.save)):
        write(folder / f'new-{name}')
        (folder / f'new-{name}').replace(folder / name)


def _rank(folder: Path, algorithm: Algorithm[Any]) -> None:
    """Write the ranking, best first: by success, then by merit; and remove what was kept for going on."""
    task = algorithm.task
    alone = SimulatedHuman(Always(), std=0.0, slip=0.0, actions=task.action_dim if task.discrete else None, seed=0)
    starts = range(_JUDGED_FROM, _JUDGED_FROM + algorithm.config.judged)
    found = []
    for path in tqdm(sorted(folder.glob('*.safetensors')), unit='snapshot', desc='ranking'):
        expert = algorithm.expert(load_file(path))
        result = summary(list(run_episodes(task, starts, bundle=None, expert=expert, supervisor=alone)))
        found.append({'snapshot': path.name, 'success': result['success'], 'merit': algorithm.merit(result), 'return': result['return']})
    found.sort(key=lambda entry: (entry['success'], entry['merit']), reverse=True)
    write_atomically(folder / RANKING, (json.dumps(found, indent=1) + '\n').encode())
    for name in (_MODEL, _BUFFER):
        (folder / name).unlink()
