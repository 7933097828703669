"""What a run does next, as a generator of requests: no ROS, no clock, no memory but the run on disk.

A deployment records iterations and trains after each; demonstrations, and the showing of a policy, are episodes and nothing else.

`session` yields one request at a time and is sent the reply; whoever drives it (`session_node`) turns requests into service calls. It
may be abandoned at any request: started again on the same run, it asks for what is still missing.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mile_bringup.errors import BringupError
from mile_learner import run_folder, run_state
from mile_learner.manifest import verify_weights
from mile_learner.run_folder import Run

MOST_TORN = 3
"""So many episodes in a row whose bags are not whole end the session."""


@dataclass(frozen=True)
class LoadPolicy:
    """Make the policy in this folder fly; reply: its observation layout (tuple of names)."""

    path: Path


@dataclass(frozen=True)
class AwaitReady:
    """Wait until the nodes hear each other and no emergency stop is latched; reply: None."""


@dataclass(frozen=True)
class ResetArm:
    """Bring arm and scene to a start state; reply: None."""

    seed: int


@dataclass(frozen=True)
class AwaitStart:
    """Wait until the operator starts the episode; reply: False if training was asked for instead."""


@dataclass(frozen=True)
class OpenBag:
    """Begin recording; reply: None."""

    path: Path
    episode_id: str
    metadata: Mapping[str, Any]


@dataclass(frozen=True)
class StartEpisode:
    """Begin ticking; reply: None."""

    episode_id: str


@dataclass(frozen=True)
class AwaitEnd:
    """Wait until the episode is over; reply: its outcome (see EpisodeEnd), never 'aborted': that ends the session."""


@dataclass(frozen=True)
class StopEpisode:
    """Stop ticking; reply: the number of steps taken."""

    outcome: str


@dataclass(frozen=True)
class CloseBag:
    """Complete the bag of `steps` steps, or delete it; reply: why the bag is not whole and was set aside, empty if it is whole."""

    outcome: str
    steps: int
    discard: bool


@dataclass(frozen=True)
class JudgeBag:
    """Tell the person which invariants the finished bag shows to be violated; reply: None."""

    path: Path


@dataclass(frozen=True)
class Train:
    """Make a new policy version of everything up to `iteration`; reply: None."""

    iteration: int


Request = LoadPolicy | AwaitReady | ResetArm | AwaitStart | OpenBag | StartEpisode | AwaitEnd | StopEpisode | CloseBag | JudgeBag | Train


@dataclass(frozen=True)
class Plan:
    """What a session is to do.

    Attributes:
        iterations: how many, training after each.
        episodes: per iteration; or how many to demonstrate or show.
        seed: of the run; start states are derived from it.
        metadata: what every bag says about itself.
        mode: deploy, demonstrate (no policy is loaded) or show (the policy that flies).
        layout: of the observation, where no policy says it.
    """

    iterations: int
    episodes: int
    seed: int
    metadata: Mapping[str, Any]
    mode: str = run_folder.DEPLOY
    layout: tuple[str, ...] = ()

    def folder(self, run: Run) -> str:
        """Where in the run the episodes go that belong to no iteration; empty in a deployment."""
        if self.mode == run_folder.DEPLOY:
            return ''
        return run_folder.DEMONSTRATIONS if self.mode == run_folder.DEMONSTRATE else run_folder.shown_folder(run.current())

    def next_action(self, run: Run) -> run_state.Episode | run_state.Train | run_state.Done:
        """The first thing that is missing."""
        folder = self.folder(run)
        if not folder:
            return run_state.next_action(run.state(), self.iterations, self.episodes)
        whole = run.recorded(folder)
        missing = (index for index in range(self.episodes) if index not in whole)
        return next((run_state.Episode(0, index) for index in missing), run_state.Done())


def start_seed(run_seed: int, iteration: int, episode: int) -> int:
    """Seed of an episode's start state, 32 bits; the same when the episode is repeated. For `iteration`: any number of its own."""
    return int(np.random.SeedSequence([run_seed, iteration, episode]).generate_state(1)[0])


def session(run: Run, plan: Plan, *, conclude: Callable[[Run], object]) -> Generator[Request, Any, None]:
    """Everything until the run is complete.

    Args:
        run: the run's folder.
        plan: what to do.
        conclude: promotes and accounts for versions that were trained but not yet concluded; idempotent.

    Yields:
        Requests; each expects its reply.

    Raises:
        BringupError: bags cannot be recorded whole.
        LearnerError: the run folder is damaged.
    """
    flying = ''
    layout = plan.layout
    attempt = torn = 0
    while True:
        run.set_aside_torn_episodes()
        conclude(run)
        todo = plan.next_action(run)
        if isinstance(todo, run_state.Done):
            return
        if isinstance(todo, run_state.Train):
            yield Train(todo.iteration)
            continue
        if plan.mode != run_folder.DEMONSTRATE and flying != run.current():
            flying = run.current()
            verify_weights(run.version_path(flying))
            layout = yield LoadPolicy(run.version_path(flying))
        attempt += 1
        fault = yield from _episode(run, plan, todo, attempt=attempt, version=flying, layout=layout)
        torn = torn + 1 if fault else 0
        if torn == MOST_TORN:
            msg = f'{torn} episodes in a row could not be recorded whole, the last because {fault}; see the log of recorder_node'
            raise BringupError(msg)


def _episode(
    run: Run, plan: Plan, todo: run_state.Episode, *, attempt: int, version: str, layout: tuple[str, ...]
) -> Generator[Request, Any, str]:
    """One attempt at one episode; why its bag is not whole."""
    folder = plan.folder(run)
    seed = start_seed(plan.seed, zlib.crc32(plan.mode.encode()) if folder else todo.iteration, todo.index)
    path = run.path / folder / f'episode_{todo.index:03d}' if folder else run.episode_path(todo.iteration, todo.index)
    episode_id = f'{path.relative_to(run.path).as_posix()}/attempt_{attempt}'
    metadata = {
        **plan.metadata,
        'mode': plan.mode,
        'episode_id': episode_id,
        **({} if folder else {'iteration': todo.iteration}),
        'episode': todo.index,
        'seed': seed,
        'policy_version': version,
        'observation_layout': list(layout),
    }
    yield AwaitReady()
    yield ResetArm(seed)
    if not (yield AwaitStart()):
        return ''
    yield OpenBag(path, episode_id, metadata)
    yield StartEpisode(episode_id)
    outcome: str = yield AwaitEnd()
    steps: int = yield StopEpisode(outcome)
    fault: str = yield CloseBag(outcome, steps, discard=outcome == 'discarded')
    if not fault and outcome != 'discarded':
        yield JudgeBag(path)
    return fault
