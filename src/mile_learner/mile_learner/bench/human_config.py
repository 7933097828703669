"""How a simulated human decides and acts: its gate and its knobs, as "gate" or "gate[knob=value,...]"."""

from __future__ import annotations

from dataclasses import dataclass

from mile_learner.bench.tasks import Task, check_names
from mile_learner.bench.variants import parse_variant
from mile_learner.config import Config, option
from mile_learner.errors import LearnerError

GATES = ('as_published', 'floor_free', 'q_threshold', 'delayed', 'informed', 'holding')
PROBIT_GATES = ('as_published', 'floor_free', 'informed', 'holding')
"""Whose decision is a draw from Eq. 2, with a c and a sigma that a learner can be told."""
INFORMED_GATES = ('informed', 'holding')
"""Whose mental model is the policy that flies."""


@dataclass(frozen=True)
class HumanConfig(Config):
    """How a simulated human decides and acts."""

    gate: str = option(doc='when it takes over', choices=GATES)
    std: float = option(
        0.135, doc="continuous actions: standard deviation of its hand around the expert's; that of pi_h in Eq. 2", gt=0.0, le=1.0
    )
    bias: float = option(
        0.0,
        doc="continuous actions: added by its hand to every component of the expert's action [1: full scale]; no gate knows of it",
        ge=-1.0,
        le=1.0,
    )
    slip: float = option(0.05, doc='discrete actions: probability that its hand slips to another action', ge=0.0, lt=1.0)
    rate: float = option(0.2, doc='fraction of the steps that are to be interventions, to which the dial is calibrated', gt=0.0, lt=0.3)
    hold: int = option(4, doc='q_threshold: steps for which it keeps control after its decision (RLIF: 4)', ge=1)
    certainty: float = option(0.95, doc='q_threshold: probability of acting on its judgement (RLIF: 0.95)', gt=0.5, le=1.0)
    reaction: int = option(3, doc='delayed, holding: steps between noticing and acting', ge=0)
    minimum_hold: int = option(10, doc='delayed, holding: least steps for which it keeps control', ge=1)
    hold_cost: float = option(0.7, doc='holding: cost of keeping control, and its scale, as a fraction of c and sigma', gt=0.0, le=1.0)
    release: float = option(0.1, doc='holding: hands back when it would keep control with less than this probability', ge=0.0, le=1.0)
    memory: float = option(0.8, doc='delayed: weight of the past in its running judgement', ge=0.0, lt=1.0)


_KNOBS = ('rate', 'std', 'bias', 'slip')
KNOBS = dict.fromkeys(GATES, _KNOBS) | {
    'q_threshold': (*_KNOBS, 'hold', 'certainty'),
    'delayed': (*_KNOBS, 'reaction', 'minimum_hold', 'memory'),
    'holding': (*_KNOBS, 'reaction', 'minimum_hold', 'hold_cost', 'release'),
}
"""By gate, those that make a difference to it."""
CONTINUOUS_KNOBS = ('std', 'bias')
DISCRETE_KNOBS = ('slip',)
"""Those that make a difference with actions of this kind alone."""


def parse_human(text: str, rate: float = HumanConfig.rate) -> HumanConfig:
    """The human of that name; `rate` is the wanted fraction of interventions where the name gives none.

    Raises:
        LearnerError: not of that form, no such gate, or a knob that the gate does not have.
        ConfigError: a value that the knob does not take.
    """
    gate, knobs = parse_variant(text, 'human')
    check_names([gate], GATES, 'human')
    check_names(list(knobs), KNOBS[gate], f'{text}: knob')
    return HumanConfig.from_mapping({'gate': gate, 'rate': rate, **knobs}, source=text)


def check_effect(human: str, task: Task) -> None:
    """Refuse a knob that makes no difference with the task's kind of actions.

    Args:
        human: its name, which `parse_human` takes.
        task: what it helps with.

    Raises:
        LearnerError: it names such a knob.
    """
    kind, idle = ('discrete', CONTINUOUS_KNOBS) if task.discrete else ('continuous', DISCRETE_KNOBS)
    named = [knob for knob in parse_variant(human, 'human')[1] if knob in idle]
    if named:
        msg = f'{human}: got {", ".join(named)}, which makes no difference on {task.name}, whose actions are {kind}, expected other knobs'
        raise LearnerError(f'{msg}; leave it out, or name other --tasks')
