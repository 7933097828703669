"""An expert by reinforcement learning, as the paper's are, and worse ones from the same training: DQN of Stable-Baselines3.

    <home>/bench/dqn-<hash>/<steps>.safetensors ranking.json

A training leaves snapshots of its Q-network. They are ranked by their success; the best is the expert, and the further down the ranking,
the worse its advice: the paper's "suboptimal DQN". One training serves all seeds of a comparison. Killed, it goes on from its last snapshot
with the same replay buffer and a new episode; uninterrupted, the same seed gives the same weights on the same machine.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from safetensors.torch import load_file, save
from tqdm import tqdm

from mile_learner.bench.home import bench_home, locked
from mile_learner.bench.humans import Always, SimulatedHuman
from mile_learner.bench.rollouts import run_episodes, summary
from mile_learner.bench.tasks import Task
from mile_learner.config import Config, option
from mile_learner.errors import LearnerError
from mile_learner.files import write_atomically
from mile_learner.step import Array

RANKING = 'ranking.json'
_MODEL, _BUFFER = 'training.zip', 'training.pkl'
_JUDGED_FROM = 6 * 10**8


@dataclass(frozen=True)
class DqnConfig(Config):
    """The training; its defaults suit LunarLander."""

    steps: int = option(400_000, doc='environment steps', ge=1)
    snapshots: int = option(30, doc='evenly spread over the training', ge=2)
    judged: int = option(30, doc='episodes by which a snapshot is ranked', ge=1)
    learning_rate: float = option(5e-4, doc='step size of Adam at the beginning; it falls linearly to 0', gt=0.0, le=1.0)
    batch_size: int = option(64, doc='transitions per gradient step', ge=1)
    buffer: int = option(100_000, doc='transitions that are kept', ge=1)
    begin: int = option(1000, doc='environment steps before the first update', ge=1)
    discount: float = option(0.99, doc='gamma, per step', ge=0.0, lt=1.0)
    updates: int = option(2, doc='gradient steps per four environment steps', ge=1)
    target_update: int = option(500, doc='environment steps between copies to the target network', ge=1)
    exploration: float = option(0.2, doc='share of the training in which the probability of a random action falls from 1', gt=0.0, le=1.0)
    random_actions: float = option(0.05, doc='their probability after that', ge=0.0, le=1.0)
    hidden: tuple[int, ...] = option((128, 128), doc='widths of the hidden layers', ge=1)
    seed: int = option(0, doc='of everything random', ge=0)


class Greedy:
    """The best action by a Q-network."""

    def __init__(self, weights: dict[str, torch.Tensor]) -> None:
        """`weights`: of linear layers with ReLU between them, named as in a torch.nn.Sequential."""
        layers = [(weights[name], weights[name.replace('weight', 'bias')]) for name in sorted(weights) if name.endswith('weight')]
        self._layers = [(weight.numpy(), bias.numpy()) for weight, bias in layers]

    def __call__(self, env: gymnasium.Env[Any, Any] | None, observation: Array) -> Array:  # noqa: ARG002
        """The number of the action, (1,)."""
        value = observation
        for weight, bias in self._layers[:-1]:
            value = np.maximum(weight @ value + bias, 0.0)
        weight, bias = self._layers[-1]
        return np.array([np.argmax(weight @ value + bias)], np.float32)


def dqn_folder(name: str, config: DqnConfig) -> Path:
    """Where the training of that name and configuration belongs."""
    digest = hashlib.sha256(json.dumps([name, config.to_mapping()], sort_keys=True).encode()).hexdigest()
    return bench_home() / f'dqn-{name}-{digest[:10]}'


def dqn_expert(task: Task, config: DqnConfig, bias: float) -> Greedy:
    """The snapshot at the fraction `bias` of the ranking (0: the best, 1: the worst), trained where it is missing.

    Args:
        task: with discrete actions.
        config: of the training.
        bias: 0 to 1.

    Raises:
        LearnerError: Stable-Baselines3 is not installed, and there is nothing trained yet.
    """
    folder = dqn_folder(task.name, config)
    if not (folder / RANKING).is_file():
        with locked(folder):
            if not (folder / RANKING).is_file():
                _train(folder, task, config)
                _rank(folder, task, config)
    ranking = json.loads((folder / RANKING).read_text(encoding='utf-8'))
    return _greedy(folder / ranking[round(min(bias, 1.0) * (len(ranking) - 1))]['snapshot'])


@functools.lru_cache(maxsize=8)
def _greedy(path: Path) -> Greedy:
    return Greedy(load_file(path))


def _train(folder: Path, task: Task, config: DqnConfig) -> None:
    """Leave the snapshots in `folder`; goes on after the last one that is there."""
    try:
        library: Any = importlib.import_module('stable_baselines3')
        callbacks: Any = importlib.import_module('stable_baselines3.common.callbacks')
        logger: Any = importlib.import_module('stable_baselines3.common.logger')
    except ImportError as error:
        msg = 'stable-baselines3: is not installed; `pip install stable-baselines3` into this environment to train a DQN expert'
        raise LearnerError(msg) from error
    every = math.ceil(config.steps / config.snapshots)
    env = gymnasium.wrappers.TransformAction(task.make(), int, None)
    if (folder / _MODEL).is_file():
        model = library.DQN.load(folder / _MODEL, env=env)
        model.load_replay_buffer(folder / _BUFFER)
    else:
        model = library.DQN(
            'MlpPolicy',
            env,
            learning_rate=lambda remaining: config.learning_rate * remaining,
            batch_size=config.batch_size,
            buffer_size=config.buffer,
            learning_starts=config.begin,
            gamma=config.discount,
            target_update_interval=config.target_update,
            train_freq=4,
            gradient_steps=config.updates,
            exploration_fraction=config.exploration,
            exploration_final_eps=config.random_actions,
            policy_kwargs={'net_arch': list(config.hidden)},
            seed=config.seed,
        )
    model.set_logger(logger.Logger(folder=None, output_formats=[]))  # its own leaves an empty folder behind
    with tqdm(total=config.steps, initial=model.num_timesteps, unit='step', desc='training DQN') as bar:

        class Snapshots(callbacks.BaseCallback):  # type: ignore[misc]
            """Keeps one now and then."""

            def _on_step(self) -> bool:
                bar.update()
                if self.num_timesteps % every == 0 or self.num_timesteps == config.steps:
                    _keep(self.model, folder)
                return True

        model.learn(config.steps - model.num_timesteps, callback=Snapshots(), reset_num_timesteps=False)


def _keep(model: Any, folder: Path) -> None:
    """A snapshot, and what going on from it takes; nothing of it is ever half-written."""
    write_atomically(folder / f'{model.num_timesteps:09}.safetensors', save(model.q_net.q_net.state_dict()))
    for name, write in ((_BUFFER, model.save_replay_buffer), (_MODEL, model.save)):
        write(folder / f'new-{name}')
        (folder / f'new-{name}').replace(folder / name)


def _rank(folder: Path, task: Task, config: DqnConfig) -> None:
    """Write the ranking, best first: by success, then by return; and remove what was kept for going on."""
    alone = SimulatedHuman(Always(), std=0.0, slip=0.0, actions=task.action_dim, seed=0)
    starts = range(_JUDGED_FROM, _JUDGED_FROM + config.judged)
    found = []
    for path in tqdm(sorted(folder.glob('*.safetensors')), unit='snapshot', desc='ranking'):
        result = summary(list(run_episodes(task, starts, bundle=None, expert=_greedy(path), supervisor=alone)))
        found.append({'snapshot': path.name, 'success': result['success'], 'return': result['return']})
    found.sort(key=lambda entry: (entry['success'], entry['return']), reverse=True)
    write_atomically(folder / RANKING, (json.dumps(found, indent=1) + '\n').encode())
    for name in (_MODEL, _BUFFER):
        (folder / name).unlink()
