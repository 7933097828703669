"""`mile bench`: the comparison of methods (mile_learner.bench.cli), and measurements of the stack itself."""

from __future__ import annotations

import argparse
from typing import Any

from mile_bringup import cli_bench_live
from mile_bringup.cli_common import Report, absolute, number, whole
from mile_learner.bench import cli as comparison
from mile_learner.bench.cli_arguments import add_arguments


def add(verbs: Any) -> None:
    """Add the verb and its commands."""
    about = 'compare methods on the simulated tasks, or measure the stack itself'
    parser = verbs.add_parser('bench', help=about, description=about)
    parser.set_defaults(run=run)
    commands = add_arguments(parser)
    latency = commands.add_parser('latency', help='how long a takeover takes to reach the arm, beside a raw relay; how even the ticks are')
    latency.set_defaults(run=_latency)
    vision = commands.add_parser('vision', help='images per second of every image encoder, by torch and accelerated')
    vision.set_defaults(run=_vision)
    invariants = commands.add_parser('invariants', help='every invariant, at every transition of random hostile worlds')
    invariants.add_argument('--transitions', type=number(1, 1e12), default=1e5, help='how many, in sum (default: 1e5)')
    invariants.add_argument('--seed', type=whole(0, 2**31 - 1), default=0, help='of the worlds (default: 0)')
    invariants.add_argument(
        '--state', metavar='FILE', type=absolute, help='keeps the account; give it again to go on after an interruption'
    )
    invariants.set_defaults(run=_invariants)
    files = commands.add_parser('files', help="everything that reads files, given mutations of a run's own")
    files.add_argument(
        'run_dir', metavar='RUN', type=absolute, help='folder of a run with an episode and a policy version; it is only read'
    )
    files.add_argument('--inputs', type=number(1, 1e9), default=1e3, help='how many mutated files (default: 1000)')
    files.add_argument('--seed', type=whole(0, 2**31 - 1), default=0, help='of the mutations (default: 0)')
    files.set_defaults(run=_files)
    for command in (files, invariants, latency, vision):
        command.add_argument('--json', action='store_true', help='one JSON object on standard output')
    cli_bench_live.add(commands)
    kinematics = commands.add_parser('kinematics', help="the arms' kinematics against the Modern Robotics library, and the time of a solve")
    kinematics.add_argument('--poses', type=whole(10), default=10_000, metavar='N', help='random poses per arm (default: 10000)')
    kinematics.add_argument('--json', action='store_true', help='one JSON object on standard output')
    kinematics.set_defaults(run=_kinematics)
    for name, command in commands.choices.items():
        command.set_defaults(verb=f'bench {name}')


def run(args: argparse.Namespace) -> Report:
    """Compare."""
    data, text, code = comparison.execute(args)
    return Report(data, text, code)


def _latency(args: argparse.Namespace) -> Report:
    del args
    from mile_bringup.bench_latency import measure

    return measure()


def _invariants(args: argparse.Namespace) -> Report:
    from mile_bringup.bench_invariants import measure

    return measure(int(args.transitions), args.seed, args.state)


def _files(args: argparse.Namespace) -> Report:
    from mile_bringup.bench_hostile_files import measure

    return measure(int(args.inputs), args.seed, args.run_dir)


def _vision(args: argparse.Namespace) -> Report:
    del args
    from mile_bringup.bench_vision import measure

    return measure()


def _kinematics(args: argparse.Namespace) -> Report:
    from mile_bringup.bench_kinematics import measure

    return measure(args.poses)
