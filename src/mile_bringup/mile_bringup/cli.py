"""The `mile` command. One module per verb; what is heavy (torch, rclpy, MuJoCo) is imported inside the verb that needs it."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from mile_bringup.cli_common import Report
from mile_bringup.errors import BringupError, UsageError

VERBS = (
    *('deploy', 'estop', 'prepare', 'train', 'eval', 'policies', 'inspect', 'repair', 'calibrate'),
    *('export', 'import', 'bench', 'encoder', 'doctor'),
)
FAILED, BAD_INPUT = 1, 2


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Exit with code 2."""
        self.exit(BAD_INPUT, f'{self.prog}: {message}; see {self.prog} --help\n')


def build_parser() -> Parser:
    """The parser of all verbs."""
    parser = Parser(prog='mile', description='Teach a robot policy by interventions.', epilog='mile VERB --help says more.')
    verbs = parser.add_subparsers(dest='verb', metavar='VERB', required=True)
    for name in VERBS:
        importlib.import_module(f'mile_bringup.cli_{name}').add(verbs)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns its exit code: 0, 1 (failed) or 2 (bad usage or bad input)."""
    args = build_parser().parse_args(argv)
    if not sys.stderr.isatty():
        os.environ.setdefault('TQDM_MININTERVAL', '10')  # in a file each time that a bar is drawn is another line
    try:
        report: Report = args.run(args)
    except _bad_input() as error:
        return _fail(args.verb, error, BAD_INPUT)
    except _failures() as error:
        return _fail(args.verb, error, FAILED)
    except OSError as error:
        where = f'{error.filename}: ' if error.filename else ''
        return _fail(args.verb, f'{where}{error.strerror or error}; give a path that can be used, on a disk with space', FAILED)
    except KeyboardInterrupt as interruption:
        return _fail(args.verb, str(interruption) or 'interrupted', FAILED)
    try:
        print(json.dumps(report.data, allow_nan=False) if args.json else report.text, flush=True)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left in its buffer is not tried again at the end
        if not isinstance(error, BrokenPipeError):
            return _fail(args.verb, f'standard output: {error.strerror}; the work is done, what it found out is lost', FAILED)
    return report.code


def _bad_input() -> tuple[type[Exception], ...]:
    """The error classes that mean bad input; looked up only when something was raised."""
    from mile_learner.config import ConfigError
    from mile_learner.errors import LearnerError
    from mile_teleop.errors import TeleopError

    return UsageError, ConfigError, LearnerError, TeleopError


def _failures() -> tuple[type[Exception], ...]:
    """The error classes that mean that something else went wrong."""
    from mile_sim.errors import SimError

    return BringupError, SimError


def _fail(verb: str, error: object, code: int) -> int:
    print(f'mile {verb}: {error}', file=sys.stderr, flush=True)
    return code


if __name__ == '__main__':
    sys.exit(main())
