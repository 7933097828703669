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
from mile_bringup.errors import BringupError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mile_bringup.deployment import Deployment
    from mile_bringup.graph import NodeSpec
    from mile_bringup.monitor import Monitor
    from mile_bringup.supervisor import Supervisor
    from mile_learner.run_folder import Run

READY_TIMEOUT_S = 180.0
DISCOVERY_S = 2.0
"""How long another deployment may take to be found [s]."""


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
        'With --mode demonstrate the operator does the task alone; `mile train RUN --method behaviour_cloning` then clones a first policy. '
        'Options that are not given are those the run was started with.',
    )
    parser.add_argument('--run', dest='run_dir', metavar='DIR', type=absolute, help='folder of the run (default: runs/<date and time>)')
    add_options(parser, Deployment)


def run(args: argparse.Namespace) -> Report:
    """Prepare, start the nodes, show progress until the session is complete, report."""
    from mile_bringup import fake_hardware
    from mile_bringup.cli_options import given_options, option_words
    from mile_bringup.deployment import Deployment
    from mile_bringup.isolation import lock_run
    from mile_bringup.report import write_report
    from mile_bringup.run_setup import open_run

    given = given_options(args, Deployment)
    path = args.run_dir or Path.cwd() / 'runs' / datetime.now().strftime('%Y%m%d-%H%M%S')
    of, deployment = open_run(path, given)
    lock = lock_run(path)
    again = shlex.join(['mile', 'deploy', '--run', str(path), *option_words(given)])
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    started = time.monotonic()
    try:
        folder = _carry_out(of, deployment)
    except KeyboardInterrupt:
        msg = f'interrupted; resume with: {again}'
        raise BringupError(msg) from None
    except UsageError:
        raise
    except BringupError as error:
        msg = f'{error}; resume with: {again}'
        raise BringupError(msg) from None
    finally:
        os.close(lock)
    data = {'run': str(path), 'deployment': dataclasses.asdict(deployment), 'seconds': round(time.monotonic() - started, 1)}
    if folder:
        return _recorded(of, folder, data)
    records, text = write_report(of)
    data |= {
        'iterations': records,
        'bags': [str(bag) for bag in of.episodes().values()],
        'current': of.current(),
        'report': str(path / 'report.png'),
    }
    where = f'bags:   {path}/iter_*/episode_*\nreport: {path}/report.png, report.html\nflies:  {of.current()}'
    if not deployment.fake_hardware:
        return Report(finite(data), f'{text}\n\n{where}')
    found = fake_hardware.findings(path)
    broken = any(found.get('broken', {}).values())
    return Report(finite(data | {'fake_hardware': found}), f'{text}\n\n{where}\n{fake_hardware.describe(found)}', int(broken))


def _carry_out(of: Run, deployment: Deployment) -> str:
    """Do what is left to do; the folder of episodes that belong to no iteration, empty for a deployment."""
    from mile_bringup.initial_policy import ensure_initial_policy, ensure_mental_models, must_be_shown
    from mile_bringup.session import Plan
    from mile_bringup.summary import conclude
    from mile_learner.run_folder import DEPLOY, SHOW, SHOWN_EPISODES
    from mile_learner.run_state import Done

    if deployment.mode == SHOW:
        ensure_initial_policy(of)
    conclude(of)
    plan = Plan(deployment.iterations, deployment.episodes, deployment.seed, {}, deployment.mode)
    if not isinstance(plan.next_action(of), Done):
        if deployment.mode == DEPLOY:
            ensure_initial_policy(of)
            if must_be_shown(of):
                _run_nodes(of, dataclasses.replace(deployment, mode=SHOW, episodes=SHOWN_EPISODES))
            ensure_mental_models(of)
        _run_nodes(of, deployment)
    return plan.folder(of)


def _recorded(of: Run, folder: str, data: dict[str, Any]) -> Report:
    """What was demonstrated or shown."""
    from mile_bringup.cli_common import table
    from mile_bringup.summary import summarise
    from mile_learner.bags import read_episode

    bags = of.recorded(folder)
    episodes = [summarise(read_episode(path), 0, index) for index, path in bags.items()]
    text = table(('episode', 'outcome', 'steps', 'time [s]'), [[e.index, e.outcome, e.steps, e.duration_s] for e in episodes])
    data |= {'bags': [str(path) for path in bags.values()], 'outcomes': [episode.outcome for episode in episodes]}
    return Report(finite(data), f'{text}\n\nbags: {of.path}/{folder}/episode_*')


def _run_nodes(of: Run, deployment: Deployment) -> None:
    """Run the node graph until the session is complete.

    Raises:
        BringupError: it cannot be started, or a required node ended.
    """
    from mile_bringup import fake_hardware, graph
    from mile_bringup.doctor_hardware import pads
    from mile_bringup.isolation import claim_domain
    from mile_bringup.monitor import Monitor
    from mile_bringup.processes import node_command, node_environment
    from mile_bringup.run_setup import write_task_file
    from mile_bringup.supervisor import Supervisor

    write_task_file(of)
    if deployment.operator == 'joystick' and (pad := pads()).do:
        print(f'{pad.detail}: {pad.do}', file=sys.stderr)
    nodes = graph.nodes(deployment, of.path)
    # the driver of a real arm was started in the domain of the user's shell
    shell = {'ROS_DOMAIN_ID': os.environ.get('ROS_DOMAIN_ID') or '0'} if deployment.real_arm else os.environ
    claim = claim_domain(shell, deployment.namespace)
    log_dir = of.path / 'log'
    environment = node_environment(os.environ, domain=claim.domain, log_dir=log_dir)
    if deployment.fake_hardware:
        environment |= fake_hardware.environment(os.environ)
    commands = [node_command(node, of.path / 'config') for node in nodes]
    print(f'{of.path}: ROS_DOMAIN_ID={claim.domain}, namespace /{deployment.namespace}, logs in log/', file=sys.stderr)
    os.environ.update({key: value for key, value in environment.items() if key.startswith('ROS_')})
    with Monitor(domain=claim.domain, namespace=deployment.namespace) as monitor:
        refuse_a_second(monitor, nodes, claim.domain, seconds=DISCOVERY_S)
        with Supervisor(commands, log_dir=log_dir, environment=environment) as supervisor:
            _await_ready(supervisor, monitor, nodes)
            _await_end(supervisor, monitor, deployment)


def refuse_a_second(monitor: Monitor, nodes: Sequence[NodeSpec], domain: int, *, seconds: float) -> None:
    """Look for nodes of another deployment, for so many seconds: of `ros2 launch`, or on another host, where no claim is seen.

    Raises:
        UsageError: there are some.
    """
    if strangers := monitor.strangers(nodes, seconds):
        of = f'ROS domain {domain}, namespace {nodes[0].namespace!r}'
        msg = f'another deployment runs in {of}: {", ".join(strangers)}; stop it, or give another ROS_DOMAIN_ID or --namespace'
        raise UsageError(msg)


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

    total = deployment.episodes * (deployment.iterations if deployment.mode == 'deploy' else 1)
    with tqdm(total=total, unit='episode') as bar:
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
        where = '' if status['iteration'] is None else f'iteration {status["iteration"]} '
        why = f', {status["reason"]}' if status.get('reason') else ''
        return f'{where}episode {status["episode"]}: {status.get("mode", "")} {status.get("steps", 0)} steps{why}'
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
