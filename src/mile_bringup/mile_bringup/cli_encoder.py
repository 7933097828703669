"""`mile encoder check`: which image encoders can be used here, and whether what runs them is right."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from mile_bringup.cli_common import Report, finite


def add(verbs: Any) -> None:
    """Add the verb and its command."""
    about = 'the image encoders that a policy can look through (--observation pixels)'
    commands = verbs.add_parser('encoder', help=about, description=about).add_subparsers(dest='command', metavar='COMMAND', required=True)
    about = 'which encoders can be used here, how many features they have, and how far they are from the same weights run by torch'
    parser = commands.add_parser('check', help=about, description=about)
    parser.add_argument('names', metavar='NAME', nargs='*', help='which encoders (default: all)')
    parser.add_argument('--json', action='store_true', help='print one JSON object on standard output; logs go to standard error')
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> Report:
    """Check; fails if an encoder that was named, or every one, cannot be used."""
    from mile_learner.encoders import ENCODERS, encoder_kind
    from mile_learner.encoders.check import TOLERANCE, check

    findings = check([encoder_kind(name) for name in args.names] or ENCODERS.values())
    lines = []
    for one in findings:
        difference = '' if one.difference is None else f', {one.difference:.1e} from torch (limit {TOLERANCE:.0e})'
        lines.append(f'{one.encoder}: {one.features} features by {one.backend}{difference}' if one.usable else one.detail)
    usable = [one.usable for one in findings]
    data = {'tolerance': TOLERANCE, 'encoders': [finite(dataclasses.asdict(one)) for one in findings]}
    return Report(data, '\n'.join(lines), code=int(not (all(usable) if args.names else any(usable))))
