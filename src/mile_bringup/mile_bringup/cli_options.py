"""Command-line options from a configuration class: one per field, with its documentation, default and choices."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any, get_type_hints

from mile_learner.config import Config


def add_options(parser: argparse.ArgumentParser, config_class: type[Config]) -> None:
    """Add `--field-name` for every field; an option that is not given is absent from the result."""
    hints = get_type_hints(config_class)
    for field in dataclasses.fields(config_class):
        kind = hints[field.name]
        parser.add_argument(
            f'--{field.name.replace("_", "-")}',
            type=kind,
            metavar=None if field.metadata['choices'] else {int: 'N', float: 'X'}.get(kind, 'NAME'),
            choices=field.metadata['choices'],
            default=argparse.SUPPRESS,
            help=f'{field.metadata["doc"]} (default: {field.default})'.replace('%', '%%'),
        )


def given_options(args: argparse.Namespace, config_class: type[Config]) -> dict[str, Any]:
    """The options that were given on the command line."""
    return {field.name: getattr(args, field.name) for field in dataclasses.fields(config_class) if hasattr(args, field.name)}
