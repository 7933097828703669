"""The comparisons of the paper, and what has to be run for them: one cell per task, human, method and seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mile_learner.bench.human_config import check_effect, parse_human
from mile_learner.bench.tasks import TASKS, check_names, get_task
from mile_learner.bench.variants import file_name, parse_variant
from mile_learner.config import Config, ConfigError, option
from mile_learner.errors import LearnerError
from mile_learner.methods import METHODS, uses_c

REFERENCES = ('no_training', 'expert')
"""Tested once per seed, without a human: the lower and the upper line of every figure."""

NO_HUMAN = 'nobody'
META_WORLD = ('button_press', 'drawer_open', 'peg_insert')


@dataclass(frozen=True)
class Suite:
    """One comparison.

    Attributes:
        name: on the command line.
        figure: of the paper.
        tasks: on which.
        humans: the simulated ones, with knobs, unless others are named: the paper's alone where a cell takes many rounds.
        iterations: N.
        episodes: k, per iteration; None: each task's own number of offline episodes.
        test_at: after which iterations the policy is tested (besides 0, which the reference `no_training` covers).
        demonstrations: numbers of expert demonstrations that every method is given beforehand.
        methods: with options; empty: every method of the registry.
        prediction: predict the interventions of the next iteration instead of comparing policies.
    """

    name: str
    figure: str
    tasks: tuple[str, ...]
    humans: tuple[str, ...]
    iterations: int
    episodes: int | None
    test_at: tuple[int, ...]
    demonstrations: tuple[int, ...] = (0,)
    methods: tuple[str, ...] = ()
    prediction: bool = False


_ALL = ('lunar_lander', *META_WORLD, 'block_insertion')
_HUMANS = ('as_published', 'q_threshold', 'delayed')
_SUITES = (
    Suite('single', 'Fig. 3', _ALL, _HUMANS, iterations=1, episodes=None, test_at=(1,)),
    Suite('iterative', 'Fig. 4', ('drawer_open', 'peg_insert'), ('as_published',), 20, episodes=1, test_at=(1, 2, 5, 10, 15, 20)),
    Suite('demos', 'Fig. 5', ('drawer_open',), ('as_published',), 1, None, (1,), demonstrations=(0, 1, 2, 3, 4, 5)),
    Suite('widowx', 'Fig. 6', ('block_insertion',), ('as_published',), iterations=6, episodes=3, test_at=(1, 2, 3, 4, 5, 6)),
    Suite(
        'prediction',
        'Fig. 7, left',
        _ALL,
        (*_HUMANS, 'floor_free'),
        iterations=5,
        episodes=2,
        test_at=(),
        methods=('mile',),
        prediction=True,
    ),
    Suite(
        'ablation',
        'mental model, lambda, c',
        ('drawer_open', 'block_insertion'),
        ('as_published', 'floor_free'),
        iterations=1,
        episodes=None,
        test_at=(1,),
        methods=(
            'mile',
            'mile[variant=as_released]',
            'mile[mental_model=bc_frozen]',
            'mile[mental_model=snapshot]',
            'mile[mental_model=none]',
            'mile[mental_model=noted]',
            'mile[decisions=onset]',
            'mile[std_gradient=false]',
            'mile[intervention_weight=0]',
            'mile[intervention_weight=0.1]',
            'mile[intervention_weight=0.9]',
            'mile[c_scale=0.5]',
            'mile[c_scale=2]',
        ),
    ),
)
SUITES = {suite.name: suite for suite in _SUITES}


@dataclass(frozen=True)
class Cell:
    """One run: everything that it depends on besides the options of the whole comparison.

    Attributes:
        suite: its name.
        task: where.
        human: whose help, with knobs as in "delayed[reaction=5]"; NO_HUMAN for the references.
        method: its name, with options as in "mile[intervention_weight=0]".
        seed: of initial policy, human, data and training.
        demonstrations: given beforehand.
    """

    suite: str
    task: str
    human: str
    method: str
    seed: int
    demonstrations: int = 0

    @property
    def name(self) -> str:
        """Unique, and fit for a file name."""
        return file_name(f'{self.suite}-{self.task}-{self.human}-{self.method}-d{self.demonstrations}-s{self.seed}')


def parse_method(text: str) -> tuple[str, dict[str, Any]]:
    """The name and the options of a method, as `parse_variant`."""
    return parse_variant(text, 'method')


@dataclass(frozen=True)
class Belief(Config):
    """What a learner believes about the human to begin with, beside its method's options; of methods that train with a c."""

    c_scale: float = option(1.0, doc="times the human's c", gt=0.0)
    mental_start: str = option(
        'copy',
        doc='what the human expects of the robot: a copy of the initial policy, or a clone of three of its episodes, shown beforehand',
        choices=('copy', 'shown'),
    )

    @classmethod
    def of(cls, method: str) -> Belief:
        """What a method's text says of it.

        Raises:
            ConfigError: a value that an option does not take, or a method that trains without c.
        """
        name, options = parse_method(method)
        said = {key: value for key, value in options.items() if key in cls().to_mapping()}
        if said and not uses_c(name):
            msg = f"{method}: got {', '.join(said)}, expected none: {name} trains without a model of the human's decisions"
            raise ConfigError(msg)
        return cls.from_mapping(said, source=method)


