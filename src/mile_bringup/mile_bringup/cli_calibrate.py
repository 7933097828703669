"""`mile calibrate`: c and σ of the intervention model, fitted to a run's takeovers; and the c of a wanted rate."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mile_bringup.cli_common import Report, absolute, add_verb, finite, number, table
from mile_bringup.errors import UsageError
from mile_learner.errors import quoted

if TYPE_CHECKING:
    from mile_learner.run_calibration import Fit, LoggedSteps

EVERYBODY = 'all'
HEADERS = ('operator', 'steps', 'rate', 'c [nats]', '95 % interval', 'sigma [nats]', '95 % interval', 'log loss', 'of the rate alone')
EXPECTED = {'learned': 'what its mental model expects of the robot', 'noted': 'the robot action noted at the step'}
COUNTED = {'all': 'every step of a takeover', 'onset': 'the onset of a takeover, and its other steps are left out'}


def add(verbs: Any) -> None:
    """Add the verb."""
    parser = add_verb(
        verbs,
        'calibrate',
        run,
        help="fit c and sigma of the intervention model to a run's takeovers, with 95 %% intervals",
        description='Fits p(nu=1|s) = E[Phi((gain - c) / sigma)] to the steps of every whole episode of the run: the cost c of intervening '
        'and the scale sigma, in nats (a probit regression). The gain is how much likelier an action is than what the human expects of the '
        'robot, ln pi(a) - E[ln pi(a_r)], by the policy that flies, which stands for the human and is what the mean is over. An interval '
        'is "not determined" where the data do not say, as when the gain does not tell when the human takes over. A training takes c and '
        'sigma from the version that it starts from; --write makes one that has the fitted values.',
    )
    parser.add_argument('run_dir', metavar='RUN', type=absolute, help='folder of the run')
    parser.add_argument(
        '--mental-model',
        choices=tuple(EXPECTED),
        help="what the human expects: what the version's own mental model says, or the robot action noted at each step "
        '(default: as the version that flies was trained; without a mental model: noted)',
    )
    parser.add_argument(
        '--decisions',
        choices=tuple(COUNTED),
        help='where nu = 1 counts: at every step of a takeover, or only at its onset; its other steps are left out then '
        '(default: as the version that flies was trained)',
    )
    parser.add_argument(
        '--ahead',
        action='store_true',
        help='judge each episode by the version that flew it, which had not been trained on it yet; without what an initial policy flew. '
        'A version says more about steps that it was trained on than about new ones: c and sigma are too sure then',
    )
    parser.add_argument(
        '--per-operator', action='store_true', help='fit each operator alone, too, by the name in the bags (mile deploy --operator-name)'
    )
    parser.add_argument(
        '--rate',
        type=number(0.001, 0.999),
        metavar='P',
        help='find the c with which p(nu=1|s) is P on average over the logged steps, at the fitted sigma (0.001 to 0.999); another rate of '
        'interventions leads to other states, so the next deployment may differ; warns where no better policy could bring the rate so low',
    )
    parser.add_argument(
        '--write',
        action='store_true',
        help='make a version with the same weights, the fitted sigma, and the fitted c or that of --rate; it flies once it is promoted',
    )


def run(args: argparse.Namespace) -> Report:
    """Fit, and say what the numbers are about."""
    from mile_bringup.isolation import lock_run
    from mile_learner.bundle import Bundle
    from mile_learner.guards import floor_warnings
    from mile_learner.meaning import NOTED, Meaning
    from mile_learner.run_calibration import fit, logged_steps, save_calibrated, steps_ahead
    from mile_learner.run_folder import Run

    if args.write and args.per_operator:
        msg = '--write: got --per-operator with it, expected one of the two; a version has one c and one sigma'
        raise UsageError(msg)
    of = Run.open(args.run_dir)
    bundle = Bundle.load(of.version_path(of.current()))
    flying, own = bundle.manifest, Meaning.of(bundle)
    default = own or Meaning(NOTED, 'all')
    meaning = Meaning(args.mental_model or default.mental_model, args.decisions or default.decisions)
    steps = (steps_ahead if args.ahead else logged_steps)(of, bundle, meaning)
    alone = steps.by_operator() if args.per_operator else {}
    parts: list[tuple[str, LoggedSteps, Fit | None]] = [(EVERYBODY, steps, together := fit(steps, args.rate))]
    parts += [(name, some, fit(some, args.rate) if 0 < some.rate < 1 else None) for name, some in alone.items()]

    rows = [_row(*part) for part in parts]
    warnings = [f'{name}: {text}' for name, some, found in parts for text in _warnings(some, found)]
    models = 'the version that flew, not yet trained on the episode,' if args.ahead else flying.version
    about = f'the models: {models} and {EXPECTED[meaning.mental_model]}; nu = 1: {COUNTED[meaning.decisions]}'
    if own == meaning:
        rows.append([f'{flying.version} has', None, None, flying.c, None, flying.sigma, *[None] * 4])
        floor = steps.floor(flying.c, flying.sigma)
        warnings += [f'{flying.version}: {text}' for text in floor_warnings(floor, flying.c, flying.sigma, steps.rate, 'were seen')]
    elif own:
        about += f'; what {flying.version} has is another: --mental-model {own.mental_model} --decisions {own.decisions}'
    else:
        about += f'; {flying.version} has no mental model, and no use for c and sigma'
    data = {
        'run': str(of.path),
        'version': flying.version,
        **asdict(meaning),
        'ahead': args.ahead,
        **_data(together),
        'operators': {name: found and _data(found) for name, _, found in parts[1:]},
        'deployed': own and {'c': flying.c, 'sigma': flying.sigma, **asdict(own)},
        'wanted_rate': args.rate,
        'warnings': warnings,
        'written': None,
    }
    headers = HEADERS if args.rate is None else (*HEADERS, f'c for rate {args.rate:g}')
    lines = [table(headers, [row[: len(headers)] for row in rows]), about, *warnings]
    if args.write:
        lock = lock_run(of.path)
        try:
            manifest = save_calibrated(of, bundle, meaning, together, ahead=args.ahead)
        finally:
            os.close(lock)
        data['written'] = manifest.version
        lines += [f'{manifest.version}: c = {manifest.c:.3f}, sigma = {manifest.sigma:.3f}']
        lines += [f'let it fly: mile policies {quoted(of.path)} promote {manifest.version}']
    return Report(finite(data), '\n'.join(lines))


def _row(name: str, steps: LoggedSteps, fit: Fit | None) -> list[object]:
    """Below HEADERS and the c of the wanted rate."""
    if fit is None:
        return [name, len(steps), steps.rate, *[None] * 7]
    found = fit.calibration
    c, sigma = (_interval(ends) for ends in (found.c_interval, found.sigma_interval))
    return [name, found.steps, found.rate, found.c, c, found.sigma, sigma, found.log_loss, found.rate_loss, fit.c_for_rate]


def _warnings(steps: LoggedSteps, fit: Fit | None) -> Sequence[str]:
    return (f'nothing to fit: all {len(steps)} steps have nu = {steps.rate:.0f}',) if fit is None else fit.warnings


def _data(fit: Fit) -> dict[str, Any]:
    """For `--json`."""
    return {**asdict(fit.calibration), 'determined': fit.calibration.determined, 'c_for_rate': fit.c_for_rate}


def _interval(ends: tuple[float, float]) -> str:
    return '[{:.2f}, {:.2f}]'.format(*ends) if math.isfinite(ends[1]) else 'not determined'
