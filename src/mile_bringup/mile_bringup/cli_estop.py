"""`mile estop`: sets or resets the emergency stop of a deployment that runs here, with no other ROS program installed."""

from __future__ import annotations

import argparse
import os
from typing import Any

from mile_bringup.cli_common import Report, add_verb

SERVICES = {'set': 'estop', 'reset': 'reset_estop'}
PATIENCE_S = 10.0


def add(verbs: Any) -> None:
    """Add the verb."""
    parser = add_verb(
        verbs,
        'estop',
        run,
        help='set or reset the emergency stop of a deployment that runs on this machine',
        description='Sets or resets the emergency stop in the ROS domain that `mile deploy` prints when it starts: '
        'ROS_DOMAIN_ID=3 mile estop reset. It holds the arm; only a switch in the power line removes power.',
    )
    parser.add_argument('action', choices=tuple(SERVICES), help='what to do')
    parser.add_argument('--namespace', default='mile', metavar='NAME', help='of the deployment (default: mile)')


def run(args: argparse.Namespace) -> Report:
    """Ask the arbiter; fails if it is not there, or does not do it."""
    from mile_bringup.errors import BringupError, UsageError
    from mile_bringup.isolation import named_domain
    from mile_bringup.monitor import Monitor
    from mile_bringup.processes import on_this_host

    domain = named_domain(os.environ)
    if domain is None:
        msg = f'ROS_DOMAIN_ID: is not set, expected the number that `mile deploy` printed; ROS_DOMAIN_ID=N mile estop {args.action}'
        raise UsageError(msg)
    os.environ.update(on_this_host(os.environ))
    with Monitor(domain=domain, namespace=args.namespace) as monitor:
        answer = monitor.trigger(SERVICES[args.action], PATIENCE_S)
    if answer is None:
        msg = f'/{args.namespace}/{SERVICES[args.action]}: nobody answers in ROS domain {domain}; does a deployment run there?'
        raise BringupError(msg)
    if not answer.success:
        raise BringupError(answer.message)
    return Report({'action': args.action, 'message': answer.message}, answer.message or f'{args.action}: done')
