"""The arguments of `mile bench prepare | tune | run | report | rollouts | learner`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from mile_learner.bench.cli_help import HelpWithNames


def add_arguments(parser: argparse.ArgumentParser) -> Any:
    """Add the commands and their options, which `main` or `execute` run; returns the subparsers, for further commands."""
    commands = parser.add_subparsers(dest='command', metavar='COMMAND', required=True)
    about = 'initial policies, experts, mental models, humans and start states, from seeds'
    prepare = commands.add_parser('prepare', help=about, description=about, add_help=False)
    about = 'the learning rate of every method, from one grid; interrupted, the same command goes on where it was'
    tune = commands.add_parser('tune', help=about, description=about, add_help=False)
    about = 'run the cells of a comparison; interrupted, the same command goes on where it was'
    run = commands.add_parser('run', help=about, description=about, add_help=False)
    report = commands.add_parser('report', help='tables, figures and JSON from the raw records of a comparison')
    for command in (prepare, tune, run):
        command.add_argument('-h', '--help', action=HelpWithNames)
    for command in (tune, run):
        command.add_argument('suite', metavar='SUITE', help='what is compared, as the figures of the paper do; see below')
        command.add_argument('--out', type=Path, required=True, metavar='DIR', help='folder of the comparison')
        command.add_argument('--methods', nargs='+', metavar='METHOD', help='"name" or "name[option=value,...]" (default: every method)')
        command.add_argument(
            '--episodes', type=_positive, metavar='N', help='test episodes per tested policy (default: 100; 10 with --quick)'
        )
        about = "numbers of an expert's episodes that every method is given beforehand, each compared for itself (default: the suite's)"
        command.add_argument('--demonstrations', nargs='+', type=_whole, metavar='D', help=about)
    tune.add_argument('--rates', nargs='+', type=float, metavar='RATE', help='learning rates that are tried (default: 1e-5 1e-4 1e-3)')
    tune.set_defaults(ray=None, tuned=None)
    run.add_argument('--tuned', type=Path, metavar='DIR', help='use what `mile bench tune` chose in this folder')
    run.add_argument('--ray', metavar='ADDRESS', help='run on a Ray cluster instead: auto, local, or ray://host:port')
    for command in (prepare, tune, run):
        command.add_argument('--tasks', nargs='+', metavar='TASK', help="which tasks (default: the suite's; prepare: all)")
        command.add_argument(
            '--humans',
            nargs='+',
            metavar='HUMAN',
            help='simulated humans: "gate" or "gate[knob=value,...]" (default: the suite\'s, with --quick its first; prepare: every gate)',
        )
        command.add_argument('--seeds', type=_positive, default=10, metavar='N', help='how many (default: 10)')
        command.add_argument(
            '--workers', type=_positive, default=os.cpu_count() or 1, metavar='W', help='processes (default: one per core)'
        )
        quick = 'little of everything, to see that it works; the numbers mean nothing'
        quick += '' if command is prepare else "; of the suite's humans the first, unless --humans names others"
        command.add_argument('--quick', action='store_true', help=quick)
        command.add_argument('--register', nargs='+', default=[], metavar='NAME=MODULE:ATTRIBUTE', help='tasks of your own')
    rollouts = commands.add_parser('rollouts', help='episodes per second: a loop, a batch in lockstep, and processes')
    rollouts.add_argument('task', metavar='TASK', help='which task')
    rollouts.add_argument('--episodes', type=_positive, default=64, metavar='N', help='episodes per way (default: 64)')
    rollouts.add_argument('--workers', type=_positive, default=os.cpu_count() or 1, metavar='W', help='processes (default: one per core)')
    rollouts.add_argument('--quick', action='store_true', help='prepare with little effort')
    report.add_argument('out', type=Path, metavar='DIR', help='folder of the comparison')
    report.add_argument('--method', default='mile', help='which one is compared with every other, pair by pair (default: mile)')
    report.add_argument(
        '--only', nargs='+', default=[], metavar='METHOD', help='show these; the seeds that are whole for them count (default: all methods)'
    )
    learner = commands.add_parser('learner', help='cost of a training step, of a round, of reading bags; beside the least possible')
    learner.add_argument('--run', dest='run_dir', type=Path, metavar='RUN', help='run folder whose bags are read (default: none are)')
    for command in (prepare, tune, run, report, rollouts, learner):
        command.add_argument('--json', action='store_true', help='one JSON object on standard output')
    return commands


def _whole(text: str, least: int = 0) -> int:
    if not text.isdecimal() or int(text) < least:
        msg = f'got {text!r}, expected a whole number of at least {least}'
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _positive(text: str) -> int:
    return _whole(text, 1)
