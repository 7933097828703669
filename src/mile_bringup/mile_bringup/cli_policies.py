"""`mile policies`: which version flies."""

from __future__ import annotations

import argparse
from typing import Any

from mile_bringup.cli_common import Report, absolute, add_verb, table


def add(verbs: Any) -> None:
    """Add the verb."""
    parser = add_verb(verbs, 'policies', run, help='the policy versions of a run: list them, let another one fly, or roll back')
    parser.add_argument('run_dir', metavar='RUN', type=absolute, help='folder of the run')
    parser.add_argument(
        'action',
        choices=('list', 'promote', 'rollback'),
        nargs='?',
        default='list',
        help='rollback flies the parent of the current version (default: list)',
    )
    parser.add_argument('version', nargs='?', metavar='VERSION', help='for promote, e.g. v002')


def run(args: argparse.Namespace) -> Report:
    """List, promote, or roll back."""
    from mile_bringup.errors import UsageError
    from mile_learner.run_folder import Run

    if (args.version is not None) != (args.action == 'promote'):
        msg = f'{args.action}: got version {args.version}; expected: promote VERSION, rollback, or list'
        raise UsageError(msg)
    of = Run.open(args.run_dir)
    if args.action == 'promote':
        of.promote(args.version)
    elif args.action == 'rollback':
        of.rollback()
    current = of.current() if args.action != 'list' or of.flies() else None
    versions = [
        {
            'version': name,
            'current': name == current,
            'parent': manifest.parent,
            'iteration': manifest.iteration,
            'method': manifest.method,
            'episodes': len(manifest.data),
            'created': manifest.created,
        }
        for name, manifest in of.versions().items()
    ]
    flies = '* flies' if any(v['current'] for v in versions) else 'none of them flies yet' if versions else 'there is none yet'
    headers = ('', 'version', 'parent', 'after iteration', 'method', 'episodes', 'created')
    rows = [
        ['*' if v['current'] else '', v['version'], v['parent'], v['iteration'], v['method'], v['episodes'], v['created']] for v in versions
    ]
    return Report({'run': str(of.path), 'current': current, 'versions': versions}, f'{table(headers, rows)}\n{flies}')
