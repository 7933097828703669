"""From recorded episodes to what a method trains on: every step on which somebody commanded the arm, with its stacked observation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from mile_learner.bags import EpisodeRecord, read_episode
from mile_learner.errors import LearnerError, quoted
from mile_learner.history import stack_episode
from mile_learner.methods.base import InterventionData
from mile_learner.run_folder import DEMONSTRATE
from mile_learner.step import Source


def episode_data(episode: EpisodeRecord, *, history: int, number: int, iteration: int) -> InterventionData:
    """The usable steps of one episode.

    Steps without an observation are left out before stacking, as the policy never saw them; steps on which nobody commanded the arm (hold,
    e-stop) are left out after stacking, as they say nothing about whether the human wanted to intervene. A demonstration has no a_r.

    The bag holds no observation after its last step, so that the last step's s' is its own s. That matters where the episode did not end by
    itself but by the time limit: what bootstraps from s' (RLIF) takes that step for one that leads back to where it began.

    Args:
        episode: as read from its bag.
        history: observations stacked.
        number: of the episode in the data set.
        iteration: in which it was recorded.

    Raises:
        LearnerError: no usable step, or observations or actions that are not finite.
    """
    seen = [number for number, step in enumerate(episode.steps) if len(step.observation)]
    steps = [episode.steps[number] for number in seen]
    commanded = np.array([step.source is not Source.HOLD for step in steps], dtype=bool)
    if not commanded.any():
        msg = f'{episode.path}: got no step on which the arm was commanded, expected at least one; remove the episode from the run'
        raise LearnerError(msg)
    stacked = stack_episode(np.stack([step.observation for step in steps]), history)
    next_stacked = np.concatenate([stacked[1:], stacked[-1:]])
    robot_action = np.stack([step.robot_action for step in steps])
    demonstration = episode.metadata.get('mode') == DEMONSTRATE
    for name, values in (('observation', stacked), ('robot_action', robot_action)):
        if not np.isfinite(values[commanded]).all() and not (demonstration and name == 'robot_action'):
            msg = f'{episode.path}: {name} is not finite; `mile inspect {quoted(episode.path)} --check` names the steps'
            raise LearnerError(msg)
    kept = np.flatnonzero(commanded)
    count = len(kept)
    ended = np.zeros(count, dtype=bool)
    ended[-1] = episode.outcome in ('success', 'failure')
    return InterventionData(
        stacked=stacked[kept],
        next_stacked=next_stacked[kept],
        robot_action=robot_action[kept],
        human_action=np.stack([steps[row].human_action for row in kept]),
        intervening=np.array([steps[row].intervening for row in kept], dtype=bool),
        episode=np.full(count, number),
        step=np.array(seen)[kept],
        iteration=np.full(count, iteration),
        done=ended,
        success=np.full(count, episode.outcome == 'success'),
        demonstration=np.full(count, demonstration),
    )


def recorded(
    episodes: Iterable[tuple[int, Path]], layout: tuple[str, ...], *, with_salvaged: bool = False
) -> list[tuple[int, EpisodeRecord]]:
    """The bags of (iteration, path), read, for a policy that consumes observations of this layout.

    Raises:
        LearnerError: a bag that cannot be read, is not whole and not asked for, or has another layout.
    """
    records = [(iteration, read_episode(path)) for iteration, path in episodes]
    for _, record in records:
        if not with_salvaged and (record.metadata.get('salvaged') or record.metadata.get('torn')):
            msg = f'{record.path}: is not whole; move it out of the run, or train on it: `mile train --with-salvaged`'
            raise LearnerError(msg)
        found = tuple(record.metadata.get('observation_layout', ()))
        if found != layout:
            msg = f'{record.path}: observation layout is {found}, the policy consumes {layout}'
            raise LearnerError(msg)
    return records


def run_data(episodes: Sequence[tuple[int, EpisodeRecord]], history: int) -> InterventionData:
    """All episodes of a run, given as (iteration, episode).

    Raises:
        LearnerError: no episode, or one that cannot be trained on.
    """
    if not episodes:
        msg = 'got no episodes, expected at least one; record an episode first'
        raise LearnerError(msg)
    parts = [
        episode_data(episode, history=history, number=number, iteration=iteration) for number, (iteration, episode) in enumerate(episodes)
    ]
    return InterventionData.concatenate(parts)
