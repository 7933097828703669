"""From a run's recorded episodes to a new policy version."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from mile_learner.bags import content_hash
from mile_learner.bundle import Bundle, Manifest, now
from mile_learner.dataset import recorded, run_data
from mile_learner.guards import model_warnings, training_warnings
from mile_learner.learner_config import method_config
from mile_learner.meaning import kept
from mile_learner.methods import METHODS, uses_c
from mile_learner.methods.checkpoint import checkpointing
from mile_learner.methods.training import Report
from mile_learner.run_folder import Run


def train(
    run: Run,
    *,
    method: str = 'mile',
    overrides: Mapping[str, Any] | None = None,
    seed: int | None = None,
    progress: Report | None = None,
    with_salvaged: bool = False,
    iteration: int | None = None,
) -> Manifest:
    """Train on every whole episode of the run, starting from the version that flies, and save the result as the next version.

    Where nobody took over in any episode the new version is a copy, made as its parent was: a deployment in which all goes well goes on.
    The new version does not fly until it is promoted, by whoever concludes `iteration` if that is given. A training that is killed or
    cancelled leaves at most a checkpoint behind, from which the same call goes on. The same run, method, options and explicit seed give the
    same weights to the bit on the same machine.

    Args:
        run: with at least one episode and a current version.
        method: a name in `mile_learner.methods.METHODS`.
        overrides: of the method's configuration.
        seed: of the training; by default one for each version, from the run's own (run.yaml) and 0 if it has none.
        progress: called after each epoch; returns False to cancel.
        with_salvaged: train on salvaged episodes too.
        iteration: which one of a deployment ends with this training; None: none, its next episode is still to be recorded.

    Raises:
        LearnerError: unknown method, no data, or data that cannot be trained on.
        ConfigError: unknown or out-of-range options, or a seed in run.yaml that is none.
        TrainingCancelled: `progress` asked to stop.
    """
    start = Bundle.load(run.version_path(run.current()))
    config = method_config(method, start.manifest.task, overrides or {})
    salvaged = run.salvaged() if with_salvaged else []
    episodes = sorted([*((number, path) for (number, _), path in run.episodes().items()), *salvaged])
    records = recorded(episodes, start.manifest.observation_layout, with_salvaged=with_salvaged)
    data = run_data(records, start.manifest.history)
    version = run.next_version()
    training_seed = version_seed(run, version, seed)
    bags = provenance(run, (path for _, path in episodes))
    made_from = [method, config.to_mapping(), training_seed, start.manifest.version, dict(start.manifest.weights), bags]
    if data.intervening.any():
        with resumable(run, version, made_from):
            trained = METHODS[method].fit(data, start, config=config, seed=training_seed, progress=progress)
        configuration = config.to_mapping() | ({} if uses_c(method) else kept(start))
        made = dataclasses.replace(trained.manifest, method=method, configuration=configuration, seed=training_seed)
        trained = trained.with_manifest(made)
        warnings = training_warnings(data, start, trained)
    else:
        trained = start.with_manifest(dataclasses.replace(start.manifest, metrics={}))
        nothing = f'nobody took over in {len(data)} steps: nothing to learn from, the weights are those of {start.manifest.version}'
        warnings = [nothing, *model_warnings(data, start, trained, None)]
    measured = {'steps': len(data), 'intervention_rate': float(data.intervening.mean()), 'warnings': warnings}
    manifest = dataclasses.replace(
        trained.manifest,
        parent=start.manifest.version,
        iteration=iteration,
        data=bags,
        metrics={**trained.manifest.metrics, **measured},
        created=now(),
    )
    saved = trained.with_manifest(manifest).save(run.version_path(version))
    remove_checkpoints(run)
    return saved


def resumable(run: Run, version: str, made_from: Sequence[Any]) -> AbstractContextManager[None]:
    """What trains `version` within, from what is told in `made_from` (JSON), goes on where a killed training of the same stopped."""
    key = hashlib.sha256(json.dumps(made_from).encode()).hexdigest()
    return checkpointing(run.path / 'policies' / f'.training-{version}.safetensors', key)


def remove_checkpoints(run: Run) -> None:
    """Once what they were for is whole."""
    for done in (run.path / 'policies').glob('.training-*'):
        done.unlink()


def version_seed(run: Run, version: str, seed: int | None) -> int:
    """The seed of the training that makes `version`: `seed` as it is, by default one of its own from the run's (`Run.seed`)."""
    return seed if seed is not None else int(np.random.SeedSequence([run.seed, int(version[1:])]).generate_state(1)[0])


def provenance(run: Run, episodes: Iterable[Path]) -> tuple[dict[str, str], ...]:
    """What a manifest says about the bags that a version was trained on."""
    return tuple({'episode': path.relative_to(run.path).as_posix(), 'sha256': content_hash(path)} for path in episodes)
