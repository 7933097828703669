"""Episodes of a task, a batch of environments in lockstep, so that policies and humans run batched; and a pool of processes that do so.

The result of an episode depends on its start state, the policy, the human and the seed, not on the number of processes.
"""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mile_learner.bench.tasks import TASKS, Expert, Task, as_observation, environments, get_task, register_task
from mile_learner.bundle import Bundle
from mile_learner.errors import LearnerError
from mile_learner.history import HistoryStack, stack_episode
from mile_learner.methods.base import InterventionData
from mile_learner.processes import make_pool
from mile_learner.step import Array

BATCH = 8


class Supervisor(Protocol):
    """Somebody who watches a batch of episodes and may take over; see `mile_learner.bench.humans`."""

    def begin(self, starts: Sequence[int]) -> None:
        """A batch of episodes begins, from these start states."""

    def decide(self, rows: NDArray[np.int64], stacked: Array, robot_action: Array, expert_action: Array) -> tuple[NDArray[np.bool_], Array]:
        """Whether to take over, (n,), and the human's action, (n, A), in the n episodes of the batch that still run (`rows`)."""
        ...


@dataclass(frozen=True)
class Episode:
    """One episode of T steps.

    Attributes:
        start: its start state.
        observations: before stacking, the one after the last step included, (T + 1, d).
        robot_action: a_r, (T, A); NaN where no policy ran.
        human_action: a_h, (T, A); NaN where nu = 0.
        oracle_action: what the expert would have done, without noise, (T, A).
        intervening: nu, (T,).
        reward: (T,).
        success: at the end.
        terminated: ended by itself, not by the time limit.
    """

    start: int
    observations: Array
    robot_action: Array
    human_action: Array
    oracle_action: Array
    intervening: NDArray[np.bool_]
    reward: Array
    success: bool
    terminated: bool

    @property
    def executed_action(self) -> Array:
        """a_h where nu = 1, else a_r, (T, A)."""
        return np.where(self.intervening[:, None], self.human_action, self.robot_action)

    @property
    def onsets(self) -> int:
        """How often the human took over."""
        return int(np.diff(self.intervening.astype(int), prepend=0).clip(0).sum())

    def cut(self, steps: int) -> Episode:
        """Its first steps."""
        names = ('robot_action', 'human_action', 'oracle_action', 'intervening', 'reward')
        parts = {name: getattr(self, name)[:steps] for name in names}
        return dataclasses.replace(self, observations=self.observations[: steps + 1], **parts)

    def record(self) -> dict[str, Any]:
        """The raw result, ready for JSON."""
        return {
            'start': self.start,
            'success': self.success,
            'return': round(float(self.reward.sum()), 4),
            'steps': len(self.reward),
            'interventions': int(self.intervening.sum()),
            'onsets': self.onsets,
        }


def run_episodes(
    task: Task,
    starts: Sequence[int],
    *,
    bundle: Bundle | None,
    expert: Expert | None = None,
    supervisor: Supervisor | None = None,
    batch: int = BATCH,
) -> Iterator[Episode]:
    """One episode from each start state, in this process, `batch` at a time.

    Args:
        task: where.
        starts: start states.
        bundle: the robot's policy; None: the supervisor always acts.
        expert: whom the supervisor asks; needed with one.
        supervisor: who may take over; None: the robot is alone.
        batch: environments that run in lockstep.
    """
    if bundle is None and supervisor is None:
        msg = 'episodes: got neither a policy nor a supervisor, expected at least one of them to act'
        raise LearnerError(msg)
    for first in range(0, len(starts), batch):
        yield from _run_batch(task, starts[first : first + batch], bundle, expert, supervisor)


def _run_batch(
    task: Task, starts: Sequence[int], bundle: Bundle | None, expert: Expert | None, supervisor: Supervisor | None
) -> list[Episode]:
    count, width = len(starts), task.action_width
    envs = environments(task, count)
    stacks = [HistoryStack(task.history, len(task.observation_layout)) for _ in starts]
    observations = [[as_observation(task, env.reset(seed=start)[0])] for env, start in zip(envs, starts, strict=True)]
    stacked = np.stack([stack.push(seen[0]) for stack, seen in zip(stacks, observations, strict=True)])
    columns: list[list[tuple[Array, Array, Array, bool, float]]] = [[] for _ in starts]
    ends: dict[int, tuple[bool, bool]] = {}
    if supervisor is not None:
        supervisor.begin(starts)
    nothing = np.full((count, width), np.nan, np.float32)
    while len(ends) < count:
        rows = np.array([row for row in range(count) if row not in ends])
        robot = nothing[rows] if bundle is None else bundle.act(stacked[rows])[0]
        oracle, human, taken = nothing[rows], nothing[rows], np.zeros(len(rows), dtype=bool)
        if supervisor is not None and expert is not None:
            oracle = np.stack([expert(envs[row], observations[row][-1]) for row in rows])
            taken, human = supervisor.decide(rows, stacked[rows], robot, oracle)
        executed = np.where(taken[:, None], human, robot)
        for i, row in enumerate(rows):
            observation, reward, terminated, truncated, info = envs[row].step(executed[i])
            columns[row].append((robot[i], human[i] if taken[i] else nothing[0], oracle[i], bool(taken[i]), float(reward)))
            observations[row].append(as_observation(task, observation))
            stacked[row] = stacks[row].push(observations[row][-1])
            if terminated or truncated or len(columns[row]) >= task.horizon:
                ends[row] = (bool(info['success']), bool(terminated))
    return [_episode(starts[row], observations[row], columns[row], *ends[row]) for row in range(count)]


