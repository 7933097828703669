"""Numbers of a run, per episode and per iteration, computed from what is on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mile_learner.bags import EpisodeRecord, read_episode
from mile_learner.run_folder import Run


@dataclass(frozen=True)
class EpisodeSummary:
    """One episode in numbers.

    Attributes:
        iteration, index: which.
        outcome: success, failure, timeout.
        steps: control ticks.
        duration_s: from the first to the last tick, on the wall clock [s].
        intervention_ratio: share of steps with ν = 1.
        segments: contiguous spans of ν = 1.
        policy_version: that flew.
        operator_name: who held the pad.
    """

    iteration: int
    index: int
    outcome: str
    steps: int
    duration_s: float
    intervention_ratio: float
    segments: int
    policy_version: str
    operator_name: str


def summarise(record: EpisodeRecord, iteration: int, index: int) -> EpisodeSummary:
    """Summarise one recorded episode."""
    nu = record.column('intervening').astype(bool)
    stamps = record.column('stamp')
    return EpisodeSummary(
        iteration=iteration,
        index=index,
        outcome=record.outcome,
        steps=len(nu),
        duration_s=float(stamps[-1] - stamps[0]) if len(stamps) else 0.0,
        intervention_ratio=float(nu.mean()) if len(nu) else 0.0,
        segments=int(np.count_nonzero(np.diff(nu, prepend=False) & nu)),
        policy_version=str(record.metadata.get('policy_version', '')),
        operator_name=record.operator_name,
    )


def episode_summaries(run: Run) -> list[EpisodeSummary]:
    """Every whole episode of a run, in order.

    Raises:
        LearnerError: a bag that cannot be read.
    """
    return [summarise(read_episode(path), iteration, index) for (iteration, index), path in run.episodes().items()]


def iteration_record(episodes: list[EpisodeSummary], iteration: int) -> dict[str, Any]:
    """Success, intervention ratio (over all steps) and segments of one iteration."""
    of = [episode for episode in episodes if episode.iteration == iteration]
    steps = sum(episode.steps for episode in of)
    return {
        'iteration': iteration,
        'policy_version': of[0].policy_version if of else None,
        'episodes': len(of),
        'successes': sum(episode.outcome == 'success' for episode in of),
        'steps': steps,
        'intervention_ratio': sum(episode.intervention_ratio * episode.steps for episode in of) / steps if steps else None,
        'segments': sum(episode.segments for episode in of),
    }


def conclude(run: Run) -> None:
    """Let every version fly that was trained since, and append its iteration's numbers to metrics.jsonl. May be repeated.

    A version with its line in metrics.jsonl is left alone, so that a rollback stays one.
    """
    concluded = {record['iteration'] for record in run.metrics()}
    fresh = {manifest.iteration: manifest for manifest in run.versions().values() if manifest.iteration not in {None, *concluded}}
    for iteration, manifest in fresh.items():
        assert iteration is not None
        run.promote(manifest.version)
        run.append_metrics(
            {**iteration_record(episode_summaries(run), iteration), 'trained_version': manifest.version, 'training': dict(manifest.metrics)}
        )


def iteration_table(run: Run) -> list[Mapping[str, Any]]:
    """One record per iteration that has episodes: as concluded, or as far as it got."""
    concluded = {record['iteration']: record for record in run.metrics()}
    episodes = episode_summaries(run)
    return [concluded.get(iteration) or iteration_record(episodes, iteration) for iteration in sorted({e.iteration for e in episodes})]


def losses_of(record: Mapping[str, Any]) -> dict[str, float]:
    """The losses among what training measured."""
    training = record.get('training') or {}
    return {name: value for name, value in training.items() if 'loss' in name and isinstance(value, (int, float))}
