"""`mile repair`: makes readable again what a killed recorder left behind, or what was damaged since."""

from __future__ import annotations

import argparse
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mile_bringup.cli_common import Report, absolute, add_verb, table


def add(verbs: Any) -> None:
    """Add the verb."""
    about = 'salvage torn and damaged episodes: what is whole in them becomes a readable bag, marked as salvaged; nothing is removed'
    parser = add_verb(verbs, 'repair', run, help=about)
    where = 'folder of a run, or of one episode; what is torn or damaged is called EPISODE.torn-N from then on'
    parser.add_argument('path', metavar='RUN|BAG', type=absolute, help=where)


def run(args: argparse.Namespace) -> Report:
    """Salvage every torn or damaged episode of a run that was not salvaged before, or the one that is given."""
    from tqdm import tqdm

    from mile_learner.run_folder import BAG_METADATA_FILE
    from mile_teleop.salvage import TORN, salvage

    path = args.path
    named = TORN.fullmatch(path.name) or path.suffix == '.incomplete' or re.fullmatch(r'episode_\d+', path.name)
    one = named or (path / BAG_METADATA_FILE).is_file()
    torn = _one(path) if one else _of_run(path)
    done = [salvage(path) for path in tqdm(torn, unit='episode', desc='repair', disable=len(torn) < 2)]
    data = {
        'path': str(args.path),
        'episodes': [{**asdict(one), 'torn': str(one.torn), 'path': one.path and str(one.path)} for one in done],
    }
    rows = [[one.torn.name, one.path.name if one.path else None, one.steps, one.messages, one.cut_bytes, one.detail] for one in done]
    headers = ('torn', 'salvaged', 'steps', 'messages', 'cut [bytes]', 'why it ends there')
    hint = 'train on them with `mile train RUN --with-salvaged`' if any(one.path for one in done) else ''
    return Report(data, f'{table(headers, rows)}\n{hint}'.rstrip() if done else 'there is nothing to repair')


def _of_run(path: Path) -> list[Path]:
    """What is torn in a run, locked so that no deployment works on it; what was salvaged before is left out."""
    from tqdm import tqdm

    from mile_bringup.isolation import lock_run
    from mile_learner.run_folder import Run, set_aside

    of = Run.open(path)
    lock_run(path)
    of.set_aside_torn_episodes()
    for bag in tqdm(of.bags(), unit='bag', desc='reading'):
        if _damaged(bag):
            set_aside(bag)
    return of.torn()


def _one(path: Path) -> list[Path]:
    """One bag, set aside if it is torn or damaged and is not yet; the run that it belongs to, if any, is locked."""
    from mile_bringup.isolation import lock_run
    from mile_learner.run_folder import RUN_FILE, set_aside
    from mile_teleop.salvage import TORN

    for folder in path.parents:
        if (folder / RUN_FILE).is_file():
            lock_run(folder)
    if TORN.fullmatch(path.name):
        return [path]
    return [set_aside(path)] if path.suffix == '.incomplete' or _damaged(path) else []


def _damaged(bag: Path) -> bool:
    from mile_learner.check import check_bag

    return any(finding.kind == 'unreadable' for finding in check_bag(bag))
