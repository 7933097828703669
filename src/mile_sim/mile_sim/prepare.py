"""Makes the initial, mediocre policy and the simulated operator of a task, from a seed, reproducibly.

A teacher that sees the hole in a slightly wrong place demonstrates; a policy cloned from it reaches the hole and fails by a millimetre or
two. How wrongly the teacher sees is searched until the clone's success, measured on start states of its own, lies in the band. The
operator's mental model is cloned from those rollouts, and its c and sigma are set by bisection on pilot episodes in which it
intervenes. Every finished stage is kept, so that an interrupted preparation goes on where it was.

    $MILE_HOME/prepared/<task>-<seed>-<hash>/v000/       the policy version (mile_learner.bundle)
    $MILE_HOME/prepared/<task>-<seed>-<hash>/operator/   the operator (mile_sim.operator)
"""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import io
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from mile_learner.bundle import Bundle, Manifest, read_manifest
from mile_learner.config import Config, option
from mile_learner.files import sync_folder, write_atomically
from mile_learner.history import stack_episode
from mile_learner.intervention import log_intervention_probability
from mile_learner.layout import image_entry
from mile_learner.methods.behaviour_cloning import BehaviourCloningConfig, clone
from mile_learner.policy import GaussianPolicy
from mile_learner.rollout import Rollout
from mile_learner.step import ACTION_DIM, Array
from mile_learner.task import TaskConfig
from mile_sim.episodes import Run, demonstrator, episode_runner, player, supervised
from mile_sim.errors import SimError
from mile_sim.expert import ExpertConfig
from mile_sim.operator import Operator, OperatorConfig, save_operator
from mile_sim.scene import SceneConfig
from mile_sim.start_states import Purpose, state_seeds
from mile_sim.world import StartConfig

RECIPE = 4
"""Part of the hash: to be raised by whoever changes what the same configuration makes."""
INITIAL_VERSION = 'v000'
OPERATOR_FOLDER = 'operator'
EXPERT_EPISODES = 10
_C_LARGEST = 100.0


@dataclass(frozen=True)
class PrepareConfig(Config):
    """How the initial policy and the operator are made."""

    demonstrations: int = option(40, doc='episodes of the teacher', ge=2, le=1000)
    jitter: float = option(0.15, doc='standard deviation of disturbances during the demonstrations', ge=0.0, le=1.0)
    offset_m: float = option(0.0025, doc='how far off in y the teacher sees the hole, at severity 1 [m]', ge=0.0, le=0.02)
    scale_error: float = option(0.045, doc='by what fraction too far from the middle it sees the hole, at severity 1', ge=0.0, le=0.5)
    band_low: float = option(0.15, doc='lowest measured success of the initial policy; its true one is to be 0.1 to 0.4', ge=0.0, lt=1.0)
    band_high: float = option(0.33, doc='highest measured success of the initial policy', gt=0.0, le=1.0)
    candidates: int = option(8, doc='most severities that are tried', ge=1)
    selection_episodes: int = option(100, doc='start states on which the success is measured', ge=2, le=1000)
    pilot_sessions: int = option(8, doc='sessions with interventions for each c that is tried', ge=1, le=300)
    session_episodes: int = option(3, doc='episodes of a session, in which the operator gets to know the robot', ge=1, le=100)
    target_ratio: float = option(0.2, doc='fraction of ticks in which the operator intervenes; a lower one is accepted', gt=0.0, lt=0.3)
    agreement: float = option(0.3, doc='robot and human agree if their actions lie no further apart', ge=0.0, le=2.0)
    agreement_probability: float = option(0.02, doc='largest p(nu=1|s) where they agree', gt=0.0, lt=0.5)
    sigma_to_c: float = option(0.2, doc='sigma as a fraction of c', gt=0.0, le=1.0)
    hidden: tuple[int, ...] = option((128, 128), doc='widths of the hidden layers', ge=1)
    policy_epochs: int = option(200, doc='most passes over the demonstrations', ge=1)
    mental_epochs: int = option(30, doc='most passes over the rollouts', ge=1)


