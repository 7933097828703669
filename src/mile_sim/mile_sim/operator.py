"""The simulated operator: watches the scene, takes over by the paper's intervention model, holds on like a person, hands back.

At every control tick in which the robot acts, the operator wants to take over with the probability of Eq. 2,

    p(nu=1|s) = E_{q ~ chi2_d}[Phi((M/2 - q/2 - c) / sigma)],   M = sum_i (r_i^2 + (m_i - mu_i)^2) / s_i^2,

where pi_h = N(mu, s^2) is the expert and N(m, r^2) the operator's mental model of the robot; the robot's own action is never looked at. A
reaction delay later it presses the button, and then keeps control for a minimum time and until its own model says that the robot would do
fine again, where keeping control costs less than taking it. These are what a person does and Eq. 2 leaves out.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from mile_learner.config import Config, option
from mile_learner.files import write_atomically
from mile_learner.history import stack_episode
from mile_learner.intervention import intervention_probability
from mile_learner.policy import Architecture, GaussianPolicy, negative_log_likelihood
from mile_learner.step import ACTION_DIM, Array
from mile_sim.errors import SimError
from mile_sim.expert import Expert, ExpertConfig

MENTAL_MODEL_FILE = 'mental_model.safetensors'
OPERATOR_FILE = 'operator.json'
HAND_NOISE = 0.05
_TIME_ROUNDING_S = 1e-6
_LEARNING_RATE = 1e-3
_LEARN_EVERY = 10
_LEARN_BATCH = 128


@dataclass(frozen=True)
class OperatorConfig(Config):
    """The operator's intervention model and temper."""

    c: float = option(doc='cost of taking over [nats]')
    sigma: float = option(doc='scale of its intervention model [nats]', gt=0.0)
    expert_std: float = option(0.135, doc='standard deviation of the action that it has in mind', gt=0.0, le=1.0)
    watch_updates: int = option(10, doc='updates of its mental model for every 10 ticks that it watched; 0: it never learns', ge=0)
    watch_memory: int = option(300, doc='how many of the last ticks it remembers', ge=1)
    hand_noise: float = option(HAND_NOISE, doc='standard deviation of its hand around that action', ge=0.0, le=1.0)
    reaction_s: float = option(0.2, doc='from wanting to take over until the button is down [s]', ge=0.0, le=5.0)
    hold_s: float = option(1.5, doc='shortest takeover [s]', ge=0.0, le=60.0)
    hold_cost: float = option(0.7, doc='cost of keeping control, as a fraction of c (and its scale as one of sigma)', gt=0.0, le=1.0)
    release_probability: float = option(0.1, doc='hands back when it would keep control with less than this probability', ge=0.0, le=1.0)


@dataclass(frozen=True)
class Decision:
    """What the operator does at one tick.

    Attributes:
        intervening: the takeover button is down.
        action: what it does with the sticks then, shape (4,).
        probability: p(nu=1|s) under its own model.
    """

    intervening: bool
    action: Array
    probability: float


