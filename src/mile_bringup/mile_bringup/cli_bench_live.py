"""`mile bench faults` and `mile bench load`: what breaks a running deployment, and what it can carry."""

from __future__ import annotations

import argparse
from typing import Any

from mile_bringup.cli_common import Report, absolute, number, whole


def add(commands: Any) -> None:
    """Add both to the commands of `mile bench`."""
    faults = commands.add_parser('faults', help='faults in a running deployment: nodes killed, sources that lie or fall silent, full disks')
    faults.add_argument('--only', metavar='NAME', action='append', default=[], help='faults with this in their name; may be repeated')
    faults.add_argument('--repeats', type=whole(1, 1000), default=1, metavar='N', help='how often each fault (default: 1)')
    faults.add_argument('--quick', action='store_true', help='three telling faults')
    faults.add_argument('--out', metavar='FILE', type=absolute, help='every outcome is appended to it as a JSON object of one line')
    faults.set_defaults(run=_faults)
    load = commands.add_parser('load', help='50 Hz, two cameras, recorder and training at once: missed ticks, lost messages, lag, memory')
    load.add_argument('--seconds', type=number(5.0, 86400.0), default=1800.0, metavar='S', help='how long [s] (default: 1800)')
    load.set_defaults(run=_load)
    for command in (faults, load):
        command.add_argument('--json', action='store_true', help='one JSON object on standard output')


def _faults(args: argparse.Namespace) -> Report:
    from mile_bringup.faults.bench import measure

    return measure(args.only, args.repeats, quick=args.quick, out=args.out)


def _load(args: argparse.Namespace) -> Report:
    from mile_bringup.bench_load import measure

    return measure(args.seconds)
