"""`mile prepare`: the initial policy and the simulated operator's mental model; with --run, a run that is ready to be deployed."""

from __future__ import annotations

import argparse
from typing import Any

from mile_bringup.cli_common import Report, absolute, add_verb


def add(verbs: Any) -> None:
    """Add the verb, with the options of a deployment."""
    from mile_bringup.cli_options import add_options
    from mile_bringup.deployment import Deployment

    parser = add_verb(verbs, 'prepare', run, help='make the initial, mediocre policy and the simulated operator (deploy does it too)')
    parser.add_argument('--run', dest='run_dir', metavar='DIR', type=absolute, help='also make this run folder ready to be deployed')
    add_options(parser, Deployment)


def run(args: argparse.Namespace) -> Report:
    """Prepare; what is prepared already is not made again."""
    from mile_bringup.cli_options import given_options
    from mile_bringup.deployment import Deployment
    from mile_bringup.initial_policy import ensure_initial_policy, ensure_mental_models
    from mile_bringup.run_setup import open_run, write_task_file
    from mile_learner.run_folder import DEMONSTRATE, DEPLOY
    from mile_sim.prepare import prepare

    given = given_options(args, Deployment)
    if args.run_dir is None:
        deployment = Deployment.from_mapping(given, source='options')
        folder = prepare(deployment.resolved_task(), deployment.seed)
        return Report({'prepared': str(folder)}, str(folder))
    of, deployment = open_run(args.run_dir, given)
    write_task_file(of)
    if deployment.mode == DEMONSTRATE:
        return Report({'run': str(of.path), 'current': None}, f'{of.path}: ready to demonstrate')
    ensure_initial_policy(of)
    if deployment.mode == DEPLOY:
        ensure_mental_models(of)
    return Report({'run': str(of.path), 'current': of.current()}, f'{of.path}: ready, {of.current()} flies')