def default_config(task: TaskConfig) -> PrepareConfig:
    """The recipe of a task. Where every tick costs an image it makes do with fewer of them, and hence with a coarser measurement."""
    if not image_entry(task.observation_layout):
        return PrepareConfig()
    return PrepareConfig(demonstrations=20, band_low=0.05, band_high=0.45, selection_episodes=20, pilot_sessions=2, policy_epochs=100)


def mile_home() -> Path:
    """$MILE_HOME, by default ~/.cache/mile."""
    return Path(os.environ.get('MILE_HOME') or '~/.cache/mile').expanduser().absolute()


def prepared_folder(task: TaskConfig, seed: int, config: PrepareConfig | None = None) -> Path:
    """Where `prepare` puts, or has put, its results; everything that shapes them is in the hash."""
    parts = (task, config or default_config(task), ExpertConfig(), OperatorConfig(c=0.0, sigma=1.0), SceneConfig(), StartConfig())
    content = json.dumps([RECIPE, *(part.to_mapping() for part in parts)], sort_keys=True)
    return mile_home() / 'prepared' / f'{task.name}-{seed}-{hashlib.sha256(content.encode()).hexdigest()[:10]}'


def prepare(task: TaskConfig, seed: int, config: PrepareConfig | None = None, *, workers: int = 2) -> Path:
    """Make what is not there yet, with progress on standard error, and return its folder; one process at a time, others wait for it.

    Raises:
        SimError: no severity of the teacher's perception error led into the success band, or the expert itself fails.
    """
    config = config or default_config(task)
    folder = prepared_folder(task, seed, config)
    if folder.is_dir():
        return folder
    work = folder.with_name(f'{folder.name}.unfinished')
    work.mkdir(parents=True, exist_ok=True)
    with _locked(work):
        if folder.is_dir():
            return folder
        with episode_runner(task, workers) as run:
            preparation = Preparation(task, seed, config, work, run)
            policy = preparation.initial_policy()
            preparation.operator(policy)
        for leftover in work.iterdir():
            if leftover.is_file():
                leftover.unlink()
            elif leftover.name not in (INITIAL_VERSION, OPERATOR_FOLDER):
                shutil.rmtree(leftover)
        sync_folder(work)
        work.rename(folder)
        sync_folder(folder.parent)
    return folder


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Wait until no other process holds this folder, and hold it."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f'waiting for another process that prepares {folder}', file=sys.stderr)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@dataclass(frozen=True)
class Preparation:
    """The stages of one preparation in the folder `work`; each returns at once what an earlier attempt has finished."""

    task: TaskConfig
    seed: int
    config: PrepareConfig
    work: Path
    run: Run

    def initial_policy(self) -> Path:
        """Search for the severity whose clone lies in the success band, between one that is too good and one that is too bad."""
        config = self.config
        severity, too_good, too_bad = 1.0, 0.0, None
        for number in range(config.candidates):
            folder = self.candidate(number, severity)
            success = read_manifest(folder).metrics['success']
            if config.band_low <= success <= config.band_high:
                return folder
            if success > config.band_high:
                too_good = severity
            else:
                if too_bad is None:
                    self._check_expert()
                too_bad = severity
            severity = 1.5 * severity if too_bad is None else (too_good + too_bad) / 2
        msg = (
            f'initial policy: success {success} after {config.candidates} attempts, expected {config.band_low} to {config.band_high}; '
            'give another seed or a longer time limit'
        )
        raise SimError(msg)

    def _check_expert(self) -> None:
        """Refuse a task that the expert itself cannot do: no teacher, and no human, could."""
        expert = ExpertConfig(step_size_m=self.task.step_size_m)
        seeds = state_seeds(Purpose.DEMONSTRATION, self.seed, EXPERT_EPISODES)
        done = sum(episode.success for episode in self.run(demonstrator(expert, 0.0), seeds, 'the expert'))
        if done < self.config.band_high * len(seeds):
            limit = self.task.time_limit_s
            msg = f'initial policy: the expert does the task in {done} of {len(seeds)} episodes of {limit:g} s; give a longer time limit'
            raise SimError(msg)

    def candidate(self, number: int, severity: float) -> Path:
        """The policy cloned from a teacher with this severity, and how often it succeeds."""
        folder = self.work / f'candidate_{number}'
        if folder.is_dir():
            return folder
        config, side = self.config, 1.0 if self.seed % 2 == 0 else -1.0
        teacher = ExpertConfig(
            step_size_m=self.task.step_size_m, offset_y_m=side * severity * config.offset_m, scale_error=severity * config.scale_error
        )
        seeds = state_seeds(Purpose.DEMONSTRATION, self.seed, config.demonstrations)
        shown = self.run(demonstrator(teacher, config.jitter), seeds, f'demonstrations (severity {severity:.2f})')
        policy = self.cloned([episode.observations for episode in shown], [episode.actions for episode in shown], config.policy_epochs, 0)
        manifest = Manifest(
            version=INITIAL_VERSION,
            task=self.task.name,
            observation_layout=self.task.observation_layout,
            history=self.task.history,
            architecture=policy.architecture,
            mental_architecture=None,
            c=0.0,
            sigma=1.0,
            method='behaviour_cloning',
            configuration=config.to_mapping() | {'severity': severity, 'teacher': teacher.to_mapping()},
            seed=self.seed,
        )
        draft = self.work / f'unmeasured_{number}'
        shutil.rmtree(draft, ignore_errors=True)
        Bundle(policy, None, manifest).save(draft)
        seeds = state_seeds(Purpose.SELECTION, self.seed, config.selection_episodes)
        played = self.run(player(draft), seeds, 'its success')
        tried, states = [episode for episode, _ in played], [states for _, states in played]
        metrics = {
            'success': float(np.mean([episode.success for episode in tried])),
            'episodes': len(tried),
            'teacher_success': float(np.mean([episode.success for episode in shown])),
        }
        write_rollouts(tried, states, self.work / f'{folder.name}.npz')
        Bundle(policy, None, dataclasses.replace(manifest, metrics=metrics)).save(folder)
        return folder

    def operator(self, candidate: Path) -> None:
        """Clone the operator's mental model, calibrate the operator, and write both results."""
        if (self.work / INITIAL_VERSION).is_dir():
            return
        config, bundle = self.config, Bundle.load(candidate)
        with np.load(candidate.with_name(f'{candidate.name}.npz')) as seen:
            states, observations, actions = (np.split(seen[name], seen['ends'][:-1]) for name in ('states', 'observations', 'actions'))
        operators, learners = (
            self.cloned(inputs, actions, config.mental_epochs, stream) for stream, inputs in ((1, states), (2, observations))
        )
        draft = Operator(
            OperatorConfig(c=_C_LARGEST, sigma=_C_LARGEST * config.sigma_to_c),
            operators,
            ExpertConfig(step_size_m=self.task.step_size_m),
            history=self.task.history,
        )
        folder = self.work / OPERATOR_FOLDER
        folder.mkdir(exist_ok=True)
        save_operator(draft, folder)
        c, pilots = self.calibrated(candidate, folder)
        save_operator(draft.with_model(c, c * config.sigma_to_c), folder)
        manifest = dataclasses.replace(
            bundle.manifest,
            c=c,
            sigma=c * config.sigma_to_c,
            mental_architecture=learners.architecture,
            metrics={**bundle.manifest.metrics, 'pilot_ratio': ratio(pilots), 'pilot_success': float(np.mean([e.success for e in pilots]))},
        )
        Bundle(bundle.policy, learners, manifest).save(self.work / INITIAL_VERSION)

    def calibrated(self, version: Path, operator: Path) -> tuple[float, list[Rollout]]:
        """The smallest c, with p small where robot and human agree, at which the operator intervenes rarely enough; and its pilots.

        The pilots are run with interventions, because these lead to states that the robot alone never sees.
        """
        config = self.config
        count = config.session_episodes
        seeds = state_seeds(Purpose.PILOT, self.seed, config.pilot_sessions * count)[::count]

        def pilot(c: float) -> list[Rollout]:
            sessions = self.run(supervised(version, operator, c, c * config.sigma_to_c, count), seeds, f'pilots (c = {c:.1f})')
            return [episode for session in sessions for episode in session]

        low = smallest_c(config.sigma_to_c, config.agreement, config.agreement_probability)
        pilots = pilot(low)
        if ratio(pilots) <= config.target_ratio:
            return low, pilots
        high, best = _C_LARGEST, None
        for _ in range(5):
            middle = float(np.sqrt(low * high))
            pilots = pilot(middle)
            if ratio(pilots) <= config.target_ratio:
                high, best = middle, pilots
            else:
                low = middle
        return high, best or pilot(high)

    def cloned(self, observations: Sequence[Array], actions: Sequence[Array], epochs: int, stream: int) -> GaussianPolicy:
        """A Gaussian policy cloned from episodes; `stream` tells apart what is random in several clones of one preparation."""
        stacked = np.concatenate([stack_episode(episode, self.task.history) for episode in observations])
        numbers = np.concatenate([np.full(len(episode), number) for number, episode in enumerate(observations)])
        cloning = BehaviourCloningConfig(epochs=epochs, hidden=self.config.hidden)
        seed = int(np.random.SeedSequence([self.seed, stream]).generate_state(1)[0])
        with tqdm(total=epochs, desc='cloning', unit='epoch') as bar:

            def report(epoch: int, _: int, losses: Mapping[str, float]) -> bool:
                bar.set_postfix({name: f'{value:.2f}' for name, value in losses.items()}, refresh=False)
                bar.update(epoch - bar.n)
                return True

            inputs, outputs, episodes = (torch.from_numpy(rows) for rows in (stacked, np.concatenate(actions), numbers))
            return clone(inputs, outputs, episodes, cloning, seed=seed, report=report)[0]


