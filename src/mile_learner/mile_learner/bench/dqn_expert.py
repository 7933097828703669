"""DQN of Stable-Baselines3 for an expert where actions are discrete."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import torch

from mile_learner.bench.rl_expert import Algorithm, Network, TrainingConfig, Weights
from mile_learner.config import option
from mile_learner.step import Array


@dataclass(frozen=True)
class DqnConfig(TrainingConfig):
    """The training; its defaults suit LunarLander. The step size falls linearly to 0."""

    begin: int = option(1000, doc='environment steps before the first update', ge=1)
    updates: int = option(2, doc='gradient steps per four environment steps', ge=1)
    target_update: int = option(500, doc='environment steps between copies to the target network', ge=1)
    exploration: float = option(0.2, doc='share of the training in which the probability of a random action falls from 1', gt=0.0, le=1.0)
    random_actions: float = option(0.05, doc='their probability after that', ge=0.0, le=1.0)


class Greedy:
    """The best action by a Q-network."""

    def __init__(self, weights: Weights) -> None:
        """`weights`: as `Network` takes them."""
        self._values = Network(weights)

    def __call__(self, env: gymnasium.Env[Any, Any] | None, observation: Array) -> Array:  # noqa: ARG002
        """The number of the action, (1,)."""
        return np.array([np.argmax(self._values(observation))], np.float32)


class QValue:
    """Q(s, a) by a Q-network."""

    def __init__(self, weights: Weights) -> None:
        """`weights`: as `Network` takes them."""
        self._values = Network(weights)

    def __call__(self, observation: Array, action: Array) -> Array:
        """(n,) for observations (n, d) and actions (n, 1)."""
        return np.take_along_axis(self._values(observation), action.astype(int), axis=1)[:, 0]


class Dqn(Algorithm[DqnConfig]):
    """Deep Q-learning."""

    name = 'DQN'

    def environment(self) -> gymnasium.Env[Any, Any]:
        """The task with numbers for actions."""
        return gymnasium.wrappers.TransformAction(self.task.make(), int, None)

    def model(self, kind: Any, env: gymnasium.Env[Any, Any]) -> Any:
        """Nothing learned yet."""
        config = self.config
        return kind(
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

    def weights(self, model: Any) -> dict[str, torch.Tensor]:
        """The Q-network's."""
        return dict(model.q_net.q_net.state_dict())

    def expert(self, weights: Weights) -> Greedy:
        """Takes the best action."""
        return Greedy(weights)

    def value(self, weights: Weights) -> QValue:
        """What the network was trained for."""
        return QValue(weights)