def configured(method: str, task: str, chosen: Mapping[str, Any] | None = None) -> Config:
    """A method's configuration for a task, with `chosen` options, and over these the ones in its text; a `Belief` is not the method's.

    Raises:
        ConfigError: an option that the method does not have, or a value that it does not take.
    """
    name, options = parse_method(method)
    belief = Belief.of(method).to_mapping()
    config = METHODS[name].configure(get_task(task).configured_as)
    own = {key: value for key, value in options.items() if key not in belief}
    return type(config).from_mapping(config.to_mapping() | dict(chosen or {}) | own, source=method)


def takes(method: str, task: str) -> bool:
    """Whether a method can be run on a task: discrete actions need one that says so (its attribute `discrete`)."""
    return not get_task(task).discrete or bool(getattr(METHODS[parse_method(method)[0]], 'discrete', False))


def predicts(method: str) -> bool:
    """Whether a method's bundles say without a mental model when the human intervenes (its attribute `predicts`)."""
    return bool(getattr(METHODS[parse_method(method)[0]], 'predicts', False))


def trained(cell: Cell) -> list[str]:
    """The methods that are trained in a cell: its own, and where interventions are predicted every other one that `predicts`."""
    if cell.human == NO_HUMAN:
        return []
    others = [name for name in METHODS if name != cell.method and predicts(name) and takes(name, cell.task)]
    return [cell.method, *(others if SUITES[cell.suite].prediction else [])]


def cells_of(suite: Suite, *, tasks: Sequence[str], humans: Sequence[str], methods: Sequence[str], seeds: Iterable[int]) -> list[Cell]:
    """Every cell of a comparison, once, seed by seed, so that an interrupted comparison is whole for the first seeds.

    Raises:
        LearnerError: unknown names, or knobs that a human does not have, or that make no difference on a task.
        ConfigError: options of a method that it does not have, or values that they or knobs do not take.
    """
    check_names(tasks, tuple(TASKS), 'task')
    check_names([parse_method(method)[0] for method in methods], tuple(METHODS), 'method')
    for human in humans:
        parse_human(human)
        for task in tasks:
            check_effect(human, get_task(task))
    for method in methods:
        for task in tasks:
            configured(method, task)
    cells = []
    for seed in seeds:
        for task in tasks:
            if not suite.prediction:
                cells += [Cell(suite.name, task, NO_HUMAN, method, seed) for method in REFERENCES]
            cells += [
                Cell(suite.name, task, human, method, seed, count)
                for human in humans
                for count in suite.demonstrations
                for method in methods
                if method not in REFERENCES and takes(method, task)
            ]
    by_name: dict[str, Cell] = {}
    for cell in cells:
        by_name.setdefault(cell.name, cell)
    return list(by_name.values())


def planned_episodes(cell: Cell, suite: Suite, test: int) -> int:
    """How many episodes a cell plays, for the progress bar."""
    if cell.human == NO_HUMAN:
        return test
    return cell.demonstrations + _collected(suite, cell.task) + test * len(suite.test_at)


def _collected(suite: Suite, task: str) -> int:
    """How many episodes a method collects with the human."""
    return suite.iterations * (suite.episodes or get_task(task).offline_episodes)


def with_demonstrations(suite: Suite, counts: Sequence[int], *, tasks: Sequence[str], states: int) -> Suite:
    """The suite with these numbers of demonstrations beforehand, where `states` are the start states for training.

    Raises:
        LearnerError: the suite takes none, or episodes of a task would have start states of demonstrations.
    """
    if suite.prediction:
        msg = f'--demonstrations: got {max(counts)}, expected none with {suite.name}'
        raise LearnerError(msg)
    left = min(states - _collected(suite, task) for task in tasks)
    if max(counts) > left:
        msg = f'--demonstrations: got {max(counts)}, expected at most {left}: {suite.name} collects from the rest of {states} start states'
        raise LearnerError(msg)
    return replace(suite, demonstrations=tuple(dict.fromkeys(counts)))


def suite_named(name: str, known: Mapping[str, Suite] = SUITES) -> Suite:
    """The suite of that name.

    Raises:
        LearnerError: there is none.
    """
    check_names([name], tuple(known), 'suite')
    return known[name]
