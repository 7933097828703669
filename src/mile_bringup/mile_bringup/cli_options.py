"""Command-line options from a configuration class: one per field, with its documentation, default and choices."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping
from typing import Any, get_type_hints

from mile_learner.config import Config


def add_options(parser: argparse.ArgumentParser, config_class: type[Config]) -> None:
    """Add `--field-name` for every field; an option that is not given is absent from the result."""
    hints = get_type_hints(config_class)
    for field in dataclasses.fields(config_class):
        kind = hints[field.name]
        flag, about = f'--{field.name.replace("_", "-")}', field.metadata['doc'].replace('%', '%%')
        if kind is bool:
            parser.add_argument(flag, action='store_true', default=argparse.SUPPRESS, help=about)
            continue
        parser.add_argument(
            flag,
            type=kind,
            metavar=None if field.metadata['choices'] else {int: 'N', float: 'X'}.get(kind, 'NAME'),
            choices=field.metadata['choices'],
            default=argparse.SUPPRESS,
            help=f'{about} (default: {field.default})',
        )


def option_words(given: Mapping[str, Any]) -> list[str]:
    """Options as words of a command line; those that are false are not said."""
    said = ((f'--{name.replace("_", "-")}', value) for name, value in given.items() if value is not False)
    return [word for flag, value in said for word in ((flag,) if value is True else (flag, str(value)))]


def given_options(args: argparse.Namespace, config_class: type[Config]) -> dict[str, Any]:
    """The options that were given on the command line."""
    return {field.name: getattr(args, field.name) for field in dataclasses.fields(config_class) if hasattr(args, field.name)}
