"""History stacking: the present observation after the ones before it, padded at the start of an episode by repeating the first."""

from __future__ import annotations

from collections import deque

import numpy as np

from mile_learner.errors import LearnerError
from mile_learner.step import Array


class HistoryStack:
    """The last `n` observations of dimension `dim` as one vector, oldest first."""

    def __init__(self, n: int, dim: int) -> None:
        self._dim = dim
        self._entries: deque[Array] = deque(maxlen=n)

    def reset(self) -> None:
        """Forget everything: a new episode begins."""
        self._entries.clear()

    def push(self, observation: Array) -> Array:
        """Append one observation (dim,) and return the stack (n * dim,).

        Raises:
            LearnerError: the observation has another length.
        """
        if observation.shape != (self._dim,):
            msg = f'observation: got shape {observation.shape}, expected ({self._dim},); check the observation layout'
            raise LearnerError(msg)
        entry = observation.astype(np.float32)
        self._entries.append(entry)
        while len(self._entries) < (self._entries.maxlen or 0):
            self._entries.append(entry)
        return np.concatenate(self._entries)


def stack_episode(observations: Array, n: int) -> Array:
    """The stack at every tick of one episode: (T, d) -> (T, n * d), equal to pushing one by one."""
    steps = np.arange(len(observations))
    columns = [observations[np.maximum(steps - lag, 0)] for lag in range(n - 1, -1, -1)]
    return np.concatenate(columns, axis=1).astype(np.float32)
