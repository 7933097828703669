"""`--help` that ends with the names from the registries, which are imported only when it is asked for."""

from __future__ import annotations

import argparse
import textwrap
from typing import Any

WIDTH = 100


class HelpWithNames(argparse.Action):
    """Prints the help, and below it the suites, tasks, methods and humans that there are."""

    def __init__(self, option_strings: list[str], dest: str, **_: Any) -> None:
        super().__init__(option_strings, dest, default=argparse.SUPPRESS, nargs=0, help='show this help message and exit')

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        """Print and exit."""
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        parser.epilog = names_text()
        parser.print_help()
        parser.exit()


def names_text() -> str:
    """The names, a paragraph per registry, and what each suite runs."""
    from mile_learner.bench.human_config import GATES
    from mile_learner.bench.suites import REFERENCES, SUITES
    from mile_learner.bench.tasks import TASKS
    from mile_learner.methods import METHODS

    names = {
        'tasks': list(TASKS),
        'methods': [name for name in METHODS if name not in REFERENCES],
        'humans': list(GATES),
    }
    suites = [f'{suite.name} ({suite.figure}): on {", ".join(suite.tasks)} with {", ".join(suite.humans)}' for suite in SUITES.values()]
    lines = [f'{"suites:" * (not number):8} {suite}' for number, suite in enumerate(suites)]
    lines += [f'{what + ":":8} {", ".join(known)}' for what, known in names.items()]
    return '\n'.join(textwrap.fill(line, WIDTH, subsequent_indent=' ' * 9) for line in lines)
