"""`mile eval`: how good a policy version is without a human."""

from __future__ import annotations

import argparse
from typing import Any

from mile_bringup.cli_common import Report, absolute, add_verb, table, whole

HELD_OUT = 1_000_000_000
"""First seed of the start states that no deployment draws on purpose: episodes hash theirs, these are counted from here."""


def add(verbs: Any) -> None:
    """Add the verb."""
    about = 'success of a policy version over held-out start states, with a 95 % interval'
    parser = add_verb(verbs, 'eval', run, help=about.replace('%', '%%'), description=about)
    parser.add_argument('run_dir', metavar='RUN', type=absolute, help='folder of the run')
    which = parser.add_mutually_exclusive_group()
    which.add_argument('--version', help='which one, e.g. v002 (default: the one that flies)')
    which.add_argument('--all-versions', action='store_true', help='every version')
    parser.add_argument('--episodes', type=whole(1, 100_000), default=50, help='start states (default: 50)')
    parser.add_argument('--seed', type=whole(0, 1_000_000), default=0, help='another set of start states (default: 0)')
    parser.add_argument('--workers', type=whole(1, 256), default=2, help='processes (default: 2)')


def run(args: argparse.Namespace) -> Report:
    """Evaluate the versions asked for."""
    from tqdm import tqdm

    from mile_learner.errors import LearnerError
    from mile_learner.evaluate import evaluate, wilson_interval
    from mile_learner.run_folder import Run

    of = Run.open(args.run_dir)
    task = of.task
    names = list(of.versions()) if args.all_versions else [args.version or of.current()]
    unknown = [name for name in names if name not in of.versions()]
    if unknown:
        msg = f'{of.path}: no policy version {unknown[0]!r}; there are: {", ".join(of.versions())}'
        raise LearnerError(msg)
    first = HELD_OUT + args.seed * 100_000
    seeds = range(first, first + args.episodes)
    results = []
    for name in names:
        with tqdm(total=args.episodes, desc=name, unit='episode') as bar:

            def show(done: int, successes: int, bar: Any = bar) -> None:
                bar.set_postfix(success=f'{successes}/{done}', refresh=False)
                bar.update(done - bar.n)

            outcomes = evaluate(
                of.version_path(name),
                task.environment,
                seeds,
                module='mile_sim',
                options={'task': task},
                workers=args.workers,
                progress=show,
            )
        low, high = wilson_interval(sum(outcomes), len(outcomes))
        results.append(
            {
                'version': name,
                'successes': sum(outcomes),
                'episodes': len(outcomes),
                'rate': sum(outcomes) / len(outcomes),
                'low': low,
                'high': high,
            }
        )
    rows = [[r['version'], f'{r["successes"]}/{r["episodes"]}', r['rate'], f'[{r["low"]:.2f}, {r["high"]:.2f}]'] for r in results]
    return Report(
        {'run': str(of.path), 'first_seed': first, 'versions': results}, table(('version', 'successes', 'rate', '95 % interval'), rows)
    )
