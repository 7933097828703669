"""`mile repair`: makes readable again what a killed recorder left behind."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mile_bringup.cli_common import Report, absolute, add_verb, table


def add(verbs: Any) -> None:
    """Add the verb."""
    about = 'salvage torn episodes: what is whole in them becomes a readable bag, marked as salvaged; nothing is changed or removed'
    parser = add_verb(verbs, 'repair', run, help=about)
    parser.add_argument(
        'path', metavar='RUN|BAG', type=absolute, help='folder of a run, or of one torn episode (EPISODE.torn-N or EPISODE.incomplete)'
    )


def run(args: argparse.Namespace) -> Report:
    """Salvage every torn episode of a run that was not salvaged before, or the one that is given."""
    from tqdm import tqdm

    from mile_teleop.salvage import TORN, salvage

    one = TORN.fullmatch(args.path.name) or args.path.suffix == '.incomplete'
    torn = [_torn_episode(args.path)] if one else _torn_episodes(args.path)
    done = [salvage(path) for path in tqdm(torn, unit='episode', desc='repair', disable=len(torn) < 2)]
    data = {
        'path': str(args.path),
        'episodes': [{**asdict(one), 'torn': str(one.torn), 'path': one.path and str(one.path)} for one in done],
    }
    rows = [[one.torn.name, one.path.name if one.path else None, one.steps, one.messages, one.cut_bytes, one.detail] for one in done]
    headers = ('torn', 'salvaged', 'steps', 'messages', 'cut [bytes]', 'why it ends there')
    hint = 'train on them with `mile train RUN --with-salvaged`' if any(one.path for one in done) else ''
    return Report(data, f'{table(headers, rows)}\n{hint}'.rstrip() if done else 'there is nothing to repair')


def _torn_episodes(path: Path) -> list[Path]:
    """Of a run, locked so that no deployment works on it; those that were salvaged before are left out."""
    from mile_bringup.isolation import lock_run
    from mile_learner.run_folder import Run
    from mile_teleop.salvage import target_of

    of = Run.open(path)
    lock_run(path)
    of.set_aside_torn_episodes()
    return [torn for torn in sorted(path.glob('*/episode_*.torn-*')) if not target_of(torn).exists()]


def _torn_episode(path: Path) -> Path:
    """One torn bag, set aside if it is not yet; the run that it belongs to, if any, is locked."""
    from mile_bringup.isolation import lock_run
    from mile_learner.run_folder import RUN_FILE, set_aside

    for folder in path.parents:
        if (folder / RUN_FILE).is_file():
            lock_run(folder)
    return set_aside(path) if path.suffix == '.incomplete' else path
