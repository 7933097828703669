"""`mile import`: demonstrations from a data set of another tool, into a run."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from mile_bringup.cli_common import Report, absolute, add_verb
from mile_bringup.cli_export import FORMATS
from mile_bringup.errors import BringupError, UsageError
from mile_learner.errors import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mile_bringup.exchange.trajectory import Trajectory
    from mile_learner.run_folder import Run
    from mile_learner.task import TaskConfig


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
    """Check everything, then write one bag per episode; a run is made only for what can be imported."""
    from mile_bringup.deployment import Deployment
    from mile_bringup.isolation import lock_run
    from mile_bringup.run_setup import open_run
    from mile_learner.run_folder import RUN_FILE, Run

    if not args.path.exists():
        msg = f'{args.path}: is not there; give the folder of a LeRobot data set, or the .hdf5 file of robomimic'
        raise UsageError(msg)
    task = Run.open(args.run_dir).task if (args.run_dir / RUN_FILE).is_file() else Deployment().resolved_task()
    wanted, left_out = _demonstrations(args, task)
    of, _ = open_run(args.run_dir, {})
    lock = lock_run(args.run_dir)
    try:
        bags = _write(of, wanted, args.path)
    finally:
        os.close(lock)
    there = len(wanted) - len(bags)
    data = {'run': str(of.path), 'bags': list(map(str, bags)), 'left_out': left_out, 'there_already': there}
    hint = f'clone a policy from them: mile train {quoted(of.path)} --method behaviour_cloning'
    of_policy = f', {left_out} left out because a policy acted in them' if left_out else ''
    imported_before = f', {there} were there already' if there else ''
    return Report(data, f'{of.path}: {len(bags)} demonstrations{of_policy}{imported_before}\n{hint}')


def _demonstrations(args: argparse.Namespace, task: TaskConfig) -> tuple[list[Trajectory], int]:
    """What is to be imported, and how many other episodes there are."""
    from mile_bringup.exchange import lerobot, robomimic
    from mile_bringup.exchange.trajectory import checked

    read, state = {'lerobot': (lerobot.read, lerobot.STATE), 'robomimic': (robomimic.read, robomimic.STATE)}[args.source]
    every = [checked(trajectory, task.observation_layout) for trajectory in read(args.path, task, args.observation or state)]
    wanted = [trajectory for trajectory in every if trajectory.intervening.all()]
    if not wanted:
        msg = f'{args.path}: got {len(every)} episodes, in all of which a policy acted; expected a demonstration'
        raise UsageError(msg)
    return wanted, len(every) - len(wanted)


def _write(of: Run, wanted: Sequence[Trajectory], source: Path) -> list[Path]:
    """The bags of those that were not imported from `source` before."""
    from tqdm import tqdm

    from mile_bringup.exchange.demonstration import write_demonstration
    from mile_learner.bags import read_metadata
    from mile_learner.run_folder import DEMONSTRATIONS
    from mile_teleop.errors import BagError

    recorded = of.recorded(DEMONSTRATIONS)
    origins = {read_metadata(bag).get('origin') for bag in recorded.values()}
    new = [(origin, trajectory) for trajectory in wanted if (origin := f'{source}: {trajectory.name}') not in origins]
    bags = []
    for index, (origin, trajectory) in enumerate(tqdm(new, desc='importing', unit='episode'), max(recorded, default=-1) + 1):
        path = of.path / DEMONSTRATIONS / f'episode_{index:03d}'
        episode_id = f'{path.relative_to(of.path).as_posix()}/imported'
        try:
            bags.append(write_demonstration(trajectory, of.task, path, episode_id=episode_id, origin=origin))
        except BagError as error:
            raise BringupError(str(error)) from error
    return bags