def _episode(
    start: int, observations: list[Array], rows: list[tuple[Array, Array, Array, bool, float]], success: bool, terminated: bool
) -> Episode:
    robot, human, oracle, taken, reward = zip(*rows, strict=True)
    return Episode(
        start=start,
        observations=np.stack(observations),
        robot_action=np.stack(robot),
        human_action=np.stack(human),
        oracle_action=np.stack(oracle),
        intervening=np.array(taken, dtype=bool),
        reward=np.array(reward, dtype=np.float32),
        success=success,
        terminated=terminated,
    )


def summary(episodes: list[Episode]) -> dict[str, float]:
    """Success rate, mean return and mean length."""
    return {
        'success': float(np.mean([e.success for e in episodes])),
        'return': float(np.mean([e.reward.sum() for e in episodes])),
        'steps': float(np.mean([len(e.reward) for e in episodes])),
        'episodes': float(len(episodes)),
    }


def to_data(task: Task, episodes: Sequence[Episode], *, iteration: int, first: int, demonstration: bool = False) -> InterventionData:
    """What a method trains on.

    Args:
        task: whose history length stacks the observations.
        episodes: in the order in which they happened.
        iteration: in which they were recorded.
        first: number of the first episode in the data set.
        demonstration: whether the human acted alone; then a_r is what the human did, for there was no robot.
    """
    parts = []
    for number, episode in enumerate(episodes, start=first):
        stacked = stack_episode(episode.observations, task.history)
        count = len(episode.reward)
        steps = np.arange(count)
        parts.append(
            InterventionData(
                stacked=stacked[:-1],
                next_stacked=stacked[1:],
                robot_action=episode.human_action if demonstration else episode.robot_action,
                human_action=episode.human_action,
                intervening=episode.intervening,
                episode=np.full(count, number),
                step=steps,
                iteration=np.full(count, iteration),
                done=(steps == count - 1) & episode.terminated,
                success=np.full(count, episode.success),
                demonstration=np.full(count, demonstration),
                oracle_action=episode.oracle_action,
            )
        )
    return InterventionData.concatenate(parts)


class RolloutPool:
    """Worker processes that keep their environments; `run` takes what `run_episodes` takes."""

    def __init__(self, workers: int) -> None:
        self._pool = make_pool(workers)

    def __enter__(self) -> RolloutPool:
        return self

    def __exit__(self, *exc: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def run(
        self,
        task: str,
        starts: Sequence[int],
        *,
        bundle: Bundle | None,
        expert: Expert | None = None,
        supervisor: Supervisor | None = None,
        batch: int = BATCH,
        progress: Callable[[int], object] | None = None,
    ) -> list[Episode]:
        """Episodes in the order of `starts`; `progress` is called with how many have newly finished."""
        job = pickle.dumps((dict(TASKS), task, bundle, expert, supervisor))
        parts = [starts[first : first + batch] for first in range(0, len(starts), batch)]
        futures = {self._pool.submit(_run_part, job, part): number for number, part in enumerate(parts)}
        done: dict[int, list[Episode]] = {}
        for future in as_completed(futures):
            done[futures[future]] = future.result()
            if progress is not None:
                progress(len(done[futures[future]]))
        return [episode for number in sorted(done) for episode in done[number]]


def start_worker(tasks: dict[str, str]) -> None:
    """What a new process must know: the tasks that this one has registered."""
    for name, where in tasks.items():
        register_task(name, where)


def _run_part(job: bytes, starts: Sequence[int]) -> list[Episode]:
    tasks, name, bundle, expert, supervisor = pickle.loads(job)
    start_worker(tasks)
    return list(run_episodes(get_task(name), starts, bundle=bundle, expert=expert, supervisor=supervisor, batch=len(starts)))
