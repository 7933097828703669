"""SAC of Stable-Baselines3 for an expert where actions are continuous, with episodes of another expert in its replay buffer.

So that an expert takes minutes, the buffer begins with noisy episodes of the task's scripted controller (reinforcement learning with
prior data: Ball et al., "Efficient Online Reinforcement Learning with Offline Data", 2023, in its simplest form), and what the networks see
is standardised by these episodes: positions in metres differ by centimetres. On drawer-open, one training each, SAC first succeeded in all
of 20 episodes after 15 000 steps with both, after 35 000 with the standardisation alone, and within 45 000 not at all with the prior
episodes alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray

from mile_learner.bench.humans import Always, SimulatedHuman
from mile_learner.bench.rl_expert import Algorithm, Network, TrainingConfig, Weights
from mile_learner.bench.rollouts import Episode, run_episodes
from mile_learner.bench.tasks import Expert, Task
from mile_learner.config import option
from mile_learner.step import Array

_PRIOR_FROM = 7 * 10**8
_LEAST_STD = 0.01


@dataclass(frozen=True)
class SacConfig(TrainingConfig):
    """The training; its defaults suit Meta-World."""

    steps: int = option(30_000, doc='environment steps', ge=1)
    snapshots: int = option(60, doc='evenly spread over the training', ge=2)
    batch_size: int = option(256, doc='transitions per gradient step', ge=1)
    prior: int = option(40, doc='episodes of the other expert in the replay buffer', ge=1)
    noises: tuple[float, ...] = option((0.05, 0.3, 0.6), doc='standard deviations of the noise on their actions, in turn', ge=0.0)
    longest: int = option(200, doc='steps after which an episode of the training is cut', ge=1)
    best_reward: float = option(10.0, doc='greatest reward of a step, which is taken off: success, which ends it, is then the best', gt=0.0)


@dataclass(frozen=True)
class Sight:
    """An observation as the networks see it: less an offset, (d,), by a scale, (d,)."""

    offset: Array
    scale: Array

    @classmethod
    def of(cls, weights: Weights) -> Sight:
        """`weights`: as `Sac.weights` gives them."""
        return cls(weights['offset'].numpy(), weights['scale'].numpy())

    def __call__(self, observation: Array) -> Array:
        """(..., d) for (..., d)."""
        return np.asarray((observation - self.offset) / self.scale, np.float32)


class MeanAction:
    """The mode of a tanh-squashed Gaussian policy."""

    def __init__(self, weights: Weights) -> None:
        """`weights`: as `Sac.weights` gives them."""
        self._network, self._seen = Network(weights, 'actor'), Sight.of(weights)

    def __call__(self, env: gymnasium.Env[Any, Any] | None, observation: Array) -> Array:  # noqa: ARG002
        """The action, (A,) in [-1, 1]."""
        return np.asarray(np.tanh(self._network(self._seen(observation))), np.float32)


class SmallerValue:
    """The smaller one of the two critics' Q(s, a), which is what SAC learns from; rewards as the training has them."""

    def __init__(self, weights: Weights) -> None:
        """`weights`: as `Sac.weights` gives them."""
        self._critics, self._seen = [Network(weights, f'critic.qf{k}') for k in (0, 1)], Sight.of(weights)

    def __call__(self, observation: Array, action: Array) -> Array:
        """(n,) for observations (n, d) and actions (n, A)."""
        inputs = np.concatenate([self._seen(observation), action], axis=1)
        return np.minimum(*(critic(inputs)[:, 0] for critic in self._critics))


class Sac(Algorithm[SacConfig]):
    """Soft actor-critic with prior data."""

    name = 'SAC'

    def __init__(self, task: Task, config: SacConfig, prior: Expert) -> None:
        """`prior`: whose episodes are in the replay buffer at the beginning."""
        super().__init__(task, config)
        self._prior = prior

    @cached_property
    def _episodes(self) -> list[Episode]:
        found: list[Episode] = []
        for k in range(self.config.prior):
            noise = self.config.noises[k % len(self.config.noises)]
            teacher = SimulatedHuman(Always(), std=noise, slip=0.0, actions=None, seed=self.config.seed)
            found += run_episodes(self.task, [_PRIOR_FROM + k], bundle=None, expert=self._prior, supervisor=teacher)
        return found

    @cached_property
    def _sight(self) -> Sight:
        seen = np.concatenate([episode.observations for episode in self._episodes])
        return Sight(seen.mean(axis=0), seen.std(axis=0) + np.float32(_LEAST_STD))

    def _reward(self, reward: Any) -> Any:
        return reward / self.config.best_reward - 1.0

    def environment(self) -> gymnasium.Env[Any, Any]:
        """The task with standardised observations, in which every step costs something until it succeeds."""
        env = gymnasium.wrappers.TimeLimit(self.task.make(), self.config.longest)
        space = gymnasium.spaces.Box(-np.inf, np.inf, (len(self.task.observation_layout),), np.float32)
        return gymnasium.wrappers.TransformReward(gymnasium.wrappers.TransformObservation(env, self._sight, space), self._reward)

    def model(self, kind: Any, env: gymnasium.Env[Any, Any]) -> Any:
        """Nothing learned yet, the prior episodes in its replay buffer."""
        config = self.config
        model = kind(
            'MlpPolicy',
            env,
            learning_rate=config.learning_rate,
            batch_size=config.batch_size,
            buffer_size=config.buffer,
            learning_starts=0,
            gamma=config.discount,
            policy_kwargs={'net_arch': list(config.hidden)},
            seed=config.seed,
        )
        for episode in self._episodes:
            observations, last = self._sight(episode.observations), len(episode.reward) - 1
            for t, action in enumerate(episode.human_action):
                done = np.array([t == last and episode.terminated])
                reward: NDArray[np.float64] = np.array([self._reward(float(episode.reward[t]))])
                model.replay_buffer.add(observations[t], observations[t + 1], action, reward, done, [{}])
        return model

    def merit(self, result: Mapping[str, float]) -> float:
        """What the training maximises, undiscounted: by the task's own rewards the slowest success would be the best."""
        return result['return'] / self.config.best_reward - result['steps']

    def weights(self, model: Any) -> dict[str, torch.Tensor]:
        """Those of the actor's mode and of both critics, and how they see."""
        actor = {f'actor.{name}': value for name, value in model.actor.state_dict().items() if name.startswith(('latent_pi', 'mu'))}
        critic = {f'critic.{name}': value for name, value in model.critic.state_dict().items()}
        offset, scale = (torch.from_numpy(value.copy()) for value in (self._sight.offset, self._sight.scale))
        return {**actor, **critic, 'offset': offset, 'scale': scale}

    def expert(self, weights: Weights) -> MeanAction:
        """Takes the mode."""
        return MeanAction(weights)

    def value(self, weights: Weights) -> SmallerValue:
        """What the actor was trained by."""
        return SmallerValue(weights)