def smallest_c(sigma_to_c: float, agreement: float, probability: float) -> float:
    """The smallest c [nats] for which p(nu=1|s) <= `probability` where the expected robot action lies `agreement` from the human's.

    The mental model is taken to be as sure of the robot as the human is of its own action.
    """
    m = torch.tensor([ACTION_DIM + (agreement / OperatorConfig(c=0.0, sigma=1.0).expert_std) ** 2])
    for c in np.arange(0.5, _C_LARGEST, 0.1):
        if log_intervention_probability(m, ACTION_DIM, float(c), float(c) * sigma_to_c)[0].exp().item() <= probability:
            return float(c)
    msg = f'agreement_probability: {probability} is not reached with sigma = {sigma_to_c} c; choose a smaller sigma_to_c'
    raise SimError(msg)


def write_rollouts(episodes: Sequence[Rollout], states: Sequence[Array], path: Path) -> None:
    """Keep the states, and what the robot saw and did in whole episodes, one after another, and where each ends."""
    content = io.BytesIO()
    np.savez(
        content,
        states=np.concatenate(states),
        observations=np.concatenate([episode.observations for episode in episodes]),
        actions=np.concatenate([episode.robot_actions for episode in episodes]),
        ends=np.cumsum([len(episode.observations) for episode in episodes]),
    )
    write_atomically(path, content.getvalue())


def ratio(episodes: Sequence[Rollout]) -> float:
    """Fraction of ticks with nu = 1."""
    return float(np.concatenate([episode.intervening for episode in episodes]).mean())
