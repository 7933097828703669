"""Which invariants held in a run or in one episode, for a person, for a program, and at the end of every episode of a deployment."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mile_bringup.cli_common import Report, table
from mile_learner.bags import read_metadata
from mile_learner.errors import LearnerError
from mile_learner.invariants import Verdict, judge_bag, summed
from mile_learner.run_folder import IMPORTED, RUN_FILE, Run

MOST_SHOWN = 5
"""Violations of one invariant that are printed; the others are counted."""


def report(path: Path) -> Report:
    """Judge a bag, or every whole one of a run that a deployment recorded; exit code 1 if an invariant was violated.

    Raises:
        LearnerError: no bag and no run, or a bag that cannot be read.
    """
    every = Run.open(path).bags() if (path / RUN_FILE).is_file() else [path]
    bags = [bag for bag in every if bag == path or read_metadata(bag).get('operator') != IMPORTED]
    left_out = f', {len(every) - len(bags)} imported ones left out' if len(bags) < len(every) else ''
    judged = {str(bag): judge_bag(bag) for bag in bags}
    total = summed([verdict for verdicts in judged.values() for verdict in verdicts])
    violated = any(verdict.violations for verdict in total)
    data = {
        'path': str(path),
        'held': not violated,
        'invariants': _plain(total),
        'episodes': {bag: _plain(verdicts) for bag, verdicts in judged.items()},
    }
    rows = [[verdict.invariant, _word(verdict), verdict.checked, len(verdict.violations), verdict.note] for verdict in total]
    lines = [f'{bag}: {line}' for bag, verdicts in judged.items() for line in violations(verdicts)]
    text = f'{table(("invariant", "", "checked", "violated", "note"), rows)}\n{len(bags)} episodes{left_out}'
    return Report(data, '\n'.join([text, *lines]), code=1 if violated else 0)


def violations(verdicts: Sequence[Verdict]) -> list[str]:
    """One line per violation, the first few of each invariant."""
    lines = []
    for verdict in verdicts:
        lines += [f'{verdict.invariant} violated: {violation}' for violation in verdict.violations[:MOST_SHOWN]]
        if len(verdict.violations) > MOST_SHOWN:
            lines.append(f'{verdict.invariant} violated: {len(verdict.violations) - MOST_SHOWN} more')
    return lines


def warnings(path: Path) -> list[str]:
    """What a person is told at the end of an episode: every violation, or why the bag cannot be judged; empty if all is well."""
    try:
        return violations(judge_bag(path))
    except LearnerError as error:
        return [str(error)]


def _word(verdict: Verdict) -> str:
    return {True: 'held', False: 'VIOLATED', None: 'not tested'}[verdict.held]


def _plain(verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    return [{**dataclasses.asdict(verdict), 'held': verdict.held} for verdict in verdicts]
