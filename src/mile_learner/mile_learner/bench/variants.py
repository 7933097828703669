"""Names with options: how a variant of a method or of a simulated human is written, in commands and in cells."""

from __future__ import annotations

import re
from typing import Any

from mile_learner.errors import LearnerError
from mile_learner.plain_text import load_yaml


def parse_variant(text: str, what: str) -> tuple[str, dict[str, Any]]:
    """The name and the options of "name" or "name[option=value,...]"; values are YAML, in which 1e-3 is a number, too.

    Args:
        text: the variant.
        what: is named, for the message.

    Raises:
        LearnerError: not of that form.
    """
    match = re.fullmatch(r'(\w+)(?:\[(.+)\])?', text)
    pairs = [part.split('=', 1) for part in match[2].split(',')] if match and match[2] else []
    try:
        if match is not None:
            return match[1], {key.strip(): _value(value) for key, value in pairs}
    except ValueError:
        pass
    msg = f'{what}: got {text!r}, expected "name" or "name[option=value,...]"'
    raise LearnerError(msg)


def file_name(text: str) -> str:
    """The text with all that is not fit for a file name replaced."""
    return re.sub(r'[^A-Za-z0-9_.-]+', '_', text)


def _value(text: str) -> Any:
    value = load_yaml(text)
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value
