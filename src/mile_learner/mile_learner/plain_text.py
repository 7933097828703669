"""YAML and JSON from files that somebody else may have written: plain values alone, of bounded depth, and never more than the text itself.

PyYAML's safe loader runs no code, but a few lines with aliases can unfold into gigabytes, and deep nesting ends in a RecursionError, as it
does in `json`. Both are refused here as what they are: malformed files.
"""

from __future__ import annotations

import json
from typing import Any

import yaml

DEEPEST = 32
"""Levels of nesting; our own files have less than 10."""


class _PlainLoader(yaml.SafeLoader):
    """Without aliases, and not deeper than `DEEPEST`."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, 'aliases are not allowed', None)
        self.depth += 1
        if self.depth > DEEPEST:
            raise yaml.composer.ComposerError(None, None, f'nested deeper than {DEEPEST} levels', None)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def load_yaml(text: str) -> Any:
    """The value of a YAML document.

    Raises:
        ValueError: it is no YAML, or not plain.
    """
    try:
        return yaml.load(text, Loader=_PlainLoader)
    except (yaml.YAMLError, OverflowError) as error:
        raise ValueError(' '.join(str(error).split())) from error


def load_json(text: str) -> Any:
    """The value of a JSON document.

    Raises:
        ValueError: it is no JSON, or nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        msg = 'nested too deeply'
        raise ValueError(msg) from error
