"""What a learning method is: data of supervised episodes and a bundle in, a better bundle out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mile_learner.bundle import Bundle
from mile_learner.config import Config
from mile_learner.errors import LearnerError
from mile_learner.methods.training import Report
from mile_learner.step import Array


@dataclass(frozen=True)
class InterventionData:
    """N steps of supervised episodes (s, a_r, a_h, nu, s'), in order, whole episodes one after another.

    Discrete actions are float32 columns of width 1 that hold the action's number, so that every array has one shape for all tasks.

    Attributes:
        stacked: stacked observations s, (N, H*d).
        next_stacked: stacked observations s' one step later, (N, H*d); the step's own s where nothing was seen after it, the last in a bag.
        robot_action: a_r, (N, A); computed at every step, in interventions too; NaN where there was no robot, in demonstrations.
        human_action: a_h, (N, A); NaN where nu = 0.
        intervening: nu, (N,).
        episode: number of the episode, (N,).
        step: number of the step within its episode, from 0, (N,); numbers are missing where steps were left out, as nobody commanded.
        iteration: after which iteration's policy the step was recorded, (N,).
        done: the last step of an episode that ended by itself, not by its time limit, (N,).
        success: whether the step's episode succeeded, (N,).
        demonstration: the step belongs to a demonstration by the human alone; nu = 1 there, (N,).
        oracle_action: what the human would have done at every step, (N, A); only in simulation, only for reference methods, else None.

    Raises:
        LearnerError: columns of different lengths, or states or actions that are not finite where they must be.
    """

    stacked: Array
    next_stacked: Array
    robot_action: Array
    human_action: Array
    intervening: NDArray[np.bool_]
    episode: NDArray[np.int64]
    step: NDArray[np.int64]
    iteration: NDArray[np.int64]
    done: NDArray[np.bool_]
    success: NDArray[np.bool_]
    demonstration: NDArray[np.bool_]
    oracle_action: Array | None = None

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is not None and len(value) != len(self.stacked):
                msg = f'{field.name}: got {len(value)} rows, expected {len(self.stacked)}, as many as there are stacked observations'
                raise LearnerError(msg)
        everywhere = np.ones(len(self), dtype=bool)
        needed = {
            'stacked': everywhere,
            'next_stacked': everywhere,
            'robot_action': ~self.demonstration,
            'human_action': self.intervening,
        }
        for name, rows in needed.items():
            wrong = np.flatnonzero(rows & ~np.isfinite(getattr(self, name)).all(axis=1))
            if len(wrong):
                first = f'first at step {self.step[wrong[0]]} of episode {self.episode[wrong[0]]}'
                msg = f'{name}: not finite at {len(wrong)} of {len(self)} steps, {first}; remove the episodes that hold them'
                raise LearnerError(msg)

    def __len__(self) -> int:
        return len(self.stacked)

    @property
    def executed_action(self) -> Array:
        """a_h where nu = 1, else a_r, (N, A)."""
        return np.where(self.intervening[:, None], self.human_action, self.robot_action)

    @property
    def follows(self) -> NDArray[np.bool_]:
        """Whether the step in the row before is the one directly before, in the same episode, (N,)."""
        follows = np.zeros(len(self), dtype=bool)
        follows[1:] = (self.episode[1:] == self.episode[:-1]) & (self.step[1:] == self.step[:-1] + 1)
        return follows

    @property
    def onset(self) -> NDArray[np.bool_]:
        """The first step of every intervention, (N,); one that was interrupted begins anew."""
        continues = self.follows
        continues[1:] &= self.intervening[:-1]
        return self.intervening & ~continues

    def decided(self, decisions: str) -> NDArray[np.bool_]:
        """Where the human decided whether to intervene, (N,): at all steps, or with 'onset' at those of a takeover only as it begins.

        In a demonstration nobody decides that.
        """
        return ~self.demonstration & (self.onset | ~self.intervening if decisions == 'onset' else True)

    def take(self, rows: NDArray[Any]) -> InterventionData:
        """Some of the rows, by number or by mask."""
        columns: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            columns[field.name] = None if value is None else value[rows]
        return InterventionData(**columns)

    @staticmethod
    def concatenate(parts: Sequence[InterventionData]) -> InterventionData:
        """One after another; the episodes' numbers must already differ."""
        columns: dict[str, Any] = {}
        for field in dataclasses.fields(InterventionData):
            values = [getattr(part, field.name) for part in parts]
            columns[field.name] = None if any(value is None for value in values) else np.concatenate(values)
        return InterventionData(**columns)


class Method(Protocol):
    """A learning method; instances are stateless and are named in `mile_learner.methods.METHODS`.

    A new method is one file with such a class, and one line in METHODS. Three attributes are read where a class has them: `discrete` = True
    says that it takes tasks of discrete actions, too; `predicts` = True that its bundles say when the human intervenes without a mental
    model, by an `InterventionClassifier` in its place, so that the suite `prediction` trains it beside MILE; `uses_c` = True that it trains
    with the c and sigma of the bundle that it starts from, so that the guards judge these two.
    """

    def configure(self, task: str) -> Config:
        """The hyper-parameters for a task: Table I of the paper where it gives them, else the nearest task's."""
        ...

    def fit(self, data: InterventionData, start: Bundle, *, config: Any, seed: int, progress: Report | None = None) -> Bundle:
        """Train on all data so far.

        Args:
            data: every step of every iteration so far.
            start: the bundle that training starts from (not changed).
            config: what `configure` returned, or that with some fields replaced.
            seed: of everything random in here.
            progress: called after each epoch; see `mile_learner.methods.training.Report`.

        Returns:
            A new bundle.

        Raises:
            LearnerError: the data cannot be trained on, e.g. because they hold no intervention.
        """
        ...
