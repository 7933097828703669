"""The worth of actions under the environment's expert: fitted Q-evaluation, for the human that judges by values.

Q(s, a) <- r + gamma Q(s', expert(s')), fitted to episodes in which the expert, the initial policy and chance take turns. In RLIF
the human's Q is that of an expert trained by reinforcement learning; here the expert is scripted, and its Q is fitted to the environment's
reward.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn import functional

from mile_learner.bench.rollouts import Episode
from mile_learner.bench.tasks import Task
from mile_learner.config import Config, option
from mile_learner.files import write_atomically
from mile_learner.history import stack_episode
from mile_learner.policy import INPUT_CLAMP
from mile_learner.step import Array


@dataclass(frozen=True)
class ValueConfig(Config):
    """Fitted Q-evaluation."""

    episodes: int = option(60, doc='episodes that are played for it', ge=1)
    gamma: float = option(0.95, doc='discount', gt=0.0, lt=1.0)
    steps: int = option(3000, doc='gradient steps', ge=1)
    batch_size: int = option(256, doc='transitions per gradient step', ge=1)
    learning_rate: float = option(1e-3, doc='step size of Adam', gt=0.0)
    target: float = option(0.02, doc='share of the new network in the target network, per step', gt=0.0, le=1.0)
    std_floor: float = option(1e-2, doc='floor of the input normaliser [unit of the observation]', gt=0.0)


@dataclass(frozen=True)
class Transitions:
    """(s, a, r, s', a' = expert(s'), done), N of them; discrete actions as numbers of width 1."""

    stacked: Array
    action: Array
    reward: Array
    next_stacked: Array
    next_action: Array
    done: NDArray[np.bool_]


def transitions(task: Task, episodes: list[Episode]) -> Transitions:
    """What fitted Q-evaluation needs; the last step of an episode that ran out of time has no next action, and is left out."""
    parts: list[list[np.ndarray[Any, Any]]] = []
    for e in episodes:
        count = len(e.reward) - (0 if e.terminated else 1)
        stacked = stack_episode(e.observations, task.history)
        executed = np.where(e.intervening[:, None], e.human_action, e.robot_action)
        following = np.concatenate([e.oracle_action[1:], e.oracle_action[-1:]])
        done = np.arange(len(e.reward)) == len(e.reward) - 1
        parts.append([stacked[:count], executed[:count], e.reward[:count], stacked[1 : count + 1], following[:count], done[:count]])
    return Transitions(*(np.concatenate(column) for column in zip(*parts, strict=True)))


class Turns:
    """A supervisor for exploration: expert, robot and random actions take turns of ten steps; the random ones last one turn in four."""

    def __init__(self, low: float, high: float, *, discrete: bool, seed: int) -> None:
        """`low`, `high`: range of random actions; `high` is not reached by discrete ones."""
        self._low, self._high, self._discrete, self._seed = low, high, discrete, seed
        self._rngs: list[np.random.Generator] = []
        self._step = 0

    def begin(self, starts: Sequence[int]) -> None:
        """A batch of episodes begins."""
        self._rngs = [np.random.default_rng([self._seed, start]) for start in starts]
        self._turn = np.zeros(len(starts), dtype=int)
        self._step = 0

    def decide(self, rows: NDArray[np.int64], stacked: Array, robot_action: Array, expert_action: Array) -> tuple[NDArray[np.bool_], Array]:  # noqa: ARG002
        """Whether not the robot, and by which action."""
        if self._step % 10 == 0:
            self._turn = np.array([rng.integers(4) for rng in self._rngs])
        self._step += 1
        turn = self._turn[rows]
        chance = np.stack([self._rngs[row].uniform(self._low, self._high, expert_action.shape[1:]) for row in rows])
        chance = np.floor(chance) if self._discrete else chance
        return turn != 0, np.where((turn == 1)[:, None], chance, expert_action).astype(np.float32)


class ActionValue(nn.Module):
    """Q(s, a) of stacked observations (B, H*d) and actions (B, A)."""

    input_mean: Tensor
    input_std: Tensor

    def __init__(self, input_dim: int, actions: int | None, width: int, hidden: tuple[int, ...]) -> None:
        """`actions`: number of discrete actions, None where they are continuous with `width` components."""
        super().__init__()
        self.actions = actions
        self.register_buffer('input_mean', torch.zeros(input_dim))
        self.register_buffer('input_std', torch.ones(input_dim))
        sizes = (input_dim + (width if actions is None else actions), *hidden)
        layers = [part for low, high in itertools.pairwise(sizes) for part in (nn.Linear(low, high), nn.ReLU())]
        self.body = nn.Sequential(*layers, nn.Linear(sizes[-1], 1))

    def forward(self, stacked: Tensor, action: Tensor) -> Tensor:
        """Q(s, a), (B,)."""
        z = ((stacked - self.input_mean) / self.input_std).clamp(-INPUT_CLAMP, INPUT_CLAMP)
        a = action if self.actions is None else functional.one_hot(action[:, 0].long(), self.actions).float()
        return self.body(torch.cat([z, a], dim=1)).squeeze(-1)  # type: ignore[no-any-return]

    def advantage(self, stacked: Array, better: Array, worse: Array) -> NDArray[np.float32]:
        """Q(s, better) - Q(s, worse), (B,)."""
        with torch.inference_mode():
            s = torch.from_numpy(stacked)
            return np.asarray((self(s, torch.from_numpy(better)) - self(s, torch.from_numpy(worse))).numpy())

    def save(self, path: Path) -> None:
        """Write the weights, in one step."""
        write_atomically(path, save(self.state_dict()))

    def restore(self, path: Path) -> ActionValue:
        """Read weights that `save` wrote."""
        self.load_state_dict(load_file(path))
        return self.eval()


def fit_value(value: ActionValue, data: Transitions, config: ValueConfig, *, seed: int) -> dict[str, float]:
    """Train in place; the report says how often the expert's action is worth more than a random one, which a useful value must know."""
    generator = torch.Generator().manual_seed(seed)
    s, a, s2, a2 = (torch.from_numpy(x) for x in (data.stacked, data.action, data.next_stacked, data.next_action))
    r, alive = torch.from_numpy(data.reward), torch.from_numpy(~data.done).float()
    scale = r.std(correction=0).clamp_min(1e-6)
    value.input_mean.copy_(s.mean(dim=0))
    value.input_std.copy_(s.std(dim=0, correction=0).clamp_min(config.std_floor))
    target = copy.deepcopy(value)
    optimizer = torch.optim.Adam(value.parameters(), lr=config.learning_rate)
    loss = torch.zeros(())
    for _ in range(config.steps):
        rows = torch.randint(len(s), (min(config.batch_size, len(s)),), generator=generator)
        with torch.no_grad():
            goal = r[rows] / scale + config.gamma * alive[rows] * target(s2[rows], a2[rows])
        loss = functional.mse_loss(value(s[rows], a[rows]), goal)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for old, new in zip(target.parameters(), value.parameters(), strict=True):
                old.lerp_(new, config.target)
    value.eval()
    order = torch.randperm(len(s), generator=generator)
    gain = value.advantage(data.next_stacked, data.next_action, data.action[order.numpy()])
    differs = (data.next_action != data.action[order.numpy()]).any(axis=1)
    return {'loss': loss.item(), 'reward_scale': scale.item(), 'expert_over_random': float((gain[differs] > 0).mean())}
