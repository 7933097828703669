"""Episodes of the simulated task in several processes: demonstrations by a teacher, and a policy with or without the operator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from tqdm import tqdm

from mile_learner.bundle import Bundle
from mile_learner.processes import make_pool
from mile_learner.rollout import Rollout, rollout
from mile_learner.step import Array
from mile_learner.task import TaskConfig
from mile_sim.block_insertion import BlockInsertion, observe
from mile_sim.expert import Expert, ExpertConfig
from mile_sim.operator import SimulatedHuman, load_operator

T = TypeVar('T')


class Run(Protocol):
    """Applies a function to every state seed and shows progress under a name; results in the order of the seeds."""

    def __call__(self, function: Callable[[int], T], seeds: Sequence[int], name: str) -> list[T]: ...


_environment: BlockInsertion
_bundles: dict[Path, Bundle] = {}


@dataclass(frozen=True)
class Demonstration:
    """One demonstration of T ticks: observations (T, d), the actions that the teacher meant (T, 4), and whether it succeeded."""

    observations: Array
    actions: Array
    success: bool


@contextmanager
def episode_runner(task: TaskConfig, workers: int) -> Iterator[Run]:
    """A `Run` over `workers` processes (1: this one), each with its own environment."""

    def show(results: Iterable[T], count: int, name: str) -> list[T]:
        return list(tqdm(results, total=count, desc=name, unit='episode'))

    if workers == 1:
        _open(task)
        yield lambda function, seeds, name: show(map(function, seeds), len(seeds), name)
        return
    with make_pool(workers, _open, task) as pool:
        try:
            yield lambda function, seeds, name: show(pool.map(function, seeds), len(seeds), name)
        finally:
            pool.shutdown(cancel_futures=True)


def demonstrator(teacher: ExpertConfig, jitter: float) -> Callable[[int], Demonstration]:
    """Demonstrate from a state seed. `jitter` is the standard deviation of disturbances of the executed, not of the noted, action."""
    return partial(_demonstrate, teacher, jitter)


def player(version: Path) -> Callable[[int], tuple[Rollout, Array]]:
    """Run the policy version in a folder from a state seed; with the state at every tick (T, 7), which is not all that a policy sees."""
    return partial(_play, version)


def supervised(version: Path, operator: Path, c: float, sigma: float, session: int) -> Callable[[int], list[Rollout]]:
    """`session` such episodes in a row, from this state seed on, watched by the saved operator, but with this c and sigma.

    It learns from what it watches, as it will in a deployment: an operator that does not would take over less often.
    """
    return partial(_supervise, version, operator, c, sigma, session)


def _open(task: TaskConfig) -> None:
    global _environment
    _environment = BlockInsertion(task)


def _demonstrate(teacher: ExpertConfig, jitter: float, state_seed: int) -> Demonstration:
    expert = Expert(teacher)
    rng = np.random.default_rng(state_seed)
    observation, _ = _environment.reset(seed=state_seed)
    observations, actions = [], []
    success = over = False
    while not over:
        observations.append(observation)
        actions.append(expert.intention(observe(_environment.world)))
        disturbed = actions[-1] + [*rng.normal(0.0, jitter, 3), 0.0]
        observation, _, success, truncated, _ = _environment.step(np.clip(disturbed, -1.0, 1.0))
        over = success or truncated
    return Demonstration(np.stack(observations), np.stack(actions), success)


class _Witness:
    """Watches and never takes over."""

    def __init__(self) -> None:
        self.states: list[Array] = []

    def reset(self, seed: int) -> None:  # noqa: ARG002
        self.states.clear()

    def act(self, observation: Array, stacked: Array) -> None:  # noqa: ARG002
        self.states.append(observe(_environment.world))


def _play(version: Path, state_seed: int) -> tuple[Rollout, Array]:
    witness = _Witness()
    episode = rollout(_environment, _loaded(version), seed=state_seed, human=witness)
    return episode, np.stack(witness.states)


def _supervise(version: Path, operator: Path, c: float, sigma: float, session: int, state_seed: int) -> list[Rollout]:
    bundle = _loaded(version)
    watching = load_operator(operator).with_model(c, sigma)
    human = SimulatedHuman(watching, _environment.task.rate_hz, lambda stacked: bundle.act(stacked)[0], lambda: observe(_environment.world))
    return [rollout(_environment, bundle, seed=state_seed + number, human=human) for number in range(session)]


def _loaded(version: Path) -> Bundle:
    if version not in _bundles:
        _bundles[version] = Bundle.load(version)
    return _bundles[version]
