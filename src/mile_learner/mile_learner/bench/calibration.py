"""The dial of a simulated human, set by bisection on pilot episodes *with* interventions.

Interventions move the robot off the states that it visits alone, so a dial set on those states misses the wanted rate by far.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import brentq

from mile_learner.bench.human_config import PROBIT_GATES, HumanConfig
from mile_learner.bench.humans import (
    DelayedGate,
    Gate,
    Hold,
    HoldingGate,
    HumanPolicy,
    ProbitGate,
    SimulatedHuman,
    ValueDifference,
    ValueGate,
    distance,
)
from mile_learner.bench.rollouts import run_episodes
from mile_learner.bench.tasks import Task
from mile_learner.bundle import Bundle
from mile_learner.errors import LearnerError
from mile_learner.intervention import discrete_log_classes, probability_floor

FLOOR_FREE = 0.02
HIGHEST_RATE = 0.3
TOLERANCE = 0.03
"""Of the wanted fraction of interventions."""
_DIALS = {'q_threshold': (0.1, 1e3), 'delayed': (1e-2, 4.0), **dict.fromkeys(PROBIT_GATES, (2.5, 1e5))}
_DISCRETE_DIALS = {
    'q_threshold': (1e-2, 20.0),
    'delayed': (1e-2, 20.0),
    **dict.fromkeys(PROBIT_GATES, (0.1, 20.0)),
    'holding': (0.1, 100.0),
}
_VALUE_DIALS = (1e-4, 1e3)
_BEYOND = 50.0
"""How far the search goes on above these, as a factor, where a human acts too often to their end: a clone of the expert can be surer of its
actions than they allow for."""
_SMALLEST = 1e-2


@dataclass(frozen=True)
class HumanParts:
    """What a human consists of beside its gate.

    Attributes:
        mental: its mental model of the robot, as a bundle's policy.
        clone: of the expert, where actions are discrete; else None.
    """

    mental: Bundle
    clone: Bundle | None


@dataclass(frozen=True)
class Dial:
    """A calibrated human.

    Attributes:
        human: its name.
        dial: see `mile_learner.bench.humans`.
        c, sigma: of Eq. 2 where the gate is one; else None.
        floor: probability of an intervention where robot and human agree, for those.
        wanted: fraction of steps that are to be interventions.
        rate: that of the pilot episodes.
        success: of the pilot episodes, with the human's help.
        reached: whether their rate is within `TOLERANCE` of what was wanted.
        tried: (dial, rate, success) of every trial.
    """

    human: str
    dial: float
    c: float | None
    sigma: float | None
    floor: float | None
    wanted: float
    rate: float
    success: float
    reached: bool
    tried: tuple[tuple[float, float, float], ...]


def agreement_floor(task: Task, c: float, sigma: float) -> float:
    """p(nu=1|s) of Eq. 2 where the mental model is the human's own policy; discrete: the highest over how sure of two actions it is."""
    if not task.discrete:
        return probability_floor(task.action_dim, c, sigma, nodes=32)[1]
    sure = torch.linspace(0.5, 0.9999, 200, dtype=torch.float64)
    human = torch.stack([sure, 1 - sure], dim=1).log()
    return float(-torch.expm1(discrete_log_classes(human, human, c, sigma)[:, -1]).max())


def sigma_for(task: Task, config: HumanConfig, c: float) -> float:
    """The scale of the CDF that belongs to a cost c: by the gate's floor, and not more than the paper's ratio."""
    ceiling = {'floor_free': FLOOR_FREE, 'holding': FLOOR_FREE / config.minimum_hold}.get(config.gate, config.rate / 2)
    widest = task.cdf_ratio * c
    smallest = _SMALLEST * c
    if agreement_floor(task, c, widest) <= ceiling:
        return widest
    if agreement_floor(task, c, smallest) >= ceiling:
        return smallest
    root = brentq(lambda x: agreement_floor(task, c, math.exp(x)) - ceiling, math.log(smallest), math.log(widest), xtol=1e-3)
    return math.exp(root) * 0.99


