"""`mile deploy`: the deployment, from the first episode to the last training."""

from __future__ import annotations

import argparse
import dataclasses
import os
import shlex
import signal
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mile_bringup.cli_common import Report, absolute, add_verb, finite
from mile_bringup.errors import BringupError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mile_bringup.deployment import Deployment
    from mile_bringup.graph import NodeSpec
    from mile_bringup.monitor import Monitor
    from mile_bringup.supervisor import Supervisor
    from mile_learner.run_folder import Run

READY_TIMEOUT_S = 180.0


def add(verbs: Any) -> None:
    """Add the verb, with one option per field of Deployment."""
    from mile_bringup.cli_options import add_options
    from mile_bringup.deployment import Deployment

    parser = add_verb(
        verbs,
        'deploy',
        run,
        help='the deployment: N iterations of K episodes with takeovers, training after each',
        description='Runs a deployment, or resumes the one in --run: it goes on with the first episode that is missing. '
        'Options that are not given are those the run was started with.',
    )
    parser.add_argument('--run', dest='run_dir', metavar='DIR', type=absolute, help='folder of the run (default: runs/<date and time>)')
    add_options(parser, Deployment)


def run(args: argparse.Namespace) -> Report:
    """Prepare, start the nodes, show progress until the session is complete, report."""
    from mile_bringup.cli_options import given_options
    from mile_bringup.deployment import Deployment
    from mile_bringup.isolation import lock_run
    from mile_bringup.report import write_report
    from mile_bringup.run_setup import open_run

    given = given_options(args, Deployment)
    path = args.run_dir or Path.cwd() / 'runs' / datetime.now().strftime('%Y%m%d-%H%M%S')
    of, deployment = open_run(path, given)
    lock = lock_run(path)
    again = ' '.join(['mile deploy --run', shlex.quote(str(path)), *(f'--{key.replace("_", "-")} {value}' for key, value in given.items())])
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    started = time.monotonic()
    try:
        if not _complete(of, deployment):
            _deploy(of, deployment)
    except KeyboardInterrupt:
        msg = f'interrupted; resume with: {again}'
        raise BringupError(msg) from None
    except BringupError as error:
        msg = f'{error}; resume with: {again}'
        raise BringupError(msg) from None
    finally:
        os.close(lock)
    records, text = write_report(of)
    data = {
        'run': str(path),
        'deployment': dataclasses.asdict(deployment),
        'iterations': records,
        'bags': [str(bag) for bag in of.episodes().values()],
        'current': of.current(),
        'report': str(path / 'report.png'),
        'seconds': round(time.monotonic() - started, 1),
    }
    where = f'bags:   {path}/iter_*/episode_*\nreport: {path}/report.png, report.html\nflies:  {of.current()}'
    return Report(finite(data), f'{text}\n\n{where}')


def _complete(of: Run, deployment: Deployment) -> bool:
    """Whether nothing is left to do."""
    from mile_bringup.summary import conclude
    from mile_learner.run_folder import Done, next_action

    conclude(of)
    return isinstance(next_action(of.state(), deployment.iterations, deployment.episodes), Done)


def _deploy(of: Run, deployment: Deployment) -> None:
    """Run the node graph until the session is complete.

    Raises:
        BringupError: it cannot be started, or a required node ended.
    """
    from mile_bringup import graph
    from mile_bringup.initial_policy import ensure_initial_policy
    from mile_bringup.isolation import claim_domain
    from mile_bringup.monitor import Monitor
    from mile_bringup.processes import node_command, node_environment
    from mile_bringup.run_setup import write_task_file
    from mile_bringup.supervisor import Supervisor

    write_task_file(of)
    ensure_initial_policy(of)
    nodes = graph.nodes(deployment, of.path)
    claim = claim_domain(os.environ, deployment.namespace)
    log_dir = of.path / 'log'
    environment = node_environment(os.environ, domain=claim.domain, log_dir=log_dir)
    commands = [node_command(node, of.path / 'config') for node in nodes]
    print(f'{of.path}: ROS_DOMAIN_ID={claim.domain}, namespace /{deployment.namespace}, logs in log/', file=sys.stderr)
    os.environ.update({key: value for key, value in environment.items() if key.startswith('ROS_')})
    with (
        Supervisor(commands, log_dir=log_dir, environment=environment) as supervisor,
        Monitor(domain=claim.domain, namespace=deployment.namespace) as monitor,
    ):
        _await_ready(supervisor, monitor, nodes)
        _await_end(supervisor, monitor, deployment)


def _await_ready(supervisor: Supervisor, monitor: Monitor, nodes: Sequence[NodeSpec]) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while missing := monitor.not_ready(nodes):
        _check(supervisor)
        if time.monotonic() > deadline:
            node = missing[0]
            print(supervisor.tail(node.name), file=sys.stderr)
            services = ' or '.join(node.services)
            msg = f'{node.name}: offers no {services} after {READY_TIMEOUT_S:.0f} s; see {supervisor.log_path(node.name)}'
            raise BringupError(msg)
        monitor.spin(0.1)


def _await_end(supervisor: Supervisor, monitor: Monitor, deployment: Deployment) -> None:
    from tqdm import tqdm

    interval = 0.2 if sys.stderr.isatty() else 10.0
    total = deployment.iterations * deployment.episodes
    with tqdm(total=total, unit='episode', mininterval=interval) as bar:
        while not _check(supervisor):
            monitor.spin(0.2)
            status = monitor.status
            bar.n = min(status.get('episodes_done', 0), total)
            bar.set_description(_describe(status), refresh=False)
            bar.update(0)
        bar.n = total


def _describe(status: dict[str, Any]) -> str:
    """The session's status in a few words."""
    phase = status.get('phase', 'starting')
    if phase == 'training':
        epochs = f'{status["epoch"]}/{status["epochs"]}' if status.get('epochs') else status['detail']
        return f'iteration {status["iteration"]}: training {epochs}'
    if phase == 'episode':
        return f'iteration {status["iteration"]} episode {status["episode"]}: {status.get("mode", "")} {status.get("steps", 0)} steps'
    return f'{phase}: {status["detail"]}' if status.get('detail') else str(phase)


def _check(supervisor: Supervisor) -> bool:
    """Whether the session is complete.

    Raises:
        BringupError: something else ended.
    """
    ended = supervisor.ended()
    if ended is None:
        return False
    if ended.name == 'session_node' and ended.returncode == 0:
        return True
    tail = supervisor.tail(ended.name)
    print(tail, file=sys.stderr)
    cause = f': {tail.splitlines()[-1]}' if ended.returncode > 0 else ''
    msg = f'{ended.name} ended ({ended.how}){cause}; its log is {supervisor.log_path(ended.name)}'
    raise BringupError(msg)
