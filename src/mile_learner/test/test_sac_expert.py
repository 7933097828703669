"""The SAC expert: what it is given beforehand, that it takes the policy's mode, and that it learns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mile_learner.bench.humans import Always, SimulatedHuman
from mile_learner.bench.rl_expert import RANKING, rl_expert, rl_value
from mile_learner.bench.rollouts import run_episodes, summary
from mile_learner.bench.sac_expert import Sac, SacConfig
from mile_learner.bench.tasks import Expert, InitialRecipe, Task
from mile_learner.step import Array

sb3 = pytest.importorskip('stable_baselines3')
CONFIG = SacConfig(
    steps=400,
    snapshots=4,
    judged=20,
    hidden=(16, 16),
    batch_size=64,
    prior=10,
    longest=30,
    best_reward=1.0,
    learning_rate=0.01,
    discount=0.9,
)


class _Slide(gymnasium.Env[Any, Any]):
    """A point on a line, to be moved to 0; the nearer it is, the greater the reward of a step."""

    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
    observation_space = gymnasium.spaces.Box(-2.0, 2.0, (1,))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed, options=options)
        self.x = self.np_random.choice([-1.0, 1.0]) * self.np_random.uniform(0.5, 1.0)
        return np.array([self.x]), {'success': False}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.x = float(np.clip(self.x + 0.1 * float(action[0]), -1.5, 1.5))
        success = abs(self.x) < 0.1
        return np.array([self.x]), 1.0 - abs(self.x), success, False, {'success': success}


def _prior(env: gymnasium.Env[Any, Any], observation: Array) -> Array:  # noqa: ARG001
    """Believes the goal elsewhere: succeeds from one side, on its way there."""
    return np.clip(-10.0 * (observation + 0.2), -1.0, 1.0).astype(np.float32)


TASK = Task(
    name='slide',
    make=_Slide,
    observation_layout=('x',),
    action_dim=1,
    discrete=False,
    horizon=30,
    expert=lambda bias: rl_expert(ALGORITHM, bias),
    initial=InitialRecipe(guess=0.5, limit=1.0, longest=30),
)
ALGORITHM = Sac(TASK, CONFIG, _prior)


def _success(expert: Expert) -> float:
    alone = SimulatedHuman(Always(), std=0.0, slip=0.0, actions=None, seed=0)
    return summary(list(run_episodes(TASK, range(40), bundle=None, expert=expert, supervisor=alone)))['success']


def test_the_replay_buffer_begins_with_the_prior_episodes() -> None:
    env = ALGORITHM.environment()
    buffer = ALGORITHM.model(sb3.SAC, env).replay_buffer
    count = buffer.pos
    observations, rewards, dones = buffer.observations[:count, 0], buffer.rewards[:count, 0], buffer.dones[:count, 0]
    assert 0 < dones.sum() < CONFIG.prior, 'those that were cut by the time limit are not marked as ended'
    assert rewards.max() <= 0.0, 'success, which ends an episode, is better than any step more'
    assert rewards[dones == 1].min() > -0.1
    same = np.all(buffer.next_observations[: count - 1, 0] == observations[1:], axis=1)
    assert same.sum() == count - CONFIG.prior
    assert np.abs(buffer.actions[:count]).max() <= 1.0
    assert (observations.mean(), observations.std()) == (pytest.approx(0.0, abs=0.1), pytest.approx(1.0, abs=0.1))
    assert env.observation_space.contains(env.reset(seed=0)[0])
    steps = [env.step(np.zeros(1, np.float32)) for _ in range(CONFIG.longest)]
    assert [step[3] for step in steps] == [False] * (CONFIG.longest - 1) + [True]
    assert steps[0][1] == pytest.approx(-abs(env.unwrapped.x))


def test_the_expert_takes_the_mode_of_the_policy() -> None:
    env = ALGORITHM.environment()
    model = ALGORITHM.model(sb3.SAC, env)
    expert = ALGORITHM.expert(ALGORITHM.weights(model))
    for seed in range(20):
        observation, _ = env.reset(seed=seed)
        raw = env.unwrapped.reset(seed=seed)[0]
        np.testing.assert_allclose(expert(env, np.asarray(raw, np.float32)), model.predict(observation, deterministic=True)[0], atol=1e-5)


def test_the_value_is_the_smaller_one_of_both_critics() -> None:
    env = ALGORITHM.environment()
    model = ALGORITHM.model(sb3.SAC, env)
    value = ALGORITHM.value(ALGORITHM.weights(model))
    rng = np.random.default_rng(0)
    raw, action = rng.uniform(-1, 1, (200, 1)).astype(np.float32), rng.uniform(-1, 1, (200, 1)).astype(np.float32)
    standard = np.stack([env.env.observation(observation) for observation in raw])  # below TransformReward
    with torch.no_grad():
        critics = torch.cat(model.critic(torch.from_numpy(standard), torch.from_numpy(action)), dim=1)
    np.testing.assert_allclose(value(raw, action), critics.min(dim=1).values.numpy(), atol=1e-5)
    assert {0, 1} == set(critics.argmin(dim=1).tolist()), 'or the test could not tell them apart'


def test_it_learns_what_its_prior_cannot_and_the_same_seed_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for home in ('one', 'two'):
        monkeypatch.setenv('MILE_HOME', str(tmp_path / home))
        expert = TASK.expert(0.0)
        made.append(load_file(ALGORITHM.folder / '000000400.safetensors'))
    assert all((made[0][name] == made[1][name]).all() for name in made[0])
    assert _success(expert) > max(0.8, _success(_prior) + 0.1)
    there = np.array([[0.7], [-0.7]], np.float32)
    value = rl_value(ALGORITHM)
    assert (value(there, -np.sign(there)) > value(there, np.sign(there))).all(), 'towards the goal is better than away from it'
    ranking = json.loads((ALGORITHM.folder / RANKING).read_text())
    assert [entry['success'] for entry in ranking] == sorted((entry['success'] for entry in ranking), reverse=True)


def test_of_two_that_always_succeed_the_faster_is_better() -> None:
    fast, slow = ({'success': 1.0, 'return': 0.5 * steps, 'steps': float(steps)} for steps in (10, 20))
    assert ALGORITHM.merit(fast) > ALGORITHM.merit(slow)
