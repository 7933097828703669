"""`mile bench`: measurements of the stack itself."""

from __future__ import annotations

import argparse
from typing import Any

from mile_bringup.cli_common import Report, add_verb


def add(verbs: Any) -> None:
    """Add the verb."""
    parser = add_verb(verbs, 'bench', run, help='measure the stack: how long a takeover takes to reach the arm, how even the ticks are')
    parser.add_argument('what', choices=('latency',), help='what to measure')


def run(args: argparse.Namespace) -> Report:
    """Measure."""
    del args
    from mile_bringup.bench_latency import measure

    return measure()
