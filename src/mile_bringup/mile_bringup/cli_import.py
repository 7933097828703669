"""`mile import`: demonstrations from a data set of another tool, into a run."""

from __future__ import annotations

import argparse
import os
import shlex
from typing import TYPE_CHECKING, Any

from mile_bringup.cli_common import Report, absolute, add_verb
from mile_bringup.cli_export import FORMATS
from mile_bringup.errors import BringupError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from mile_learner.run_folder import Run


def add(verbs: Any) -> None:
    """Add the verb."""
    parser = add_verb(
        verbs,
        'import',
        run,
        help='demonstrations from a data set of LeRobot or robomimic, into a run',
        description='Makes a demonstration of every episode in which no policy acted. Observations and actions must be those of the task: '
        'actions (dx, dy, dz, gripper), each in [-1, 1], at its rate. '
        'A run of another task is made first: mile prepare --run DIR --mode demonstrate --task NAME.',
    )
    parser.add_argument('path', metavar='PATH', type=absolute, help='folder of the LeRobot data set, or the .hdf5 file of robomimic')
    parser.add_argument('--from', dest='source', choices=FORMATS, required=True, help='what it is')
    parser.add_argument(
        '--run', dest='run_dir', metavar='DIR', type=absolute, required=True, help='folder of the run; made if there is none'
    )
    parser.add_argument(
        '--observation', metavar='KEY', help='which of its observations is the state (default: observation.state, or state)'
    )


def run(args: argparse.Namespace) -> Report:
    """Check everything, then write one bag per episode."""
    from mile_bringup.isolation import lock_run
    from mile_bringup.run_setup import open_run

    if not args.path.exists():
        msg = f'{args.path}: is not there; give the folder of a LeRobot data set, or the .hdf5 file of robomimic'
        raise UsageError(msg)
    of, _ = open_run(args.run_dir, {})
    lock = lock_run(args.run_dir)
    try:
        bags, left_out, there = _import(of, args)
    finally:
        os.close(lock)
    data = {'run': str(of.path), 'bags': list(map(str, bags)), 'left_out': left_out, 'there_already': there}
    hint = f'clone a policy from them: {shlex.join(["mile", "train", str(of.path), "--method", "behaviour_cloning"])}'
    of_policy = f', {left_out} left out because a policy acted in them' if left_out else ''
    imported_before = f', {there} were there already' if there else ''
    return Report(data, f'{of.path}: {len(bags)} demonstrations{of_policy}{imported_before}\n{hint}')


def _import(of: Run, args: argparse.Namespace) -> tuple[list[Path], int, int]:
    """The bags, how many episodes are no demonstrations, and how many were imported from there before."""
    from tqdm import tqdm

    from mile_bringup.exchange import lerobot, robomimic
    from mile_bringup.exchange.demonstration import write_demonstration
    from mile_bringup.exchange.trajectory import checked
    from mile_learner.bags import read_metadata
    from mile_learner.run_folder import DEMONSTRATIONS
    from mile_teleop.errors import BagError

    read, state = {'lerobot': (lerobot.read, lerobot.STATE), 'robomimic': (robomimic.read, robomimic.STATE)}[args.source]
    task = of.task
    every = [checked(trajectory, task.observation_layout) for trajectory in read(args.path, task, args.observation or state)]
    wanted = [trajectory for trajectory in every if trajectory.intervening.all()]
    if not wanted:
        msg = f'{args.path}: got {len(every)} episodes, in all of which a policy acted; expected a demonstration'
        raise UsageError(msg)
    recorded = of.recorded(DEMONSTRATIONS)
    origins = {read_metadata(bag).get('origin') for bag in recorded.values()}
    new = [(origin, trajectory) for trajectory in wanted if (origin := f'{args.path}: {trajectory.name}') not in origins]
    bags = []
    for index, (origin, trajectory) in enumerate(tqdm(new, desc='importing', unit='episode'), max(recorded, default=-1) + 1):
        path = of.path / DEMONSTRATIONS / f'episode_{index:03d}'
        episode_id = f'{path.relative_to(of.path).as_posix()}/imported'
        try:
            bags.append(write_demonstration(trajectory, task, path, episode_id=episode_id, origin=origin))
        except BagError as error:
            raise BringupError(str(error)) from error
    return bags, len(every) - len(wanted), len(wanted) - len(new)
