"""Integrity of recorded episodes: every step carries what training relies on, or a finding says where it does not.

Conventions checked: indices run from 0 without gaps; a_r is there on every tick on which somebody commands the arm, during a takeover too;
a_h is finite exactly where nu = 1 and NaN elsewhere; the source follows from mode and ν; the executed action is that of its source. In a
demonstration there is no a_r, and the policy never acts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mile_learner.bags import EpisodeRecord, content_hash, read_episode
from mile_learner.errors import LearnerError
from mile_learner.layout import layout_width
from mile_learner.run_folder import BAG_METADATA_FILE, DEMONSTRATE, Run
from mile_learner.step import Mode, Source, Step

OUTCOMES = ('success', 'failure', 'timeout', 'discarded', 'aborted')
ACTION_TOLERANCE = 1e-5
SOURCES = {
    Mode.AUTONOMOUS: Source.POLICY,
    Mode.HUMAN: Source.HUMAN,
    Mode.HOLD: Source.HOLD,
    Mode.ESTOP: Source.HOLD,
}


@dataclass(frozen=True)
class Finding:
    """One violation.

    Attributes:
        kind: unreadable, changed, missing, outcome, layout, empty, index, stamp, episode_id, observation, robot_action, human_action,
            source or executed_action.
        episode: the bag's folder.
        index: the step's index, None where the whole episode is meant.
        message: what was got and what was expected.
    """

    kind: str
    episode: str
    index: int | None
    message: str


def check_run(run: Run) -> list[Finding]:
    """Check every bag of a run, and that those that a version was trained on are what they were then.

    Raises:
        LearnerError: the manifest of a version is damaged.
    """
    trained: dict[str, dict[str, str]] = {}
    for version, manifest in run.versions().items():
        for one in manifest.data:
            trained.setdefault(one['episode'], {}).setdefault(one['sha256'], version)
    bags = run.bags()
    findings = check_bags(bags)
    for episode, known in trained.items():
        if not (run.path / episode / BAG_METADATA_FILE).is_file():
            version = next(iter(known.values()))
            findings.append(Finding('missing', str(run.path / episode), None, f'is not there as a whole; {version} was trained on it'))
    unreadable = {finding.episode for finding in findings if finding.kind == 'unreadable'}
    for path in [*bags, *(path for _, path in run.salvaged())]:
        known = trained.get(path.relative_to(run.path).as_posix(), {})
        if known and str(path) not in unreadable:
            now = content_hash(path)
            changed_since = [version for digest, version in known.items() if digest != now]
            findings += [Finding('changed', str(path), None, f'is not what {version} was trained on') for version in changed_since]
    return findings


def check_bags(paths: Iterable[Path]) -> list[Finding]:
    """Check every bag; one that cannot be read is a finding."""
    return [finding for path in paths for finding in check_bag(path)]


def check_bag(path: Path) -> list[Finding]:
    """Check one bag; that it cannot be read is a finding."""
    try:
        return check_episode(read_episode(path))
    except (LearnerError, ValueError) as error:
        return [Finding('unreadable', str(path), None, str(error))]


def check_episode(episode: EpisodeRecord) -> list[Finding]:
    """Every violation in one episode, in order."""
    name = str(episode.path)
    findings = [Finding(kind, name, None, message) for kind, message in _episode_faults(episode)]
    layout = episode.metadata.get('observation_layout')
    width = layout_width(layout) if isinstance(layout, list) else 0
    demonstration = episode.metadata.get('mode') == DEMONSTRATE
    previous: Step | None = None
    for position, step in enumerate(episode.steps):
        faults = [*_order_faults(step, previous, position, episode), *_content_faults(step, width, demonstration=demonstration)]
        findings += [Finding(kind, name, step.index, message) for kind, message in faults]
        previous = step
    return findings


def _episode_faults(episode: EpisodeRecord) -> Iterator[tuple[str, str]]:
    if episode.outcome not in OUTCOMES:
        yield 'outcome', f'got {episode.outcome!r}, expected one of {", ".join(OUTCOMES)}'
    if not isinstance(episode.metadata.get('observation_layout'), list):
        yield 'layout', f'got {episode.metadata.get("observation_layout")!r}, expected the list of observation names'
    if not episode.metadata.get('episode_id'):
        yield 'episode_id', 'the metadata names no episode_id'
    if not episode.steps:
        yield 'empty', 'got no steps, expected at least one'


def _order_faults(step: Step, previous: Step | None, position: int, episode: EpisodeRecord) -> Iterator[tuple[str, str]]:
    expected = 0 if previous is None else previous.index + 1
    if step.index != expected:
        yield 'index', f'got {step.index} at position {position}, expected {expected}'
    if previous is not None and step.stamp <= previous.stamp:
        yield 'stamp', f'got {step.stamp:.6f} s after {previous.stamp:.6f} s, expected increasing stamps'
    if step.episode_id != episode.metadata.get('episode_id'):
        yield 'episode_id', f'got {step.episode_id!r}, expected {episode.metadata.get("episode_id")!r}'


def _content_faults(step: Step, dim: int, *, demonstration: bool) -> Iterator[tuple[str, str]]:
    commanded = step.source is not Source.HOLD
    if (commanded or len(step.observation)) and not (len(step.observation) == dim and np.isfinite(step.observation).all()):
        yield 'observation', f'got {len(step.observation)} values, expected {dim} finite ones'
    if demonstration:
        if step.robot_action_valid or step.source is Source.POLICY:
            yield 'robot_action', f'got {step.robot_action.tolist()} with source {step.source.name}, expected none in a demonstration'
    elif commanded and not (step.robot_action_valid and np.isfinite(step.robot_action).all()):
        yield 'robot_action', f'got {step.robot_action.tolist()} (valid: {step.robot_action_valid}), expected a finite a_r'
    if step.intervening and not np.isfinite(step.human_action).all():
        yield 'human_action', f'got {step.human_action.tolist()} where nu = 1, expected a finite a_h'
    if not step.intervening and not np.isnan(step.human_action).all():
        yield 'human_action', f'got {step.human_action.tolist()} where nu = 0, expected NaN'
    if step.source is not SOURCES.get(step.mode) or step.intervening is not (step.source is Source.HUMAN):
        yield 'source', f'got source {step.source.name} with mode {step.mode.name} and nu = {int(step.intervening)}'
    action = {Source.POLICY: step.robot_action, Source.HUMAN: step.human_action}.get(step.source)
    if action is not None and not np.allclose(step.executed_action, action, atol=ACTION_TOLERANCE, equal_nan=True):
        yield 'executed_action', f'got {step.executed_action.tolist()}, expected that of the {step.source.name}: {action.tolist()}'