def make_human(task: Task, config: HumanConfig, parts: HumanParts, dial: float, *, seed: int) -> SimulatedHuman:
    """The human with its dial set; everything random in it follows from `seed`."""
    actions = task.action_dim if task.discrete else None
    policy = HumanPolicy(config.std, parts.clone)
    hold = Hold(reaction=config.reaction, minimum=config.minimum_hold)
    gate: Gate
    if config.gate == 'q_threshold':
        worth = policy.log_ratio if task.value is None else ValueDifference(task.value(), len(task.observation_layout))
        gate = ValueGate(worth, threshold=dial, certainty=config.certainty, hold=config.hold)
    elif config.gate == 'delayed':
        gate = DelayedGate(hold, threshold=dial, memory=config.memory, worth=policy.log_ratio if task.discrete else distance)
    else:
        probit = ProbitGate(parts.mental, policy, c=dial, sigma=sigma_for(task, config, dial))
        gate = HoldingGate(probit, hold, cost=config.hold_cost, release=config.release) if config.gate == 'holding' else probit
    return SimulatedHuman(gate, std=config.std, bias=config.bias, slip=config.slip, actions=actions, seed=seed)


def calibrate_human(
    task: Task,
    human: str,
    config: HumanConfig,
    parts: HumanParts,
    robot: Bundle,
    starts: Sequence[int],
    *,
    seed: int,
    trials: int = 8,
    progress: Callable[[], object] | None = None,
) -> Dial:
    """Bisect the logarithm of the dial; a larger dial means fewer interventions.

    Where every trial has too many, as many again follow above the range.

    Args:
        task: of which pilot episodes are played.
        human: its name.
        config: whose `rate` is wanted.
        parts: of the human.
        robot: the initial policy.
        starts: start states of the pilot episodes, the same in every trial.
        seed: the same in every trial.
        trials: most pilots in the range, and above it; fewer where the rate is within `TOLERANCE`.
        progress: called after every pilot.

    Raises:
        LearnerError: no trial stays under 30 % of interventions.
    """
    by_value = config.gate == 'q_threshold' and task.value is not None
    low, high = map(math.log, _VALUE_DIALS if by_value else (_DISCRETE_DIALS if task.discrete else _DIALS)[config.gate])
    end = high
    tried: list[tuple[float, float, float]] = []
    for number in range(2 * trials):
        if number == trials:
            if high < end:
                break
            low, high = end, end + math.log(_BEYOND)
        dial = math.exp((low + high) / 2)
        supervisor = make_human(task, config, parts, dial, seed=seed)
        episodes = list(run_episodes(task, starts, bundle=robot, expert=task.expert(0.0), supervisor=supervisor))
        rate = float(np.concatenate([episode.intervening for episode in episodes]).mean())
        tried.append((dial, rate, float(np.mean([episode.success for episode in episodes]))))
        if progress is not None:
            progress()
        if abs(rate - config.rate) <= TOLERANCE:
            break
        low, high = (math.log(dial), high) if rate > config.rate else (low, math.log(dial))
    allowed = [trial for trial in tried if trial[1] < HIGHEST_RATE]
    if not allowed:
        rates = ', '.join(f'{rate:.2f}' for _, rate, _ in tried)
        end_of_range = f'at dials to {tried[-1][0]:.3g}, where their range ends'
        advice = f'expected one below {HIGHEST_RATE}; take a better initial policy'
        msg = f'{task.name}, {human}: intervention rates {rates} {end_of_range}, {advice}'
        raise LearnerError(msg)
    dial, rate, success = min(allowed, key=lambda trial: abs(trial[1] - config.rate))
    probit = config.gate in PROBIT_GATES
    sigma = sigma_for(task, config, dial) if probit else None
    return Dial(
        human=human,
        dial=dial,
        c=dial if probit else None,
        sigma=sigma,
        floor=agreement_floor(task, dial, sigma) if sigma is not None else None,
        wanted=config.rate,
        rate=rate,
        success=success,
        reached=abs(rate - config.rate) <= TOLERANCE,
        tried=tuple(tried),
    )
