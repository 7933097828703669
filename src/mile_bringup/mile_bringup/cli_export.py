"""`mile export`: a run's episodes as a data set of another tool."""

from __future__ import annotations

import argparse
import os
import shutil
from typing import Any

from mile_bringup.cli_common import Report, absolute, add_verb
from mile_bringup.errors import UsageError

FORMATS = ('lerobot', 'robomimic')


def add(verbs: Any) -> None:
    """Add the verb."""
    parser = add_verb(
        verbs,
        'export',
        run,
        help="a run's episodes as a data set of LeRobot or robomimic",
        description='Writes every step on which the arm was commanded: observation, executed and robot action, whether the human acted.',
    )
    parser.add_argument('run_dir', metavar='RUN', type=absolute, help='folder of the run')
    parser.add_argument('--to', choices=FORMATS, required=True, help='LeRobot: a folder of version 3.0; robomimic: a folder with demo.hdf5')
    parser.add_argument('--out', metavar='DIR', type=absolute, help='new folder (default: RUN-FORMAT beside the run)')
    parser.add_argument('--demonstrations', action='store_true', help="only the run's demonstrations, instead of its iterations")
    parser.add_argument('--no-images', action='store_true', help='leave camera images out')


def run(args: argparse.Namespace) -> Report:
    """Export into a new folder, which appears when it is whole."""
    from tqdm import tqdm

    from mile_bringup.exchange import lerobot, robomimic
    from mile_bringup.exchange.trajectory import read_trajectory
    from mile_learner.run_folder import DEMONSTRATIONS, Run

    of = Run.open(args.run_dir)
    paths = list((of.recorded(DEMONSTRATIONS) if args.demonstrations else of.episodes()).values())
    if not paths:
        msg = f'{of.path}: has no {"demonstration" if args.demonstrations else "episode"} to export; see mile export --help'
        raise UsageError(msg)
    out = args.out or of.path.with_name(f'{of.path.name}-{args.to}')
    if out.exists():
        msg = f'{out}: exists, and nothing is ever overwritten; give another folder by --out'
        raise UsageError(msg)
    task = of.task
    images = not args.no_images
    trajectories = [
        read_trajectory(path, path.relative_to(of.path).as_posix(), images=images) for path in tqdm(paths, desc='reading', unit='episode')
    ]
    temporary = out.with_name(f'.{out.name}.{os.getpid()}')
    temporary.mkdir(parents=True)
    try:
        {'lerobot': lerobot.write, 'robomimic': robomimic.write}[args.to](trajectories, task, temporary)
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    steps = sum(map(len, trajectories))
    data = {'out': str(out), 'format': args.to, 'episodes': len(paths), 'steps': steps, 'images': all(t.images for t in trajectories)}
    return Report(data, f'{out}: {len(paths)} episodes, {steps} steps{" with images" if data["images"] else ""}')
