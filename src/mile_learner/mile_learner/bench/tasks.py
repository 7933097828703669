"""What a task of the comparison is, and the registry of tasks by name.

A new task is a gymnasium environment, an expert and a recipe for the initial policy: docs/extending.md has an example that runs.

Tasks are named by "module:attribute" and imported when they are first used, so that what one task needs (MuJoCo, Box2D, another package
of this repository) is not needed by the others.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from gymnasium import Env, Wrapper
from gymnasium.spaces import Discrete

from mile_learner.config import Config, option
from mile_learner.errors import LearnerError
from mile_learner.files import sha256_of
from mile_learner.step import Array

METRICS = ('success', 'return')
"""What a task can be judged by; both are in the record of every episode."""


class Expert(Protocol):
    """A deterministic expert; noise is added by who uses it (`mile_learner.bench.rollouts`)."""

    def __call__(self, env: Env[Any, Any], observation: Array) -> Array:
        """The action it means, (A,) in [-1, 1]; discrete: (1,), the action's number. `env` is what `Task.make` made."""
        ...


class ActionValue(Protocol):
    """Q(s, a) of an expert: what an action is worth if the expert goes on after it."""

    def __call__(self, observation: Array, action: Array) -> Array:
        """(n,) for observations before stacking, (n, d), and actions, (n, A); discrete: (n, 1)."""
        ...


@dataclass(frozen=True)
class InitialRecipe(Config):
    """How the mediocre initial policy is made: behaviour cloning of an expert with a systematic error, whose size is searched by bisection.

    The error is a wrong belief (`Task.expert` says about what), so that the policy is competent in the wrong place rather than lost, and
    interventions meet it on states that it visits.
    """

    guess: float = option(doc='size of the error to begin with; its unit is for the expert to say', gt=0.0)
    limit: float = option(doc='size at which the expert surely fails', gt=0.0)
    demonstrations: int = option(20, doc='episodes of it that are cloned, with the actions that it means', ge=1)
    longest: int = option(doc='steps after which a demonstration is cut, so that one that is stuck does not outweigh the others', ge=1)
    noise: float = option(0.1, doc='noise on its actions while it demonstrates, for coverage', ge=0.0)
    resolution: float = option(0.0, doc='errors closer than this are one, whose clones differ by luck alone', ge=0.0)


@dataclass(frozen=True)
class Task:
    """One task of the comparison.

    Attributes:
        name: its name in the registry.
        make: builds the environment. Contract: `reset(seed=n)` starts in state n, whatever happened before; observations are float arrays
            of the layout's length; `info['success']` says at every step whether the episode has succeeded; where success ends the
            episode, `terminated` is true.
        observation_layout: names of the observation's entries before history stacking.
        action_dim: number of action components; discrete: number of actions.
        discrete: whether the actions are numbers 0 .. action_dim - 1.
        horizon: most steps of an episode.
        expert: makes the expert with a given bias (0: the best that is known).
        initial: how the initial policy is made.
        history: observations stacked for the policy.
        hidden: widths of the hidden layers of all networks (paper, Appendix D).
        cdf_ratio: sigma / c of the intervention model (paper, Table I).
        offline_episodes: episodes with a human in the comparison with a single iteration (paper, Table I).
        metric: 'success' or 'return': what the paper judges the task by.
        options_of: the task whose hyper-parameters the methods take (paper, Table I, or tuned); by default this one.
        value: makes the expert's Q(s, a), where it has one; `q_threshold` judges by it.
        training: folder of the training whose snapshots the experts are (`mile_learner.bench.rl_expert`); its name stands for how they
            were trained, its files are in the account of a preparation.
    """

    name: str
    make: Callable[[], Env[Any, Any]]
    observation_layout: tuple[str, ...]
    action_dim: int
    discrete: bool
    horizon: int
    expert: Callable[[float], Expert]
    initial: InitialRecipe
    history: int = 4
    hidden: tuple[int, ...] = (256, 256)
    cdf_ratio: float = 1.0
    offline_episodes: int = 15
    metric: str = 'success'
    options_of: str = ''
    value: Callable[[], ActionValue] | None = None
    training: Callable[[], Path] | None = None

    @property
    def configured_as(self) -> str:
        """Name of the task whose hyper-parameters the methods take."""
        return self.options_of or self.name

    @property
    def input_dim(self) -> int:
        """Length of the stacked observation."""
        return self.history * len(self.observation_layout)

    @property
    def action_width(self) -> int:
        """Columns of an action array: 1 for discrete actions."""
        return 1 if self.discrete else self.action_dim

    def recipe(self) -> dict[str, Any]:
        """What a preparation depends on: plain values, the same in every process and on every machine.

        Of functions their names, and the plain values that `functools.partial` gives them beforehand.
        """
        names = ('observation_layout', 'action_dim', 'discrete', 'horizon', 'history', 'hidden', 'cdf_ratio')
        return {
            **{name: getattr(self, name) for name in names},
            'initial': self.initial.to_mapping(),
            'made_by': [_named(self.make), _named(self.expert)],
            'training': None if self.training is None else self.training().name,
        }


