"""`mile bench prepare | tune | run | report | rollouts | learner`: what each does and prints. Heavy imports come only when needed."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from mile_learner.bench.cli_arguments import add_arguments

if TYPE_CHECKING:
    from mile_learner.bench.cells import RunOptions

RESUMABLE = ('prepare', 'tune', 'run')
_RESUMES = '; the same command goes on where it was'
Answer = tuple[dict[str, Any], str, int]
"""For --json, for a person, exit code."""


def main(args: argparse.Namespace) -> int:
    """Run the command and print its answer; returns the exit code: 0, 1 (something failed) or 2 (bad input)."""
    from mile_learner.config import ConfigError
    from mile_learner.errors import LearnerError

    try:
        data, text, code = execute(args)
    except (LearnerError, ConfigError) as error:
        print(f'mile bench {args.command}: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt as interruption:
        print(f'mile bench {args.command}: {interruption}', file=sys.stderr)
        return 1
    print(json.dumps(data, allow_nan=False) if args.json else text)
    return code


def execute(args: argparse.Namespace) -> Answer:
    """Run the command.

    Raises:
        LearnerError, ConfigError: bad input, or a full disk, in one line.
        KeyboardInterrupt: it says whether the same command goes on.
    """
    from mile_learner.errors import LearnerError
    from mile_learner.files import NO_ROOM

    os.environ.setdefault('OMP_NUM_THREADS', '1')  # workers inherit it: their networks are so small that threads only spin
    act = {'prepare': _prepare, 'tune': _tune, 'run': _run, 'report': _report, 'rollouts': _rollouts, 'learner': _learner}
    try:
        return act[args.command](args)
    except KeyboardInterrupt as interruption:
        raise KeyboardInterrupt('interrupted' + _RESUMES * (args.command in RESUMABLE)) from interruption
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        msg = f'got {error.strerror!r} while writing, expected room for a few megabytes; free the disk, then try again'
        raise LearnerError(msg + _RESUMES * (args.command in RESUMABLE)) from error


def _prepare(args: argparse.Namespace) -> Answer:
    from mile_learner.bench.home import bench_home, check_writable
    from mile_learner.bench.human_config import GATES, check_effect
    from mile_learner.bench.prepare import humans_for
    from mile_learner.bench.run import prepare_all
    from mile_learner.bench.tasks import TASKS, check_names, get_task

    _register(args.register)
    tasks = dict.fromkeys(args.tasks or TASKS)
    check_names(list(tasks), tuple(TASKS), 'task')
    humans = humans_for(args.humans or GATES)
    for human in humans:
        for task in tasks:
            check_effect(human, get_task(task))
    check_writable(bench_home(), 'MILE_HOME')
    pairs = [(task, seed) for seed in range(args.seeds) for task in tasks]
    accounts, failed = prepare_all(pairs, _preparation(quick=args.quick), humans=humans, workers=args.workers)
    lines = [f'{a["folder"]}: initial policy {a["initial"]["success"]:.2f}, expert {a["expert"]["success"]:.2f}' for a in accounts]
    lines += _missed(accounts, humans)
    lines += [f'failed: seed {seed}: {text}' for (_, seed), text in failed.items()]
    data = {'prepared': accounts, 'failed': [{'task': task, 'seed': seed, 'why': text} for (task, seed), text in failed.items()]}
    return data, '\n'.join(lines), int(bool(failed))


def _missed(accounts: Iterable[Mapping[str, Any]], humans: Collection[str]) -> list[str]:
    """A warning per preparation in which one of these humans does not act at the wanted rate."""
    from mile_learner.bench.account import missed_rates

    asked = [{**account, 'humans': {name: dial for name, dial in account['humans'].items() if name in humans}} for account in accounts]
    return [f'warning: {account["folder"]}: {missed}' for account in asked if (missed := missed_rates(account))]


def _tune(args: argparse.Namespace) -> Answer:
    from mile_learner.bench.cells import RunOptions
    from mile_learner.bench.suites import suite_named
    from mile_learner.bench.tune import FIRST_SEED, LEARNING_RATES, candidates, choose
    from mile_learner.errors import LearnerError, quoted

    if suite_named(args.suite).prediction:
        msg = f'tune: got {args.suite!r}, expected a suite that compares policies'
        raise LearnerError(msg)
    methods = candidates(_methods(args), args.rates or LEARNING_RATES)
    seeds = range(FIRST_SEED, FIRST_SEED + args.seeds)
    options = RunOptions(quick=args.quick, test=_tests(args), starts='tune')
    data, text, code = _compare(args, methods, seeds, options, references=False)
    if code:
        return data, text, code
    found = choose(args.out)
    lines = [
        f'{task} {method}: ' + ', '.join(f'{rate}: {score:.2f}' for rate, score in rates.items()) + _margin(found['margins'][task][method])
        for task, tried in found['scores'].items()
        for method, rates in tried.items()
    ]
    return data | found, '\n'.join([*lines, f'use them with: mile bench run {args.suite} --tuned {quoted(args.out)} --out DIR']), 0


def _margin(margin: Mapping[str, Any] | None) -> str:
    """Whether other seeds would choose the same."""
    if margin is None:
        return ''
    value, low, high = margin['difference']
    if low is None:
        return '; one seed'
    return f'; {"decided" if low > 0 else "undecided"}, {value:+.2f} [{low:.2f}, {high:.2f}] over {margin["next"]:g}'


def _run(args: argparse.Namespace) -> Answer:
    from mile_learner.bench.cells import RunOptions
    from mile_learner.bench.tune import chosen_options, grid_options

    tuned = {'chosen': chosen_options(args.tuned), 'grids': grid_options(args.tuned, quick=args.quick)} if args.tuned else {}
    return _compare(args, _methods(args), range(args.seeds), RunOptions(quick=args.quick, test=_tests(args), **tuned))


def _methods(args: argparse.Namespace) -> list[str]:
    """Those named, by default the suite's, else all."""
    from mile_learner.bench.suites import REFERENCES, suite_named
    from mile_learner.methods import METHODS

    return list(args.methods or suite_named(args.suite).methods or [name for name in METHODS if name not in REFERENCES])


