"""The DQN expert: snapshots in order of their success, the same from the same seed, and a killed training that goes on."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mile_learner.bench.dqn_expert import Dqn, DqnConfig, Greedy, QValue
from mile_learner.bench.rl_expert import RANKING, rl_expert
from mile_learner.bench.tasks import InitialRecipe, Judged, Task

CONFIG = DqnConfig(steps=600, snapshots=3, judged=4, begin=50, hidden=(16,), batch_size=32)


class KilledError(Exception):
    """Instead of the process."""


def _env() -> gymnasium.Env[Any, Any]:
    return Judged(gymnasium.make('CartPole-v1', max_episode_steps=100), lambda total, _: total >= 15)


def _task(name: str, make: Callable[[], gymnasium.Env[Any, Any]] = _env) -> Task:
    return Task(
        name=name,
        make=make,
        observation_layout=('x', 'vx', 'angle', 'rate'),
        action_dim=2,
        discrete=True,
        horizon=100,
        expert=lambda bias: rl_expert(Dqn(_task(name, make), CONFIG), bias),
        initial=InitialRecipe(guess=0.1, limit=1.0, longest=100),
    )


class _Fragile(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Counts its steps, and ends the training after so many."""

    def __init__(self, env: gymnasium.Env[Any, Any], most: int) -> None:
        super().__init__(env)
        self.steps, self._most = 0, most

    def step(self, action: Any) -> Any:
        if self.steps == self._most:
            raise KilledError
        self.steps += 1
        return self.env.step(action)


def _weights(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    return {path.name: load_file(path) for path in sorted(folder.glob('*.safetensors'))}


def test_greedy_takes_the_action_of_the_greatest_value_and_the_value_is_that_of_the_action() -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.ReLU(), torch.nn.Linear(8, 8), torch.nn.ReLU(), torch.nn.Linear(8, 4))
    observations = torch.randn(50, 3)
    greedy = Greedy(network.state_dict())
    found = [greedy(None, observation.numpy())[0] for observation in observations]
    assert found == network(observations).argmax(dim=1).tolist()
    assert len(set(found)) > 1
    actions = torch.randint(0, 4, (50, 1))
    values = QValue(network.state_dict())(observations.numpy(), actions.numpy().astype(np.float32))
    np.testing.assert_allclose(values, network(observations).gather(1, actions)[:, 0].detach().numpy(), atol=1e-5)


def test_snapshots_are_ranked_and_the_same_seed_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = tmp_path / 'temporary'
    temporary.mkdir()
    monkeypatch.setattr(tempfile, 'tempdir', str(temporary))
    made = []
    for home in ('one', 'two'):
        monkeypatch.setenv('MILE_HOME', str(tmp_path / home))
        _task('cart').expert(0.0)
        made.append(_weights(Dqn(_task('cart'), CONFIG).folder))
    folder = Dqn(_task('cart'), CONFIG).folder
    assert list(made[0]) == ['000000200.safetensors', '000000400.safetensors', '000000600.safetensors']
    for name, weights in made[0].items():
        assert all(torch.equal(value, made[1][name][key]) for key, value in weights.items())
    ranking = json.loads((folder / RANKING).read_text())
    order = [(entry['success'], entry['merit']) for entry in ranking]
    assert order == sorted(order, reverse=True)
    assert sorted(path.name for path in folder.iterdir()) == ['.lock', *made[0], RANKING], 'what was kept for going on is gone'
    assert list(temporary.glob('SB3*')) == [], 'the library left nothing elsewhere'
    observations = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
    taken = [
        [[greedy(None, observation)[0] for observation in observations] for greedy in greedies]
        for greedies in (
            list(map(_task('cart').expert, (0.0, 0.5, 1.0))),
            [Greedy(made[0][entry['snapshot']]) for entry in ranking],
        )
    ]
    assert taken[0] == taken[1]
    assert len({tuple(actions) for actions in taken[0]}) == 3, 'the snapshots differ, or the test could not tell'


def test_a_killed_training_goes_on_from_its_last_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('MILE_HOME', str(tmp_path))
    with pytest.raises(KilledError):
        _task('fragile cart', lambda: _Fragile(_env(), 450)).expert(0.0)
    first = _weights(Dqn(_task('fragile cart'), CONFIG).folder)
    assert list(first) == ['000000200.safetensors', '000000400.safetensors']
    made: list[_Fragile] = []

    def make() -> _Fragile:
        made.append(_Fragile(_env(), 10**6))
        return made[-1]

    _task('fragile cart', make).expert(0.0)
    assert made[0].steps == 200, 'the last third alone was trained anew; the other environments are for the ranking'
    after = _weights(Dqn(_task('fragile cart'), CONFIG).folder)
    assert list(after) == [*first, '000000600.safetensors']
    assert all(torch.equal(value, after[name][key]) for name, weights in first.items() for key, value in weights.items())
