"""Simulated humans: an expert's hand, and a gate that says when it takes over. No gate knows what a learner makes of its interventions.

* as_published: per step with probability p(nu=1|s) of Eq. 2; dial: c. sigma / c is that of the paper's Table I, or less where that alone
  would give half the wanted rate even if robot and human agreed (with Table I's values that floor lies between 0.20 and 0.33).
* floor_free: the same with so small a sigma that p <= 0.02 where robot and human agree; dial: c.
* informed: as_published by somebody who knows the robot: the mental model is the policy that flies, iteration after iteration. That of
  as_published stays the initial policy's, as in the authors' code.
* holding: informed, with what a person does and Eq. 2 leaves out: a reaction time, a least time, and control is kept as long as it would
  be taken at a lower cost (as by the operator of the simulated deployments); sigma so small that few holds begin without need; dial: c.
* q_threshold: RLIF's rule; when the expert's action is worth more than the robot's by the dial, it takes over with probability 0.95, else
  with 0.05, and holds; dial: difference of action values. As in RLIF they are the expert's own where it was trained by reinforcement
  learning (`Task.value`). Fitting Q to episodes of a scripted one could not rank single actions (it preferred the expert's action to a
  random one on half of the states): there they are those of the Boltzmann expert, Q(s, a) - Q(s, a') = ln pi_h(a|s) - ln pi_h(a'|s).
* delayed: when the robot's actions have been off by more than the dial, after a reaction time, for a least time, and until they are off by
  less than half the dial; dial: distance of actions; discrete: how clear a mistake, ln pi_h(a_h|s) - ln pi_h(a_r|s) [nats].

pi_h is N(expert's action, std²); for discrete actions a clone of the expert, whose probabilities say how clear a choice is. The hand adds
noise, slips and a bias to what the expert means (`mile_learner.bench.human_config`).
A larger dial means fewer interventions: one bisection calibrates all of them (`mile_learner.bench.calibration`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from mile_learner.bench.tasks import ActionValue
from mile_learner.bundle import Bundle
from mile_learner.policy import Gaussian
from mile_learner.step import Array

_NODES = 32


@dataclass(frozen=True)
class Situation:
    """What a gate sees of the n running episodes of a batch.

    Attributes:
        rows: their numbers in the batch, (n,).
        stacked: stacked observations, (n, H*d).
        robot_action: what the robot is about to do, (n, A); the gates of Eq. 2 do not look at it.
        expert_action: what the human means to do, (n, A).
        uniform: random numbers of the episodes' own generators, (n,).
    """

    rows: NDArray[np.int64]
    stacked: Array
    robot_action: Array
    expert_action: Array
    uniform: NDArray[np.float64]


@dataclass(frozen=True)
class HumanPolicy:
    """pi_h(a|s).

    Attributes:
        std: of the Gaussian around the expert's action.
        clone: of the expert, where actions are discrete; None where they are continuous.
    """

    std: float
    clone: Bundle | None

    def log_ratio(self, stacked: Array, better: Array, worse: Array) -> NDArray[np.float64]:
        """ln pi_h(better|s) - ln pi_h(worse|s) [nats], (n,); `better` is the expert's action."""
        if self.clone is None:
            return np.asarray(((worse - better) ** 2).sum(axis=1) / (2 * self.std**2))
        with torch.inference_mode():
            log_policy = self.clone.policy(torch.from_numpy(stacked)).log_probs.numpy()
        rows = np.arange(len(stacked))
        return np.asarray(log_policy[rows, better[:, 0].astype(int)] - log_policy[rows, worse[:, 0].astype(int)])


class Worth(Protocol):
    """By how much one action is better than another."""

    def __call__(self, stacked: Array, better: Array, worse: Array) -> NDArray[np.floating[Any]]:
        """(n,) for stacked observations (n, H*d) and actions (n, A); `better` is the expert's action."""
        ...


@dataclass(frozen=True)
class ValueDifference:
    """Q(s, better) - Q(s, worse).

    Attributes:
        value: Q(s, a) of the expert.
        width: length of an observation before stacking.
    """

    value: ActionValue
    width: int

    def __call__(self, stacked: Array, better: Array, worse: Array) -> NDArray[np.float64]:
        """As `Worth`."""
        present = stacked[:, -self.width :]
        return np.asarray(self.value(present, better) - self.value(present, worse), np.float64)


