"""What has to happen next in a run.

It is computed from what is whole on disk, never from memory, so that a killed run resumes by starting it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Episode:
    """Next: record episode `index` of `iteration`."""

    iteration: int
    index: int


@dataclass(frozen=True)
class Train:
    """Next: train on everything up to and including `iteration`."""

    iteration: int


@dataclass(frozen=True)
class Done:
    """Nothing is left to do."""


@dataclass(frozen=True)
class RunState:
    """What is whole on disk.

    Attributes:
        episodes: per iteration, the indices of whole episodes.
        trained: iterations that ended with the training of a policy version.
        ended: iterations that were ended early; training follows as soon as there is an episode to train on.
    """

    episodes: Mapping[int, frozenset[int]]
    trained: frozenset[int]
    ended: frozenset[int] = frozenset()

    @property
    def due(self) -> int | None:
        """The iteration that a training ends: the first with episodes and without a version, else the newest; None without episodes."""
        return min(set(self.episodes) - self.trained, default=max(self.episodes, default=None))


def next_action(state: RunState, iterations: int, episodes_per_iteration: int) -> Episode | Train | Done:
    """The first thing that is missing; a pure function, so that it can be tested without a disk."""
    for iteration in range(iterations):
        if iteration in state.trained:
            continue
        whole = state.episodes.get(iteration, frozenset())
        if whole and iteration in state.ended:
            return Train(iteration)
        for index in range(episodes_per_iteration):
            if index not in whole:
                return Episode(iteration, index)
        return Train(iteration)
    return Done()
