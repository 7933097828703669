"""What the verbs share: their result, argument types, tables."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Report:
    """What a verb found out.

    Attributes:
        data: for `--json`; no NaN.
        text: for a person.
        code: exit code.
    """

    data: dict[str, Any]
    text: str
    code: int = 0


def add_verb(
    verbs: Any,
    name: str,
    run: Callable[[argparse.Namespace], Report],
    *,
    help: str,
    description: str = '',
) -> argparse.ArgumentParser:
    """Add one verb with the options that all verbs have."""
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=help, description=description or help)
    parser.add_argument('--json', action='store_true', help='print one JSON object on standard output; logs go to standard error')
    parser.set_defaults(run=run)
    return parser


def whole(low: int, high: int | None = None) -> Callable[[str], int]:
    """Argument type: a whole number within [low, high]."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            msg = f'got {text!r}, expected a whole number'
            raise argparse.ArgumentTypeError(msg) from None
        if value < low or (high is not None and value > high):
            msg = f'got {value}, expected {low} or more' if high is None else f'got {value}, expected {low} to {high}'
            raise argparse.ArgumentTypeError(msg)
        return value

    return parse


def number(low: float, high: float) -> Callable[[str], float]:
    """Argument type: a number within [low, high]."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            msg = f'got {text!r}, expected a number from {low:g} to {high:g}'
            raise argparse.ArgumentTypeError(msg)
        return value

    return parse


def absolute(text: str) -> Path:
    """Argument type: a path, made absolute."""
    return Path(text).expanduser().absolute()


def table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns aligned with spaces; floats with three digits, None and NaN as '-'."""
    cells = [list(headers), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headers))]
    return '\n'.join('  '.join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells)


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return '-'
    return f'{value:.3f}' if isinstance(value, float) else str(value)


def finite(value: Any) -> Any:
    """The same with every NaN or infinity replaced by None, so that it is valid JSON."""
    if isinstance(value, dict):
        return {key: finite(element) for key, element in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(element) for element in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