def distance(stacked: Array, better: Array, worse: Array) -> Array:  # noqa: ARG001
    """‖worse - better‖, as `Worth`."""
    return np.asarray(np.linalg.norm(worse - better, axis=1))


class Gate(Protocol):
    """Decides when a human takes over."""

    def begin(self, count: int) -> None:
        """A batch of episodes begins."""

    def decide(self, now: Situation) -> NDArray[np.bool_]:
        """Whether the human acts at this step, (n,)."""
        ...


class SimulatedHuman:
    """An expert's hand with a gate; everything random follows from `seed` and an episode's start state."""

    def __init__(self, gate: Gate, *, std: float, slip: float, actions: int | None, seed: int, bias: float = 0.0) -> None:
        """`actions`: number of discrete actions, None where they are continuous; see `HumanConfig` for the others."""
        self._gate, self._std, self._bias, self._slip, self._actions, self._seed = gate, std, bias, slip, actions, seed
        self._rngs: list[np.random.Generator] = []

    def begin(self, starts: Sequence[int]) -> None:
        """A batch of episodes begins."""
        self._rngs = [np.random.default_rng([self._seed, start]) for start in starts]
        self._gate.begin(len(starts))

    def decide(self, rows: NDArray[np.int64], stacked: Array, robot_action: Array, expert_action: Array) -> tuple[NDArray[np.bool_], Array]:
        """Whether to take over, (n,), and the human's action, (n, A)."""
        uniform = np.array([self._rngs[row].random() for row in rows])
        taken = self._gate.decide(Situation(rows, stacked, robot_action, expert_action, uniform))
        return taken, np.stack([self._hand(self._rngs[row], meant) for row, meant in zip(rows, expert_action, strict=True)])

    def _hand(self, rng: np.random.Generator, meant: Array) -> Array:
        """The expert's action as the hand gives it, (A,)."""
        if self._actions is None:
            return np.clip(meant + self._bias + self._std * rng.standard_normal(meant.shape), -1.0, 1.0).astype(np.float32)
        slipped = rng.random() < self._slip
        other = (meant + 1 + rng.integers(self._actions - 1)) % self._actions
        return other.astype(np.float32) if slipped else meant


class Turns:
    """A supervisor for exploration with discrete actions: expert (half the time), robot and chance take turns of ten steps."""

    def __init__(self, actions: int, *, seed: int) -> None:
        self._actions, self._seed = actions, seed
        self._rngs: list[np.random.Generator] = []

    def begin(self, starts: Sequence[int]) -> None:
        """A batch of episodes begins."""
        self._rngs = [np.random.default_rng([self._seed, start]) for start in starts]
        self._step = 0

    def decide(self, rows: NDArray[np.int64], stacked: Array, robot_action: Array, expert_action: Array) -> tuple[NDArray[np.bool_], Array]:  # noqa: ARG002
        """Whether not the robot, (n,), and the action, (n, 1)."""
        if self._step % 10 == 0:
            self._turn = np.array([rng.integers(4) for rng in self._rngs])
        self._step += 1
        chance = np.array([[self._rngs[row].integers(self._actions)] for row in rows], np.float32)
        turn = self._turn[rows]
        return turn != 0, np.where((turn == 1)[:, None], chance, expert_action)


class Always:
    """Never lets the robot act: demonstrations."""

    def begin(self, count: int) -> None:
        """Nothing to remember."""

    def decide(self, now: Situation) -> NDArray[np.bool_]:
        """Always."""
        return np.ones(len(now.rows), dtype=bool)


class ProbitGate:
    """Eq. 2 with a mental model of the robot."""

    def __init__(self, mental: Bundle, human: HumanPolicy, *, c: float, sigma: float) -> None:
        self._mental, self._human, self._c, self._sigma = mental, human, c, sigma

    def begin(self, count: int) -> None:
        """Nothing to remember: Eq. 2 looks at the present state only."""

    def decide(self, now: Situation) -> NDArray[np.bool_]:
        """One Bernoulli draw per episode."""
        return now.uniform < self.probability(now.stacked, now.expert_action)

    def probability(self, stacked: Array, expert_action: Array, *, cost: float = 1.0) -> NDArray[np.float64]:
        """p(nu=1|s), (n,), with c and sigma times `cost`."""
        c, sigma = cost * self._c, cost * self._sigma
        with torch.inference_mode():
            inputs = torch.from_numpy(stacked)
            expected = self._mental.policy(inputs)
            if self._human.clone is None:
                mean = torch.from_numpy(expert_action)
                human = Gaussian(mean, torch.full_like(mean, np.log(self._human.std)))
                log_p, _ = human.log_intervention_probability(expected, c, sigma, nodes=_NODES)
            else:
                log_p, _ = self._human.clone.policy(inputs).log_intervention_probability(expected, c, sigma)
            return np.asarray(log_p.exp().numpy())


