"""`mile bench faults`: which faults there are, one after another, and the report."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mile_bringup.cli_common import Report, finite, table
from mile_bringup.errors import UsageError
from mile_bringup.faults.clock import CLOCK_STEP, step_the_clock
from mile_bringup.faults.inputs import INPUT_FAULTS, strike
from mile_bringup.faults.kills import STRIKES, Kills
from mile_bringup.faults.live import live
from mile_bringup.faults.outcome import Outcome
from mile_bringup.faults.stage import make_run

NAMES = (CLOCK_STEP, *(fault.name for fault in INPUT_FAULTS), *(strike.name for strike in STRIKES))
QUICK = ('pad unplugged in a takeover', 'policy hangs', 'kill recorder_node in a takeover')
LIVE_OPTIONS = {'iterations': 1, 'episodes': 1000, 'speed': 2.0, 'time_limit': 3600.0}
HEADERS = ('fault', 'n', 'hold [ms]', 'limit', 'commands', 'steps lost', 'went on', 'orphans', 'locks', 'missed')


def chosen(only: Sequence[str], *, quick: bool) -> list[str]:
    """The faults whose name contains one of the texts; all of them if there is none.

    Raises:
        UsageError: a text is in no name.
    """
    for text in only:
        if not any(text in name for name in NAMES):
            msg = f'--only: got {text!r}, expected a part of one of: {", ".join(NAMES)}'
            raise UsageError(msg)
    among = QUICK if quick and not only else NAMES
    return [name for name in among if not only or any(text in name for text in only)]


def measure(only: Sequence[str], repeats: int, *, quick: bool, out: Path | None) -> Report:
    """Inject the faults, each so many times; fails if a goal was missed.

    Args:
        only: parts of the names of the faults.
        repeats: how often each.
        quick: a few telling faults, where `only` says nothing.
        out: file that every outcome is appended to as soon as it is there, a JSON object per line.

    Raises:
        BringupError: the deployment to be broken did not run; the folder with its logs is named.
    """
    names = chosen(only, quick=quick) * repeats
    folder = Path(tempfile.mkdtemp(prefix='mile_faults_'))
    outcomes: list[Outcome] = []
    with tqdm(total=len(names), unit='fault') as bar:

        def take(outcome: Outcome) -> None:
            outcomes.append(outcome)
            bar.set_description(outcome.fault, refresh=False)
            bar.update()
            if out is not None:
                with out.open('a') as file:
                    file.write(json.dumps(finite(plain(outcome))) + '\n')

        for name in names:
            if name == CLOCK_STEP:
                take(step_the_clock())
        faults = [fault for fault in INPUT_FAULTS if fault.name in names]
        if faults:
            run, deployment = make_run(folder / 'live', LIVE_OPTIONS)
            with live(run, deployment) as stage:
                for fault in faults * repeats:
                    take(strike(stage, fault))
        strikes = [strike for strike in STRIKES if strike.name in names]
        for number in range(repeats if strikes else 0):
            # each time a run of its own: one that grew for ever would train for ever longer
            Kills(folder / f'kills_{number}', strikes).outcomes(take)
    shutil.rmtree(folder)
    return report(outcomes)


def plain(outcome: Outcome) -> dict[str, Any]:
    """For JSON; with the goals that were missed, the time, and how busy the machine was."""
    now = datetime.now(timezone.utc).isoformat(timespec='seconds')
    return {**dataclasses.asdict(outcome), 'missed': outcome.missed(), 'at': now, 'load': round(os.getloadavg()[0], 1)}


def report(outcomes: Sequence[Outcome]) -> Report:
    """One row per fault, the worst of its repeats; what was missed, and what a person was told, below."""
    rows, lines = [], []
    by_name: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_name.setdefault(outcome.fault, []).append(outcome)
    for name, same in by_name.items():
        worst = max((one.hold_ms for one in same if one.hold_ms is not None), default=None)
        sums = [sum(getattr(one, field) for one in same) for field in ('policy_commands_after', 'steps_lost')]
        left = [sum(getattr(one, field) for one in same) for field in ('orphans', 'stale_locks')]
        missed = sum(bool(one.missed()) for one in same)
        went_on = all(one.resumed is not False for one in same)
        limit = same[0].limit_ms
        rows.append([name, len(same), worst and round(worst), limit and round(limit), *sums, 'yes' if went_on else 'NO', *left, missed])
        lines += [f'{name}: {", ".join(one.missed())}' for one in same if one.missed()]
        lines += [f'{name}: said: {said}' for said in sorted({one.told for one in same if one.told})[:1]]
    failed = sum(bool(outcome.missed()) for outcome in outcomes)
    data = {'faults': len(outcomes), 'goals_missed': failed, 'outcomes': [plain(outcome) for outcome in outcomes]}
    head = f'{len(outcomes)} faults, {failed} missed a goal'
    return Report(finite(data), '\n'.join([table(HEADERS, rows), head, *lines]), code=int(failed > 0))
