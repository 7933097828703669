"""Runs a policy version tick by tick. Free of ROS; the clock is injected.

Every tick is answered, be it late, and the arbiter keeps a step open for its answer. So the history that the policy sees is the one that
training will stack from the recorded steps (`mile_learner.history.stack_episode` over the steps that have an observation).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mile_learner.bundle import Bundle
from mile_learner.errors import LearnerError
from mile_learner.history import HistoryStack
from mile_learner.layout import layout_width
from mile_learner.step import ACTION_DIM, Array
from mile_learner.task import TaskConfig
from mile_policy_node.errors import ObservationError, PolicyError
from mile_policy_node.observation import Observation, ObservationAssembler, ObservationConfig, Reading

WARM_UP_RUNS = 10


@dataclass(frozen=True)
class Answer:
    """The answer to one tick; fields as in mile_msgs/PolicyOutput, stamps in [s].

    `observation` is empty if none could be assembled, and the action NaN if it was not computed.
    """

    observation: Array
    observation_stamp: float
    image_stamp: float
    action: Array
    valid: bool
    detail: str
    intervention_probability: float
    policy_version: str
    inference_ms: float


def _blind() -> None:
    """There is no camera."""


class PolicyRunner:
    """Holds the policy version that flies, and the history of the running episode. Not thread-safe."""

    def __init__(self, task: TaskConfig, config: ObservationConfig, clock: Callable[[], float]) -> None:
        self._task = task
        self._clock = clock
        self._assembler = ObservationAssembler(task.observation_layout, config)
        self._bundle: Bundle | None = None
        self._seen = HistoryStack(task.history, layout_width(task.observation_layout))
        self._episode_id = ''

    @property
    def version(self) -> str:
        """Of the policy that flies; empty if there is none."""
        return '' if self._bundle is None else self._bundle.manifest.version

    def load(self, folder: Path) -> None:
        """Check the policy version in `folder` fully, run it until it is warm, and only then let it fly.

        Raises:
            PolicyError: it is damaged, made for another observation, or its output is not finite; the previous version stays.
        """
        try:
            bundle = Bundle.load(folder)
        except LearnerError as error:
            raise PolicyError(str(error)) from error
        manifest = bundle.manifest
        if tuple(manifest.observation_layout) != self._task.observation_layout:
            msg = f'{folder}: is made for {", ".join(manifest.observation_layout)}; the task has {", ".join(self._task.observation_layout)}'
            raise PolicyError(msg)
        stacked = np.zeros(manifest.history * layout_width(manifest.observation_layout), np.float32)
        try:
            outputs = [bundle.act(stacked) for _ in range(WARM_UP_RUNS)]
        except RuntimeError as error:
            msg = f'{folder}: does not run on {len(stacked)} numbers ({" ".join(str(error).split())[:120]})'
            raise PolicyError(msg) from error
        problem = _output_problem(outputs[-1][0])
        if problem:
            msg = f'{folder}: {problem}, at an observation of zeros'
            raise PolicyError(msg)
        self._bundle = bundle
        self._seen = HistoryStack(manifest.history, layout_width(manifest.observation_layout))

    def answer(
        self, episode_id: str, index: int, arm: Reading | None, scene: Reading | None, look: Callable[[], Reading | None] = _blind
    ) -> Answer:
        """The robot action at the tick `index`, from the newest inputs; `look` gives the newest image's features."""
        begun = self._clock()
        if index == 0 or episode_id != self._episode_id:
            self._seen.reset()
            self._episode_id = episode_id
        try:
            observation = self._assembler.assemble(arm, scene, begun, look())
        except ObservationError as error:
            return self._no_answer(str(error))
        if self._bundle is None:
            return self._no_answer('no policy is loaded; call load_policy', observation)
        action, probability = self._bundle.act(self._seen.push(observation.values))
        problem = _output_problem(action)
        return Answer(
            observation=observation.values,
            observation_stamp=observation.stamp,
            image_stamp=observation.image_stamp,
            action=action,
            valid=not problem,
            detail=problem,
            intervention_probability=float(probability),
            policy_version=self.version,
            inference_ms=1e3 * (self._clock() - begun),
        )

    def _no_answer(self, detail: str, seen: Observation | None = None) -> Answer:
        """Without an action; with what a demonstration records, where there is no policy."""
        nothing = np.full(ACTION_DIM, np.nan, np.float32)
        seen = seen or Observation(np.empty(0, np.float32), 0.0, 0.0)
        return Answer(seen.values, seen.stamp, seen.image_stamp, nothing, False, detail, math.nan, self.version, math.nan)


def _output_problem(action: Array) -> str:
    if action.shape != (ACTION_DIM,):
        return f'policy output of shape {action.shape}, expected ({ACTION_DIM},)'
    return '' if np.isfinite(action).all() else f'policy output is not finite: {action.tolist()}'