class Hold:
    """Who holds control in a batch: taken a reaction time after it is first wanted, kept for a least time, and then while it is kept."""

    def __init__(self, *, reaction: int, minimum: int) -> None:
        self._reaction, self._minimum = reaction, minimum
        self.begin(0)

    def begin(self, count: int) -> None:
        """Nobody wants or holds control."""
        self._waited = np.full(count, -1)
        self._held = np.zeros(count, dtype=int)

    def advance(self, rows: NDArray[np.int64], wants: NDArray[np.bool_], keeps: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """One step of the episodes `rows`: whether each of them is held, (n,)."""
        waited, held = self._waited[rows], self._held[rows]
        waited = np.where((held == 0) & ((waited >= 0) | wants), waited + 1, -1)
        starts = waited >= self._reaction
        stays = (held > 0) & ((held < self._minimum) | keeps)
        held = np.where(starts, 1, np.where(stays, held + 1, 0))
        self._waited[rows] = np.where(starts, -1, waited)
        self._held[rows] = held
        return np.asarray(held > 0)


class HoldingGate:
    """Eq. 2 says when control is wanted, and at a lower cost for how long it is kept."""

    def __init__(self, probit: ProbitGate, hold: Hold, *, cost: float, release: float) -> None:
        self._probit, self._hold, self._cost, self._release = probit, hold, cost, release

    def begin(self, count: int) -> None:
        """Nobody holds control."""
        self._hold.begin(count)

    def decide(self, now: Situation) -> NDArray[np.bool_]:
        """One Bernoulli draw per episode that is not held, and the hold."""
        keeps = self._probit.probability(now.stacked, now.expert_action, cost=self._cost) >= self._release
        return self._hold.advance(now.rows, self._probit.decide(now), keeps)


class ValueGate:
    """RLIF's gate (Luo et al. 2023): on the worth of the actions themselves, with hold.

    RLIF compares Q(s, a_r) with alpha·Q(s, a_h), which supposes positive values; here the difference is compared with the dial.
    A hold may follow a hold at once; in its code a step of the robot's comes between, so that each is a takeover of its own.
    """

    def __init__(self, worth: Worth, *, threshold: float, certainty: float, hold: int) -> None:
        self._worth, self._threshold, self._certainty, self._hold = worth, threshold, certainty, hold
        self._left = np.zeros(0, dtype=int)

    def begin(self, count: int) -> None:
        """Nobody holds control."""
        self._left = np.zeros(count, dtype=int)

    def decide(self, now: Situation) -> NDArray[np.bool_]:
        """Continues a hold, else judges."""
        worse = self._worth(now.stacked, now.expert_action, now.robot_action) > self._threshold
        wants = now.uniform < np.where(worse, self._certainty, 1 - self._certainty)
        left = self._left[now.rows]
        left = np.where((left == 0) & wants, self._hold, left)
        self._left[now.rows] = np.maximum(left - 1, 0)
        return np.asarray(left > 0)


class DelayedGate:
    """A running judgement of how far off the robot is, a reaction time, a least hold, and hysteresis.

    How far off: `worth`, at least 0. For continuous actions that is `distance`, for discrete ones how clear a mistake it is,
    `HumanPolicy.log_ratio` (that two actions differ says little where both would do).
    """

    def __init__(self, hold: Hold, *, threshold: float, memory: float, worth: Worth) -> None:
        self._hold, self._threshold, self._memory, self._worth = hold, threshold, memory, worth
        self.begin(0)

    def begin(self, count: int) -> None:
        """The human has seen nothing yet."""
        self._judgement = np.zeros(count)
        self._hold.begin(count)

    def decide(self, now: Situation) -> NDArray[np.bool_]:
        """Judges what the robot did up to the step before, then updates the judgement."""
        judgement = self._judgement[now.rows]
        held = self._hold.advance(now.rows, judgement > self._threshold, judgement > self._threshold / 2)
        off = self._worth(now.stacked, now.expert_action, now.robot_action).clip(0.0)
        self._judgement[now.rows] = self._memory * judgement + (1 - self._memory) * off
        return held
