"""The first policy and the first mental model of a run, from what a person did and saw.

As in the paper's experiment with the real robot (its Appendix): the first policy is cloned from demonstrations by a human; then three
episodes of it are shown to the operator, and the mental model is warm-started from the same episodes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mile_learner.bags import read_episode
from mile_learner.bundle import Bundle, Manifest, now
from mile_learner.config import option
from mile_learner.dataset import run_data
from mile_learner.errors import LearnerError, quoted
from mile_learner.methods.base import InterventionData
from mile_learner.methods.behaviour_cloning import BehaviourCloningConfig, clone
from mile_learner.methods.training import Report
from mile_learner.run_folder import DEMONSTRATIONS, SHOWN_EPISODES, Run, shown_folder
from mile_learner.step import Array
from mile_learner.train import provenance, remove_checkpoints, resumable, version_seed

METHOD = 'behaviour_cloning'


@dataclass(frozen=True)
class WarmStartConfig(BehaviourCloningConfig):
    """Options of the first mental model.

    c and sigma are for Gaussians as narrow as the default lets them be, of std e^-2 (`log_std_min`): p(nu=1|s) is 3e-5 where robot and
    human agree, and 0.02 where they lie 0.3 of a full-scale action apart in one of its entries. The gain goes as 1/std^2: with narrower
    ones they ask for interventions nearly everywhere, until `mile calibrate` has fitted them.
    """

    epochs: int = option(30, doc='most passes over the shown episodes', ge=1)
    c: float = option(5.7, doc='cost of intervening, until it is calibrated [nats]')
    sigma: float = option(1.14, doc='scale of the intervention model, until it is calibrated [nats]', gt=0.0)


def clone_demonstrations(
    run: Run, *, overrides: Mapping[str, Any] | None = None, seed: int | None = None, progress: Report | None = None
) -> Manifest:
    """Clone the successful demonstrations of a run into a new policy version, which has no mental model yet.

    A training that is killed leaves a checkpoint, from which the same call goes on.

    Args:
        run: with demonstrations; needs no policy.
        overrides: of `BehaviourCloningConfig`.
        seed: of the training; by default one for each version, from the run's own (run.yaml) and 0 if it has none.
        progress: called after each epoch; returns False to cancel.

    Raises:
        LearnerError: no successful demonstration, or one of another task.
        ConfigError: unknown or out-of-range options.
        TrainingCancelled: `progress` asked to stop.
    """
    config = BehaviourCloningConfig.from_mapping(dict(overrides or {}), source=f'options of {METHOD}')
    task = run.task
    every = {path: read_episode(path) for path in run.recorded(DEMONSTRATIONS).values()}
    records = {path: record for path, record in every.items() if record.outcome == 'success'}
    if not records:
        msg = (
            f'{run.path}: got {len(every)} demonstrations of which none succeeded, expected at least one; record some: '
            f'mile deploy --run {quoted(run.path)} --mode demonstrate --episodes 20'
        )
        raise LearnerError(msg)
    for path, record in records.items():
        layout = tuple(record.metadata.get('observation_layout', ()))
        if layout != task.observation_layout:
            msg = f'{path}: observation layout is {layout}, the task has {task.observation_layout}'
            raise LearnerError(msg)
    data = run_data([(0, record) for record in records.values()], task.history)
    version = run.next_version()
    training_seed = version_seed(run, version, seed)
    bags = provenance(run, records)
    with resumable(run, version, [METHOD, config.to_mapping(), training_seed, bags]):
        policy, losses = _cloned(data, data.human_action, config, training_seed, progress)
    manifest = Manifest(
        version=version,
        task=task.name,
        observation_layout=task.observation_layout,
        history=task.history,
        architecture=policy.architecture,
        mental_architecture=None,
        c=0.0,
        sigma=1.0,
        method=METHOD,
        configuration=config.to_mapping(),
        seed=training_seed,
        data=bags,
        metrics={**losses, 'demonstrations': len(records), 'left_out': len(every) - len(records), 'steps': len(data)},
    )
    saved = Bundle(policy, None, manifest).save(run.version_path(version))
    remove_checkpoints(run)
    return saved


def warm_start(run: Run, *, seed: int | None = None, progress: Report | None = None) -> Manifest:
    """Give the version that flies a mental model, cloned from the episodes in which it was shown, as a new version.

    Raises:
        LearnerError: fewer than `SHOWN_EPISODES` were shown, or they cannot be trained on.
        TrainingCancelled: `progress` asked to stop.
    """
    start = Bundle.load(run.version_path(run.current()))
    size = start.manifest.architecture
    config = WarmStartConfig(
        hidden=size.hidden,
        distribution=size.distribution,
        components=size.components,
        log_std_min=size.log_std_min,
        log_std_max=size.log_std_max,
    )
    version = run.next_version()
    training_seed = version_seed(run, version, seed)
    model, losses = expectation(run, start.manifest, config, training_seed, progress)
    manifest = dataclasses.replace(
        start.manifest,
        mental_architecture=model.architecture,
        c=config.c,
        sigma=config.sigma,
        method='warm_start',
        parent=start.manifest.version,
        configuration=config.to_mapping(),
        seed=training_seed,
        data=provenance(run, shown_episodes(run, start.manifest.version)),
        metrics=losses,
        created=now(),
    )
    return Bundle(start.policy, model, manifest).save(run.version_path(version))


def expectation(
    run: Run, shown: Manifest, config: BehaviourCloningConfig, seed: int, progress: Report | None = None
) -> tuple[Any, dict[str, float]]:
    """What somebody expects of a policy version who saw the episodes in which it was shown, and the losses.

    Raises:
        LearnerError: too few were shown, or they cannot be trained on.
    """
    paths = shown_episodes(run, shown.version)
    if len(paths) < SHOWN_EPISODES:
        msg = f'{run.path}: {shown.version} was shown in {len(paths)} episodes, expected {SHOWN_EPISODES}; show it: mile deploy --mode show'
        raise LearnerError(msg)
    data = run_data([(0, read_episode(path)) for path in paths], shown.history)
    return _cloned(data, data.robot_action, config, seed, progress)


def shown_episodes(run: Run, version: str) -> Sequence[Path]:
    """The episodes in which a version was shown."""
    return list(run.recorded(shown_folder(version)).values())


def _cloned(
    data: InterventionData, actions: Array, config: BehaviourCloningConfig, seed: int, progress: Report | None
) -> tuple[Any, dict[str, float]]:
    inputs, outputs, episodes = (torch.as_tensor(column) for column in (data.stacked, actions, data.episode))
    return clone(inputs, outputs, episodes, config, seed=seed, report=progress)
