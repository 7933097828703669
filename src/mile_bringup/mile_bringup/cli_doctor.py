"""`mile doctor`: what is wrong with this machine, and what is missing; or, with --pad, the mapping of a pad."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from mile_bringup.cli_common import Report, absolute, add_verb
from mile_learner.errors import quoted


def add(verbs: Any) -> None:
    """Add the verb."""
    parser = add_verb(
        verbs,
        'doctor',
        run,
        help='what is wrong with this machine, what is missing, and what to do next; or the mapping of a pad',
        description='Checks this machine, and what is attached to it. Exit code 1 if something is wrong or missing.',
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument('--sim', action='store_true', help='only what a simulation needs: without pad, camera and arm')
    what.add_argument(
        '--pad',
        metavar='FILE.yaml',
        type=absolute,
        nargs='?',
        const=absolute('pad.yaml'),
        help='ask for every stick and button of the pad that is attached, and write its mapping (default: pad.yaml)',
    )


def run(args: argparse.Namespace) -> Report:
    """Exit code 1 if a check failed or something is missing; a warning is no failure."""
    return _map_pad(args.pad) if args.pad else _check(sim=args.sim)


def _check(*, sim: bool) -> Report:
    from mile_bringup.doctor import CHECKS, Health
    from mile_bringup.doctor_hardware import HARDWARE

    checks = CHECKS if sim else CHECKS | HARDWARE
    findings = {name: check() for name, check in checks.items()}
    failed = any(finding.health in (Health.FAIL, Health.MISSING) for finding in findings.values())
    listed = [{'name': name, 'health': f.health.value, 'detail': f.detail, 'do': f.do} for name, f in findings.items()]
    width = max(map(len, findings))
    lines = [f'{f.health.value:>7}  {name:<{width}}  {f.detail}{f": {f.do}" if f.do else ""}' for name, f in findings.items()]
    return Report({'ok': not failed, 'checks': listed}, '\n'.join(lines), code=1 if failed else 0)


def _map_pad(path: Path) -> Report:
    """Run the wizard; its questions go to standard error.

    Raises:
        UsageError: the file would be of no use, or lies nowhere.
        BringupError: no mapping came of it.
    """
    from mile_bringup.errors import BringupError, UsageError
    from mile_learner.files import unfit_name
    from mile_teleop.errors import PadError
    from mile_teleop.pad_device import PadDevice
    from mile_teleop.pad_wizard import run_wizard

    if wrong := unfit_name(path, '.yaml', '.yml'):
        msg = f'--pad: {wrong}'
        raise UsageError(msg)
    device = PadDevice()
    try:
        mapping = run_wizard(device, lambda line: print(line, file=sys.stderr, flush=True), path)
    except PadError as error:
        raise BringupError(str(error)) from error
    finally:
        device.close()
    return Report(
        {'file': str(path), **mapping.config.to_mapping()}, f'{path}\nuse it: mile deploy --operator joystick --pad {quoted(path)}'
    )