def _named(function: Callable[..., object]) -> list[Any]:
    if isinstance(function, functools.partial):
        given = [*function.args, *(function.keywords[key] for key in sorted(function.keywords))]
        return [*_named(function.func), *(value for value in given if isinstance(value, (str, float, int)))]
    return [function.__module__, getattr(function, '__qualname__', type(function).__qualname__)]


class Judged(Wrapper[Any, Any, Any, Any]):  # type: ignore[misc]
    """An environment of gymnasium's brought to the contract of `Task.make`: `info['success']`, and discrete actions as arrays of width 1.

    Args:
        env: what `gymnasium.make` returns.
        succeeded: whether an episode that has ended has succeeded, given its return and whether it ended by itself (terminated).
    """

    def __init__(self, env: Env[Any, Any], succeeded: Callable[[float, bool], bool]) -> None:
        super().__init__(env)
        self._succeeded = succeeded
        self._return = 0.0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start in the state that belongs to `seed`."""
        self._return = 0.0
        observation, _ = self.env.reset(seed=seed, options=options)
        return observation, {'success': False}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """One step of the environment."""
        executed = int(np.asarray(action).item()) if isinstance(self.env.action_space, Discrete) else action
        observation, reward, terminated, truncated, _ = self.env.step(executed)
        self._return += float(reward)
        success = (terminated or truncated) and self._succeeded(self._return, terminated)
        return observation, float(reward), terminated, truncated, {'success': success}


TASKS: dict[str, str] = {
    'lunar_lander': 'mile_learner.bench.tasks_lunar_lander:TASK',
    'lunar_lander_dqn': 'mile_learner.bench.tasks_lunar_lander_dqn:TASK',
    'button_press': 'mile_learner.bench.tasks_metaworld:BUTTON_PRESS',
    'drawer_open': 'mile_learner.bench.tasks_metaworld:DRAWER_OPEN',
    'peg_insert': 'mile_learner.bench.tasks_metaworld:PEG_INSERT',
    'button_press_sac': 'mile_learner.bench.tasks_metaworld_sac:BUTTON_PRESS_SAC',
    'drawer_open_sac': 'mile_learner.bench.tasks_metaworld_sac:DRAWER_OPEN_SAC',
    'block_insertion': 'mile_learner.bench.tasks_block_insertion:TASK',
}


def register_task(name: str, where: str) -> None:
    """Make the task at `where` ("module:attribute") known as `name`, in this process.

    Raises:
        LearnerError: another task has that name.
    """
    if TASKS.setdefault(name, where) != where:
        msg = f'register: got {name}={where}, expected another name than that of {TASKS[name]}'
        raise LearnerError(msg)


@functools.cache
def _load(where: str) -> Any:
    module, _, attribute = where.partition(':')
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as error:
        why = f'{type(error).__name__}: {" ".join(str(error).split())}'
        msg = f'{where}: cannot be imported ({why}); expected "module:attribute" of a Task, with what it needs installed'
        raise LearnerError(msg) from error


def get_task(name: str) -> Task:
    """The task of that name.

    Raises:
        LearnerError: there is none, it cannot be imported, it calls itself otherwise, or it is judged by what no record has.
    """
    if name not in TASKS:
        msg = f'task: got {name!r}, expected one of {", ".join(TASKS)}'
        raise LearnerError(msg)
    task = _load(TASKS[name])
    if not isinstance(task, Task):
        msg = f'{TASKS[name]}: got {type(task).__name__}, expected a Task'
        raise LearnerError(msg)
    if task.name != name:
        msg = f'{TASKS[name]}: got a Task whose name is {task.name!r}, expected {name!r}, as which it is registered'
        raise LearnerError(msg)
    if task.metric not in METRICS:
        msg = f'{TASKS[name]}: metric: got {task.metric!r}, expected one of {", ".join(METRICS)}'
        raise LearnerError(msg)
    return task


@functools.cache
def _sha256_of_module(name: str) -> str:
    return sha256_of(Path(str(importlib.import_module(name).__file__)))


def source_digest(name: str) -> str:
    """SHA-256 of the file that a task from elsewhere is in; empty for one of this package, whose formats have numbers."""
    module = TASKS[name].partition(':')[0]
    return '' if module.split('.')[0] == __name__.split('.')[0] else _sha256_of_module(module)


def check_names(names: Sequence[str], known: Sequence[str], what: str) -> None:
    """Refuse a name that is not known.

    Raises:
        LearnerError: one line that lists the known names.
    """
    for name in names:
        if name not in known:
            msg = f'{what}: got {name!r}, expected one of {", ".join(known)}'
            raise LearnerError(msg)


_ENVIRONMENTS: dict[str, list[Env[Any, Any]]] = {}


def environments(task: Task, count: int) -> list[Env[Any, Any]]:
    """`count` environments of a task, kept for the life of this process: making one costs up to a second."""
    made = _ENVIRONMENTS.setdefault(task.name, [])
    while len(made) < count:
        made.append(task.make())
    return made[:count]


def as_observation(task: Task, observation: Any) -> Array:
    """What the environment returned as float32 (d,).

    Raises:
        LearnerError: another length than the layout's.
    """
    array = np.asarray(observation, dtype=np.float32)
    if array.shape != (len(task.observation_layout),):
        msg = f'{task.name}: the environment returned an observation of shape {array.shape}, expected ({len(task.observation_layout)},)'
        raise LearnerError(msg)
    return array
