"""Success of a policy version over start states, with a 95 % interval."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium

from mile_learner.bundle import Bundle
from mile_learner.errors import LearnerError
from mile_learner.processes import make_pool
from mile_learner.rollout import rollout

_worker: tuple[Any, Bundle]


def wilson_interval(successes: int, episodes: int, z: float = 1.959964) -> tuple[float, float]:
    """The Wilson score interval of a success rate; 95 % by default."""
    if not 0 <= successes <= episodes or episodes == 0:
        msg = f'got {successes} successes in {episodes} episodes, expected 0 <= successes <= episodes and at least one episode'
        raise LearnerError(msg)
    rate = successes / episodes
    centre = (rate + z**2 / (2 * episodes)) / (1 + z**2 / episodes)
    half = z / (1 + z**2 / episodes) * math.sqrt(rate * (1 - rate) / episodes + z**2 / (4 * episodes**2))
    return max(centre - half, 0.0), min(centre + half, 1.0)


def make_environment(environment: str, module: str | None, options: Mapping[str, Any] | None = None) -> gymnasium.Env[Any, Any]:
    """Make a gymnasium environment by its id, with `options` for its constructor, after importing the module that registers it.

    Raises:
        LearnerError: the module cannot be imported, registers no such id, or one that takes other options.
    """
    try:
        if module is not None:
            importlib.import_module(module)
        return gymnasium.make(environment, disable_env_checker=True, **(options or {}))
    except (ImportError, TypeError, gymnasium.error.Error) as error:
        msg = f'environment {environment!r} of module {module!r}: {" ".join(str(error).split())}'
        raise LearnerError(msg) from error


def evaluate(
    version: Path,
    environment: str,
    seeds: Sequence[int],
    *,
    module: str | None = None,
    options: Mapping[str, Any] | None = None,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> list[bool]:
    """Whether the policy version in folder `version` succeeds from each start state, without a human.

    Args:
        version: folder of the policy version.
        environment: gymnasium id.
        seeds: start states.
        module: to import for its registration of the environment.
        options: of the environment's constructor.
        workers: processes; 1 runs in this one.
        progress: called with (episodes done, successes so far).

    Raises:
        LearnerError: the version or the environment cannot be used.
    """
    environment_here = make_environment(environment, module, options)
    bundle = Bundle.load(version)
    if workers == 1:
        try:
            return _collect((rollout(environment_here, bundle, seed=seed).success for seed in seeds), progress)
        finally:
            environment_here.close()
    environment_here.close()
    with make_pool(workers, _prepare_worker, version, environment, module, options) as pool:
        try:
            return _collect(pool.map(_succeeds, seeds), progress)
        finally:
            pool.shutdown(cancel_futures=True)


def _collect(results: Iterable[bool], progress: Callable[[int, int], None] | None) -> list[bool]:
    successes = []
    for success in results:
        successes.append(success)
        if progress is not None:
            progress(len(successes), sum(successes))
    return successes


def _prepare_worker(version: Path, environment: str, module: str | None, options: Mapping[str, Any] | None) -> None:
    global _worker
    _worker = (make_environment(environment, module, options), Bundle.load(version))


def _succeeds(seed: int) -> bool:
    environment, bundle = _worker
    return rollout(environment, bundle, seed=seed).success
