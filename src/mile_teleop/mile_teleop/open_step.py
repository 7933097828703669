"""One tick: gathers the policy's answer, the command and its confirmation, and becomes one Step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mile_learner.step import ACTION_DIM, Array, Gate, Mode, Source, Step
from mile_teleop.effects import Action, PublishCommand
from mile_teleop.inputs import Confirmation, PolicyAnswer


@dataclass(slots=True)
class OpenStep:
    """One control tick until its Step is published.

    Attributes:
        stamp: when it began, since the epoch [s].
        mode: in which mode its command was given.
        human_action: a_h, latched when it began; None if nobody had taken over.
        hold_action: what a hold means now: no motion, the gripper where it is.
        robot_action: a_r, within [-1, 1]; None until there is a usable answer.
    """

    stamp: float
    episode_id: str
    index: int
    late_ms: float
    human_action: Action | None
    hold_action: Action
    mode: Mode = Mode.HOLD
    answer: PolicyAnswer | None = None
    robot_action: Action | None = None
    command: PublishCommand | None = None
    confirmation: Confirmation | None = None

    def is_answered_by(self, answer: PolicyAnswer) -> bool:
        """Whether this is the first answer to this very tick."""
        return self.answer is None and (answer.episode_id, answer.index) == (self.episode_id, self.index)

    def is_confirmed_by(self, result: Confirmation) -> bool:
        """Whether this is the first confirmation of this tick's command."""
        command = self.command
        return (
            command is not None
            and self.confirmation is None
            and (result.episode_id, result.index, result.source) == (command.episode_id, command.index, command.source)
        )

    def take(self, answer: PolicyAnswer) -> str:
        """Take the policy's answer in; why it cannot be obeyed, or empty if it can."""
        self.answer = answer
        if not answer.valid:
            return f'policy: {answer.detail or "no valid action, for no stated reason"}'
        if len(answer.action) != ACTION_DIM or not all(map(math.isfinite, answer.action)):
            return 'policy: its action is not four finite numbers'
        x, y, z, gripper = (min(max(float(value), -1.0), 1.0) for value in answer.action)
        self.robot_action = (x, y, z, gripper)
        return ''

    @property
    def complete(self) -> bool:
        """Whether all that belongs to it has arrived."""
        return self.answer is not None and (self.command is None or self.confirmation is not None)

    def to_step(self) -> Step:
        """The record of this tick; what is missing is NaN, zero or empty. A tick without a command is a hold.

        An observation of which the policy could make nothing is left out, but one that no policy was there to see is a demonstration's.
        """
        answer, command = self.answer, self.command
        unusable = answer is None or (self.robot_action is None and answer.policy_version)
        return Step(
            stamp=self.stamp,
            episode_id=self.episode_id,
            index=self.index,
            observation=np.array([] if answer is None or unusable else answer.observation, np.float32),
            observation_stamp=0.0 if answer is None else answer.observation_stamp,
            image_stamp=0.0 if answer is None else answer.image_stamp,
            robot_action=_vector(self.robot_action),
            robot_action_valid=self.robot_action is not None,
            human_action=_vector(self.human_action),
            intervening=self.human_action is not None,
            executed_action=_vector(self.hold_action if command is None else command.action),
            sent_target=_vector(None if self.confirmation is None else self.confirmation.sent_target),
            source=Source.HOLD if command is None else command.source,
            mode=self.mode,
            gate=Gate.NONE if self.human_action is None else Gate.HUMAN,
            intervention_probability=math.nan if answer is None else answer.intervention_probability,
            policy_version='' if answer is None else answer.policy_version,
            inference_ms=math.nan if answer is None else answer.inference_ms,
            tick_late_ms=self.late_ms,
        )


def _vector(values: Sequence[float] | None) -> Array:
    return np.full(ACTION_DIM, np.nan, np.float32) if values is None else np.array(values, np.float32)