def _tests(args: argparse.Namespace) -> int:
    return int(args.episodes or _preparation(quick=args.quick).test)


def _compare(args: argparse.Namespace, methods: list[str], seeds: range, options: RunOptions, *, references: bool = True) -> Answer:
    """Run every cell that is not whole yet, after preparing what these need: cells that came from elsewhere need no preparation here.

    Whatever can be refused is refused before anything is prepared.
    """
    from mile_learner.bench.claim import claimed
    from mile_learner.bench.home import bench_home, check_writable
    from mile_learner.bench.prepare import humans_for
    from mile_learner.bench.run import missing_cells, prepare_all, reasons, run_comparison
    from mile_learner.bench.suites import NO_HUMAN, cells_of, suite_named, with_demonstrations
    from mile_learner.bench.training_warnings import count_warnings, warnings_text
    from mile_learner.bench.tune import not_tuned
    from mile_learner.bench.workers import check_ray

    _register(args.register)
    suite = suite_named(args.suite)
    tasks, humans = args.tasks or suite.tasks, args.humans or suite.humans[: 1 if args.quick else None]
    preparation = _preparation(quick=args.quick)
    if args.demonstrations:
        suite = with_demonstrations(suite, args.demonstrations, tasks=tasks, states=preparation.train)
    cells = cells_of(suite, tasks=tasks, humans=humans, methods=methods, seeds=seeds)
    cells = [cell for cell in cells if references or cell.human != NO_HUMAN]
    untuned = not_tuned(cells, options.chosen, args.tuned) if options.chosen else []
    if args.ray:
        check_ray(args.ray)
    with claimed(args.out, options, preparation):
        for name in untuned:
            print(f'mile bench {args.command}: {name}: not tuned in {args.tuned}; trains with its own learning rate', file=sys.stderr)
        pairs = list(dict.fromkeys((cell.task, cell.seed) for cell in missing_cells(args.out, cells)))
        if pairs:
            check_writable(bench_home(), 'MILE_HOME')
        accounts, unprepared = ([], {}) if args.ray else prepare_all(pairs, preparation, humans=humans_for(humans), workers=args.workers)
        ready = [cell for cell in cells if (cell.task, cell.seed) not in unprepared]
        failed = run_comparison(args.out, ready, options, preparation, workers=args.workers, ray=args.ray)
    text = f'{len(cells) - len(missing_cells(args.out, cells))} of {len(cells)} cells are whole in {args.out}'
    why = reasons(args.out, failed)
    for reason, names in why.items():
        text += f'\n{len(names)} failed: {reason} ({names[0]}{", ..." if len(names) > 1 else ""})'
    if failed:
        text += f'\nall that is known of each: {args.out / "failed"}; the same command tries them again'
    text += ''.join(f'\nnot prepared: seed {seed}: {line}' for (_, seed), line in unprepared.items())
    missed = _missed(accounts, humans_for(humans))
    text += ''.join(f'\n{line}' for line in missed)
    trainings, counts = count_warnings(args.out)
    text += f'\n{warnings_text(trainings, counts)}'
    data = {'cells': len(cells), 'failed': failed, 'why': why, 'unprepared': list(unprepared.values()), 'out': str(args.out)}
    data |= {'untuned': untuned, 'missed': missed, 'trainings': trainings, 'warnings': counts}
    return data, text, int(bool(failed or unprepared))


def _report(args: argparse.Namespace) -> Answer:
    from mile_learner.bench.report import make_report

    report = make_report(args.out, args.method, args.only)
    return report, (args.out / 'report.md').read_text(encoding='utf-8'), 0


def _rollouts(args: argparse.Namespace) -> Answer:
    from mile_learner.bench.speed import rollout_speed

    rates = rollout_speed(args.task, episodes=args.episodes, workers=args.workers, preparation=_preparation(quick=args.quick))
    lines = [f'{name:10} {rate:8.1f} episodes/s  {rate / rates["loop"]:5.2f} x the loop' for name, rate in rates.items()]
    return {'episodes_per_second': rates, 'workers': args.workers}, '\n'.join(lines), 0


def _learner(args: argparse.Namespace) -> Answer:
    from mile_learner.bench.learner_speed import learner_speed, speed_text

    found = learner_speed(args.run_dir)
    return found, speed_text(found), 0


def _preparation(*, quick: bool) -> Any:
    from mile_learner.bench.prepare import QUICK, PrepareConfig

    return QUICK if quick else PrepareConfig()


def _register(pairs: list[str]) -> None:
    from mile_learner.bench.tasks import register_task
    from mile_learner.errors import LearnerError

    for pair in pairs:
        name, _, where = pair.partition('=')
        if not name or ':' not in where:
            msg = f'register: got {pair!r}, expected NAME=MODULE:ATTRIBUTE'
            raise LearnerError(msg)
        register_task(name, where)


if __name__ == '__main__':
    _parser = argparse.ArgumentParser(prog='mile bench')
    add_arguments(_parser)
    sys.exit(main(_parser.parse_args()))
