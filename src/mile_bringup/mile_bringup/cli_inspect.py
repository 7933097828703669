"""`mile inspect`: what a run or one episode holds, and whether its labels can be relied on."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mile_bringup.cli_common import Report, absolute, add_verb, finite, table
from mile_learner.errors import quoted

if TYPE_CHECKING:
    from mile_learner.bags import EpisodeRecord
    from mile_learner.check import Finding
    from mile_learner.run_folder import Run


def add(verbs: Any) -> None:
    """Add the verb."""
    parser = add_verb(verbs, 'inspect', run, help='tables, label checks and plots of a run or of one episode')
    parser.add_argument('path', metavar='RUN|BAG', type=absolute, help='folder of a run, or of one episode of it')
    parser.add_argument('--check', action='store_true', help='check every step of every bag; exit code 1 if something is wrong')
    parser.add_argument('--invariants', action='store_true', help='which of the invariants I1-I10 held; exit code 1 if one did not')
    parser.add_argument('--plot', metavar='FILE.png', type=absolute, help="write the episode's timeline, or the run's progress")


def run(args: argparse.Namespace) -> Report:
    """Inspect a run or a bag, whichever the path is."""
    from mile_bringup.errors import UsageError
    from mile_learner.files import unfit_name
    from mile_learner.run_folder import RUN_FILE, Run

    if args.plot is not None and (wrong := unfit_name(args.plot, '.png')):
        msg = f'--plot: {wrong}'
        raise UsageError(msg)
    if args.invariants and (args.check or args.plot is not None):
        msg = '--invariants: got --check or --plot with it, expected it alone; give one after the other'
        raise UsageError(msg)
    if args.invariants:
        from mile_bringup.invariant_report import report

        return report(args.path)
    if (args.path / RUN_FILE).is_file():
        return _run_report(Run.open(args.path), check=args.check, plot=args.plot)
    return _episode_report(args.path, check=args.check, plot=args.plot)


def _run_report(of: Run, *, check: bool, plot: Path | None) -> Report:
    from mile_bringup.report import report_text
    from mile_bringup.summary import episode_summaries, iteration_table
    from mile_learner.check import check_run

    bags = of.bags()
    findings = check_run(of) if check else None
    if findings and any(finding.kind == 'unreadable' for finding in findings):
        return _checked({'run': str(of.path)}, '', findings)
    episodes, iterations = episode_summaries(of), iteration_table(of)
    if plot is not None:
        from mile_bringup.plots import progress

        progress(iterations, plot)
    deployed = set(of.episodes().values())
    others = [str(bag.relative_to(of.path)) for bag in bags if bag not in deployed]
    torn = [str(path.relative_to(of.path)) for path in of.torn()]
    data = {
        'run': str(of.path),
        'iterations': iterations,
        'episodes': [asdict(episode) for episode in episodes],
        'other_bags': others,
        'torn': torn,
    }
    headers = ('iteration', 'episode', 'outcome', 'steps', 'time [s]', 'intervention ratio', 'segments', 'policy', 'operator')
    text = f'{report_text(iterations)}\n\n{table(headers, [list(asdict(episode).values()) for episode in episodes])}'
    text += f'\ndemonstrations, and episodes that were shown: {len(others)}' if others else ''
    text += f'\nnot whole: {", ".join(torn)}; unless recorded now: mile repair {quoted(of.path)}' if torn else ''
    return _checked(data, text, findings)


def _episode_report(path: Path, *, check: bool, plot: Path | None) -> Report:
    from mile_learner.bags import read_episode
    from mile_learner.check import check_episode

    record = read_episode(path)
    findings = check_episode(record) if check else None
    if plot is not None and record.steps:
        from mile_bringup.plots import timeline

        timeline(record, plot)
    data = {'bag': str(path), 'metadata': dict(record.metadata), **episode_numbers(record)}
    simple = {key: value for key, value in record.metadata.items() if isinstance(value, str)}
    rows = [[key, value] for key, value in {**simple, **{k: v for k, v in data.items() if not isinstance(v, (dict, list))}}.items()]
    spans = table(('segment', 'first step', 'steps'), [[number, s['start'], s['steps']] for number, s in enumerate(data['segments'])])
    return _checked(data, f'{table(("", ""), rows)}\n\n{spans}', findings)


def episode_numbers(record: EpisodeRecord) -> dict[str, Any]:
    """Rates, spans, health, and how well p(ν=1|s) predicted ν."""
    import numpy as np

    from mile_learner.step import Mode

    nu = record.column('intervening').astype(bool)
    edges = np.flatnonzero(np.diff(nu, prepend=False, append=False))
    p = record.column('intervention_probability')
    known = np.isfinite(p) if len(p) else np.zeros(0, bool)

    def mean(values: Any) -> float | None:
        return float(np.mean(values)) if len(values) else None

    return {
        'steps': len(nu),
        'intervention_ratio': mean(nu),
        'segments': [{'start': int(begin), 'steps': int(end - begin)} for begin, end in zip(edges[::2], edges[1::2], strict=True)],
        'mean_p_where_intervening': mean(p[known & nu]),
        'mean_p_elsewhere': mean(p[known & ~nu]),
        'modes': {mode.name.lower(): int((record.column('mode') == mode).sum()) for mode in Mode},
        'inference_ms_p99': float(np.percentile(record.column('inference_ms'), 99)) if len(nu) else None,
        'tick_late_ms_p99': float(np.percentile(record.column('tick_late_ms'), 99)) if len(nu) else None,
    }


def _checked(data: dict[str, Any], text: str, findings: Sequence[Finding] | None) -> Report:
    """Add what the check found."""
    if findings is None:
        return Report(finite(data), text)
    data['check'] = {'ok': not findings, 'findings': [asdict(finding) for finding in findings]}
    lines = [f'{f.episode}{"" if f.index is None else f" step {f.index}"}: {f.kind}: {f.message}' for f in findings]
    verdict = f'check: {len(findings)} findings' if findings else 'check: every step is as it must be'
    return Report(finite(data), '\n'.join([part for part in (text, *lines, verdict) if part]), code=1 if findings else 0)
