"""What all methods of a comparison share for one task and seed, made from the seed alone and kept on disk.

    <home>/bench/<task>-<seed>-<hash>/starts.json initial/ mental/ human/ human_<name>.json account.json account.md

Every part is written in one step when it is whole, and is not made again: a preparation that was interrupted goes on where it was. The
hash covers the configuration, the task, what makes its experts, how they are cloned, and the humans (`prepared_path`), so that what differs
in one of these is another folder. How this differs from the paper is said in account.md.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mile_learner.bench.account import account_text, read_account
from mile_learner.bench.calibration import Dial, HumanParts, calibrate_human, make_human
from mile_learner.bench.cloning import clone_episodes, cloning_config
from mile_learner.bench.error_search import ErrorSearch
from mile_learner.bench.home import bench_home, locked
from mile_learner.bench.human_config import GATES, INFORMED_GATES, HumanConfig, parse_human
from mile_learner.bench.humans import Always, SimulatedHuman, Turns
from mile_learner.bench.rollouts import Episode, Supervisor, run_episodes, summary
from mile_learner.bench.tasks import Expert, Task, get_task, source_digest
from mile_learner.bench.variants import file_name
from mile_learner.bundle import Bundle
from mile_learner.config import Config, option
from mile_learner.errors import LearnerError
from mile_learner.files import sha256_of, write_atomically
from mile_learner.manifest import MANIFEST_FILE
from mile_learner.network import Policy
from mile_learner.run_folder import SHOWN_EPISODES

FORMAT = 1
DISCRETE_FORMAT = 2
VALUE_FORMAT = 1
Note = Callable[[str], None]


@dataclass(frozen=True)
class PrepareConfig(Config):
    """How much effort the preparation of one task and seed takes."""

    train: int = option(400, doc='start states for collecting', ge=1)
    tune: int = option(100, doc='start states on which initial policy and expert are measured', ge=1)
    test: int = option(100, doc='start states of the comparison; the same for every seed', ge=1)
    low: float = option(0.1, doc='least success of the initial policy', ge=0.0, le=1.0)
    high: float = option(0.4, doc='greatest success of the initial policy', ge=0.0, le=1.0)
    expert: float = option(0.8, doc='least success of the expert', ge=0.0, le=1.0)
    attempts: int = option(10, doc='initial policies that are tried', ge=1)
    share: float = option(1.0, doc='share of the demonstrations in the recipe of the initial policy', gt=0.0, le=1.0)
    epochs: int = option(60, doc='most passes over them', ge=1)
    mental_episodes: int = option(100, doc='episodes of the initial policy that the human has watched (paper: 100)', ge=1)
    mental_epochs: int = option(20, doc='passes over them', ge=1)
    pilots: int = option(8, doc='pilot episodes per trial of a dial', ge=1)
    trials: int = option(8, doc='most trials of a dial', ge=1)
    rate: float = option(0.25, doc='wanted fraction of interventions (paper: less than 0.3)', gt=0.0, lt=0.3)
    human_episodes: int = option(60, doc='discrete actions: episodes that the human policy is cloned from', ge=1)


QUICK = PrepareConfig(train=40, tune=20, test=10, share=0.5, epochs=30, mental_episodes=10, pilots=4, trials=5, human_episodes=8)


def prepared_path(task: str, seed: int, config: PrepareConfig) -> Path:
    """Where the preparation of a task and seed belongs."""
    found = get_task(task)
    recipe: dict[str, Any] = {
        'format': FORMAT,
        'config': config.to_mapping(),
        'task': found.recipe(),
        'source': source_digest(task),
        'cloning': cloning_config(found, config.epochs).to_mapping(),
        'humans': [parse_human(gate, config.rate).to_mapping() for gate in GATES],
    }
    if found.discrete:
        recipe['discrete'] = DISCRETE_FORMAT
    if found.value is not None:
        recipe['value'] = VALUE_FORMAT
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
    return bench_home() / f'{task}-{seed}-{digest[:10]}'


def parts_of(task: str, humans: Collection[str]) -> list[str]:
    """The files and folders of a preparation with these humans."""
    clone = ['human'] if get_task(task).discrete else []
    return ['starts.json', 'expert.json', 'initial', 'mental', *clone, *map(human_file, humans), 'account.json']


def human_file(human: str) -> str:
    """Name of the file with the dial of a human."""
    return f'human_{file_name(human)}.json'


def parts_done(folder: Path, task: str, humans: Collection[str]) -> int:
    """How many of them are there."""
    return sum((folder / part).exists() for part in parts_of(task, humans))


def is_whole(folder: Path, humans: Collection[str]) -> bool:
    """Whether a preparation lacks none of these humans."""
    path = folder / 'account.json'
    return path.is_file() and set(humans) <= set(read_account(path)['humans'])


def humans_for(humans: Iterable[str]) -> list[str]:
    """What has to be prepared for these humans: `as_published` too, whose c and sigma are told where a gate has none of its own.

    Raises:
        LearnerError, ConfigError: there is no such human.
    """
    return sorted({'as_published', *humans}, key=lambda human: (GATES.index(parse_human(human).gate), human))


class Prepared:
    """The parts of a preparation, each made when it is first asked for and missing."""

    def __init__(self, task: Task, seed: int, config: PrepareConfig, folder: Path, note: Note) -> None:
        self.task, self.seed, self.config, self.folder, self._note = task, seed, config, folder, note
        self.expert: Expert = task.expert(0.0)

    def seed_of(self, *purpose: int) -> int:
        """An independent seed for every purpose."""
        return int(np.random.SeedSequence([self.seed, *purpose]).generate_state(1)[0])

    @cached_property
    def starts(self) -> dict[str, list[int]]:
        """Disjoint lists of start states: train (of this seed alone), tune and test (the same for every seed)."""
        path = self.folder / 'starts.json'
        if not path.is_file():
            common, own = np.random.default_rng([FORMAT, 0]), np.random.default_rng([FORMAT, 1, self.seed])
            shared = (common.permutation(10**6) + 10**8)[: self.config.tune + self.config.test].tolist()
            train = own.permutation(10**6)[: self.config.train].tolist()
            lists = {'train': train, 'tune': shared[: self.config.tune], 'test': shared[self.config.tune :]}
            self._write_json(path, lists)
        return dict(json.loads(path.read_text(encoding='utf-8')))

    @cached_property
    def expert_result(self) -> dict[str, float]:
        """Success and return of the expert, without noise, on the tuning states."""
        path = self.folder / 'expert.json'
        if not path.is_file():
            self._note('expert')
            result = summary(self.play(self.starts['tune'], supervisor=self.demonstrator(0.0)))
            if result['success'] < self.config.expert:
                msg = f'{self.task.name}: the expert succeeds in {result["success"]:.0%} of the episodes, expected {self.config.expert:.0%}'
                raise LearnerError(msg)
            self._write_json(path, result)
        return dict(json.loads(path.read_text(encoding='utf-8')))

    @cached_property
    def initial(self) -> Bundle:
        """The mediocre initial policy; its mental model is a copy of it (the paper's Appendix B says that of policies alone)."""
        if not (self.folder / 'initial').is_dir():
            self._search_initial().save(self.folder / 'initial')
        return self._load('initial')

    @cached_property
    def mental(self) -> Bundle:
        """The simulated human's mental model: a clone of the initial policy's behaviour (as a bundle's policy)."""
        if not (self.folder / 'mental').is_dir():
            self._note('mental model')
            rng = np.random.default_rng(self.seed_of(2))
            starts = (rng.integers(10**6, size=self.config.mental_episodes) + 2 * 10**8).tolist()
            bundle = clone_episodes(self.task, self.play(starts, bundle=self.initial), self.config.mental_epochs, self.seed_of(3))
            bundle.mental_model = None
            bundle.manifest = dataclasses.replace(bundle.manifest, mental_architecture=None)
            bundle.save(self.folder / 'mental')
        return self._load('mental')

    @cached_property
    def shown(self) -> Policy:
        """A clone of three episodes of the initial policy: of what a person is shown of it before a deployment (paper, Appendix C)."""
        starts = (np.random.default_rng(self.seed_of(11)).integers(10**6, size=SHOWN_EPISODES) + 7 * 10**8).tolist()
        return clone_episodes(self.task, self.play(starts, bundle=self.initial), self.config.epochs, self.seed_of(12)).policy

    @cached_property
    def clone(self) -> Bundle | None:
        """The human's policy where actions are discrete: a clone of the expert on states where it, the robot and chance take turns."""
        if not self.task.discrete:
            return None
        if not (self.folder / 'human').is_dir():
            self._note('human policy')
            turns = Turns(self.task.action_dim, seed=self.seed_of(4))
            starts = (np.random.default_rng(self.seed_of(5)).integers(10**6, size=self.config.human_episodes) + 3 * 10**8).tolist()
            episodes = self.play(starts, bundle=self.initial, supervisor=turns)
            bundle = clone_episodes(self.task, episodes, self.config.epochs, self.seed_of(6), oracle=True)
            bundle.save(self.folder / 'human')
        return self._load('human')

    def human_config(self, human: str) -> HumanConfig:
        """The simulated human of that name."""
        return parse_human(human, self.config.rate)

    def dial(self, human: str) -> Dial:
        """The calibration of the human of that name."""
        path = self.folder / human_file(human)
        if not path.is_file():
            self._note(f'human {human}')
            rng = np.random.default_rng(self.seed_of(7))
            starts = (rng.integers(10**6, size=self.config.pilots) + 4 * 10**8).tolist()
            config, trials = self.human_config(human), self.config.trials
            parts = self._parts(config, self.initial)
            dial = calibrate_human(self.task, human, config, parts, self.initial, starts, seed=self.seed_of(8), trials=trials)
            self._write_json(path, dataclasses.asdict(dial))
        return Dial(**json.loads(path.read_text(encoding='utf-8')))

    def human(self, human: str, robot: Bundle) -> SimulatedHuman:
        """The simulated human of that name, calibrated, who watches `robot`."""
        config = self.human_config(human)
        return make_human(self.task, config, self._parts(config, robot), self.dial(human).dial, seed=self.seed_of(9))

    def _parts(self, config: HumanConfig, robot: Bundle) -> HumanParts:
        return HumanParts(robot if config.gate in INFORMED_GATES else self.mental, self.clone)

    def bundle(self, human: str) -> Bundle:
        """The initial policy with c and sigma: the human's own where its gate is Eq. 2, else those of as_published."""
        dial = self.dial(human if self.dial(human).c is not None else 'as_published')
        bundle = self._load('initial')
        bundle.manifest = dataclasses.replace(bundle.manifest, c=float(dial.c or 0.0), sigma=float(dial.sigma or 1.0))
        return bundle

    def demonstrator(self, std: float, *, slip: float | None = None, bias: float = 0.0, seed: int = 0) -> SimulatedHuman:
        """Somebody who always acts; see `HumanConfig` (`slip`: by default `std`)."""
        actions = self.task.action_dim if self.task.discrete else None
        return SimulatedHuman(Always(), std=std, bias=bias, slip=std if slip is None else slip, actions=actions, seed=seed)

    def play(
        self, starts: list[int], *, bundle: Bundle | None = None, supervisor: Supervisor | None = None, expert: Expert | None = None
    ) -> list[Episode]:
        """Episodes of this task from these start states."""
        return list(run_episodes(self.task, starts, bundle=bundle, expert=expert or self.expert, supervisor=supervisor))

    def account(self, humans: Collection[str] = ()) -> dict[str, Any]:
        """How every part was made, with hashes; making what is missing of the parts and of these humans."""
        path = self.folder / 'account.json'
        if not is_whole(self.folder, humans):
            there = [json.loads(file.read_text(encoding='utf-8'))['human'] for file in self.folder.glob('human_*.json')]
            account = {
                'task': self.task.name,
                'seed': self.seed,
                'config': self.config.to_mapping(),
                'quick': self.config == QUICK,
                'initial_recipe': self.task.initial.to_mapping(),
                'starts': {name: len(states) for name, states in self.starts.items()},
                'expert': self.expert_result,
                'initial': dict(self.initial.manifest.metrics),
                'humans': {human: dataclasses.asdict(self.dial(human)) for human in humans_for([*there, *humans])},
            }
            files = sorted(file for file in self.folder.rglob('*') if file.is_file() and not file.name.startswith(('.', 'account.')))
            hashes = {file.relative_to(self.folder).as_posix(): sha256_of(file) for file in files}
            if self.task.training is not None:
                training = self.task.training()
                snapshots = sorted(file for file in training.iterdir() if not file.name.startswith('.'))
                hashes |= {f'../{training.name}/{file.name}': sha256_of(file) for file in snapshots}
            account['sha256'] = hashes
            write_atomically(self.folder / 'account.md', account_text(account).encode())
            self._write_json(path, account)
        return read_account(path)

    def shared_digest(self) -> str:
        """Hash of what all cells of this task and seed share: start states, networks, what the expert does; not the humans' dials.

        Nor the manifests of the networks, which say when these were made: the same networks are the same preparation.
        """
        hashes = read_account(self.folder / 'account.json')['sha256']
        shared = sorted(
            (name, digest) for name, digest in hashes.items() if not name.startswith('human_') and Path(name).name != MANIFEST_FILE
        )
        return hashlib.sha256(json.dumps(shared).encode()).hexdigest()[:16]

    def _search_initial(self) -> Bundle:
        """Search the size of the teacher's error until its clone succeeds as rarely as wanted."""
        recipe = self.task.initial
        search = ErrorSearch(recipe)
        tried: list[tuple[float, float]] = []
        for attempt in range(search.attempts(self.config.attempts)):
            self._note(f'initial policy, attempt {attempt + 1}')
            rng = np.random.default_rng(self.seed_of(0, attempt))
            starts = (rng.integers(10**6, size=round(self.config.share * recipe.demonstrations)) + 5 * 10**8).tolist()
            teacher = self.demonstrator(recipe.noise, seed=self.seed_of(1, attempt))
            demonstrations = [e.cut(recipe.longest) for e in self.play(starts, supervisor=teacher, expert=self.task.expert(search.error))]
            bundle = clone_episodes(self.task, demonstrations, self.config.epochs, self.seed_of(10, attempt), oracle=True)
            result = summary(self.play(self.starts['tune'], bundle=bundle))
            tried.append((search.error, result['success']))
            if self.config.low <= result['success'] <= self.config.high:
                metrics = result | {'bias': search.error, 'demonstrations': len(starts), 'tried': tried}
                bundle.manifest = dataclasses.replace(bundle.manifest, metrics=metrics, seed=self.seed)
                return bundle
            search.judge(too_good=result['success'] > self.config.high)
        msg = f'{self.task.name}: initial policies succeeded (bias, rate) {tried}, expected one in [{self.config.low}, {self.config.high}]'
        raise LearnerError(msg)

    def _load(self, name: str) -> Bundle:
        return Bundle.load(self.folder / name)

    def _write_json(self, path: Path, content: Mapping[str, Any]) -> None:
        write_atomically(path, (json.dumps(content, indent=1, allow_nan=False) + '\n').encode())


def silent(text: str) -> None:
    """Nobody is watching."""


def prepare(task: str, seed: int, config: PrepareConfig, *, humans: Collection[str] = GATES, note: Note = silent) -> Prepared:
    """Make what is missing of a preparation with these humans, and return it; `note` is called with the name of each part that is made."""
    folder = prepared_path(task, seed, config)
    prepared = Prepared(get_task(task), seed, config, folder, note)
    if not is_whole(folder, humans):
        with locked(folder):
            prepared.account(humans)
    return prepared
