"""What c and σ of a version are about: what the human expects of the robot, which steps count, and what intervening would gain there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mile_learner.bundle import Bundle
from mile_learner.errors import LearnerError
from mile_learner.intervention import DEFAULT_NODES, Gains, gaussian_gains
from mile_learner.methods.mile_losses import Batch, MileConfig, expected_robot
from mile_learner.network import Policy

LEARNED, NOTED = MENTAL_MODELS = ('learned', 'noted')
"""What the human expects of the robot: the version's own mental model, however it came about, or the robot action noted at each step."""
METHOD = 'calibrate'
AT_ONCE = 1024
"""So many states are judged at once, as samples of all together would not fit into memory."""


@dataclass(frozen=True)
class Meaning:
    """What c and σ are about; both as in `MileConfig`.

    Attributes:
        mental_model: what the human expects of the robot, one of MENTAL_MODELS.
        decisions: 'all', where every step of a takeover counts as ν = 1, or 'onset', where its first alone does.
    """

    mental_model: str
    decisions: str

    def __str__(self) -> str:
        return f'{self.mental_model}/{self.decisions}'

    @classmethod
    def of(cls, bundle: Bundle) -> Meaning | None:
        """That of a version's own c and σ; None if these are of no use, for it has no mental model, or a classifier in its place."""
        said = stated(bundle)
        noted = said.get('mental_model') == NOTED
        if not noted and not isinstance(bundle.mental_model, Policy):
            return None
        return cls(NOTED if noted else LEARNED, 'onset' if said.get('decisions') == 'onset' else 'all')

    def check(self, bundle: Bundle) -> None:
        """Refuse a version that expects nothing of the robot.

        Raises:
            LearnerError: there is no mental model where one is needed.
        """
        mental_model = bundle.mental_model
        if self.mental_model == LEARNED and not isinstance(mental_model, Policy):
            got = 'no mental model' if mental_model is None else f'a {mental_model.distribution} in the place of a mental model'
            msg = f'{bundle.manifest.version}: got {got}, expected a policy; take the actions that were noted: --mental-model {NOTED}'
            raise LearnerError(msg)

    def gains(self, bundle: Bundle, steps: Batch) -> Gains:
        """What intervening would have gained at `steps`, without gradient: the policy of `bundle` stands for the human's."""
        policy, config = bundle.policy, MileConfig(mental_model=self.mental_model)
        mental_model = bundle.mental_model if isinstance(bundle.mental_model, Policy) else policy
        parts = []
        with torch.no_grad():
            for rows in torch.arange(len(steps.inputs)).split(AT_ONCE):
                part = steps.take(rows)
                human = policy(part.inputs)
                parts.append(human.gains(expected_robot(human, policy, mental_model, part, config)))
        return Gains.concatenate(parts)

    def agreement(self, policy: Policy, states: Tensor) -> Gains:
        """What intervening would gain where robot and human agree; the mean of p(ν=1|s) there is the floor.

        The mental model is the policy itself, or the noted action its mode; discrete: and it is sure. Where that is the same in all
        states it is given once, (1, K): for discrete actions, and for Gaussian policies that are their own mental model. Else it is
        that at `states` (B, H*d), (B, K): a noted action has the least std that a policy may have, be the policy's as it may.
        """
        size, noted = policy.architecture, self.mental_model == NOTED
        if size.distribution == 'categorical':
            return Gains(*torch.zeros(2, 1, 1, dtype=torch.float64))
        if size.distribution == 'gaussian' and not noted:
            return gaussian_gains(torch.tensor([size.action_dim], dtype=torch.float64), size.action_dim, DEFAULT_NODES)
        parts = []
        with torch.no_grad():
            for part in states.split(AT_ONCE):
                human = policy(part)
                parts.append(human.gains(human.around(human.mode(), size.log_std_min) if noted else human))
        return Gains.concatenate(parts)


def stated(bundle: Bundle) -> Mapping[str, Any]:
    """Where a version says what its c and σ are about: their calibration, else the configuration of its training.

    There is no 'mental_model' in it where c and σ were neither fitted nor trained with, as those of an initial policy.
    """
    configuration = bundle.manifest.configuration
    calibration = configuration.get(METHOD)
    return calibration if isinstance(calibration, Mapping) else configuration


def kept(start: Bundle) -> dict[str, Any]:
    """For the configuration of a version trained from `start` without c and σ, which keeps them: what they are about."""
    said = stated(start)
    names = ('mental_model', 'decisions')
    return {METHOD: {name: said[name] for name in names}} if all(name in said for name in names) else {}


def mean_probability(gains: Gains, c: float, sigma: float) -> float:
    """p(ν=1|s), the mean over the states of `gains`."""
    return gains.log_intervention_probability(c, sigma)[0].exp().mean().item()