class Operator:
    """One person's behaviour; call `reset` before an episode and `decide` once per control tick."""

    def __init__(
        self, config: OperatorConfig, mental_model: GaussianPolicy, expert_config: ExpertConfig, *, history: int, seed: int = 0
    ) -> None:
        self.config = config
        self.mental_model = mental_model
        self.expert_config = dataclasses.replace(expert_config, noise=config.hand_noise)
        self.history = history
        self._log_std = torch.full((1, ACTION_DIM), math.log(config.expert_std))
        self._seen: deque[tuple[torch.Tensor, torch.Tensor]] = deque(maxlen=config.watch_memory)
        self._unlearned = 0
        self._optimizer = torch.optim.Adam(mental_model.parameters(), lr=_LEARNING_RATE)
        self.reset(seed)

    def reset(self, seed: int) -> None:
        """An episode begins; everything random in it follows from `seed`."""
        self._rng = np.random.default_rng(seed)
        self._expert = Expert(self.expert_config, self._rng)
        self._press_at: float | None = None
        self._hold_until: float | None = None

    def probability(self, stacked: Array, cost: float = 1.0) -> float:
        """p(nu=1|s) for the stacked observation (H*d,), newest last, with c and sigma times `cost`."""
        intention = torch.from_numpy(self._expert.intention(self._newest(stacked)))[None]
        with torch.inference_mode():
            mean, log_std = self.mental_model(torch.from_numpy(stacked)[None])
            c, sigma = cost * self.config.c, cost * self.config.sigma
            return float(intervention_probability(intention, self._log_std, mean, log_std, c, sigma))

    def decide(self, stacked: Array, time_s: float) -> Decision:
        """Watch one tick at `time_s` [s] (of any clock): the stacked observation (H*d,), newest last."""
        probability = self.probability(stacked)
        if self._hold_until is not None:
            if time_s >= self._hold_until and self.probability(stacked, self.config.hold_cost) < self.config.release_probability:
                self._hold_until = None
        elif self._press_at is None and self._rng.random() < probability:
            self._press_at = time_s + self.config.reaction_s
        if self._press_at is not None and time_s >= self._press_at - _TIME_ROUNDING_S:
            self._press_at, self._hold_until = None, time_s + self.config.hold_s
        return Decision(self._hold_until is not None, self.action(self._newest(stacked)), probability)

    def watch(self, stacked: Array, robot_action: Array) -> None:
        """Learn from one tick on which the robot acted: the stacked observation (H*d,) and a_r (4,).

        The paper assumes that a person knows the robot that they watch; the policy changes between iterations, so the mental model must.
        """
        self._seen.append((torch.from_numpy(stacked), torch.from_numpy(robot_action)))
        self._unlearned += 1
        if self._unlearned < _LEARN_EVERY:
            return
        self._unlearned = 0
        inputs, actions = (torch.stack(column) for column in zip(*self._seen, strict=True))
        for _ in range(self.config.watch_updates):
            rows = torch.from_numpy(self._rng.integers(len(inputs), size=_LEARN_BATCH))
            mean, log_std = self.mental_model(inputs[rows])
            loss = negative_log_likelihood(mean, log_std, actions[rows]).mean()
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()

    def with_model(self, c: float, sigma: float) -> Operator:
        """The same person with another c and sigma [nats]."""
        config = dataclasses.replace(self.config, c=c, sigma=sigma)
        return Operator(config, self.mental_model, self.expert_config, history=self.history)

    def action(self, observation: Array) -> Array:
        """What it does with the sticks while it is in control, shape (4,)."""
        return self._expert.action(observation)

    def _newest(self, stacked: Array) -> Array:
        return stacked[-(len(stacked) // self.history) :]


class SimulatedHuman:
    """The operator as `mile_learner.rollout` wants a human: one call per tick of a gymnasium environment.

    `robot` says what the robot does at a stacked observation (H*d,): where it is let go on, the operator learns from watching it.
    `look` is what the operator itself sees, if that is not what the policy consumes: the state (d,).
    """

    def __init__(
        self, operator: Operator, rate_hz: float, robot: Callable[[Array], Array], look: Callable[[], Array] | None = None
    ) -> None:
        self._operator = operator
        self._robot = robot
        self._look = look
        self._seen: deque[Array] = deque(maxlen=operator.history)
        self._period_s = 1.0 / rate_hz
        self._ticks = 0

    def reset(self, seed: int) -> None:
        """An episode begins."""
        self._operator.reset(seed)
        self._seen.clear()
        self._ticks = 0

    def act(self, observation: Array, stacked: Array) -> Array | None:
        """The operator's action (4,), None where it lets the robot go on."""
        self._seen.append(observation if self._look is None else self._look())
        seen = stack_episode(np.stack(self._seen), self._operator.history)[-1]
        decision = self._operator.decide(seen, self._ticks * self._period_s)
        self._ticks += 1
        if decision.intervening:
            return decision.action
        self._operator.watch(seen, self._robot(stacked))
        return None


def save_operator(operator: Operator, folder: Path) -> None:
    """Write the operator into an existing folder; opening it again executes nothing."""
    save_file(operator.mental_model.state_dict(), folder / MENTAL_MODEL_FILE)
    content = {
        'operator': operator.config.to_mapping(),
        'expert': operator.expert_config.to_mapping(),
        'architecture': operator.mental_model.architecture.to_mapping(),
        'history': operator.history,
    }
    write_atomically(folder / OPERATOR_FILE, (json.dumps(content, indent=2) + '\n').encode())


def load_operator(folder: Path, seed: int = 0) -> Operator:
    """Read what `save_operator` wrote.

    Raises:
        SimError: something is missing or damaged.
    """
    try:
        content = json.loads((folder / OPERATOR_FILE).read_text(encoding='utf-8'))
        model = GaussianPolicy(Architecture.from_mapping(content['architecture']))
        model.load_state_dict(load_file(folder / MENTAL_MODEL_FILE))
        config = OperatorConfig.from_mapping(content['operator'])
        expert = ExpertConfig.from_mapping(content['expert'])
        return Operator(config, model.eval(), expert, history=content['history'], seed=seed)
    except (OSError, KeyError, ValueError, RuntimeError, SafetensorError) as error:
        msg = f'{folder}: holds no simulated operator ({" ".join(str(error).split())[:120]}); make it again with `mile prepare`'
        raise SimError(msg) from error
