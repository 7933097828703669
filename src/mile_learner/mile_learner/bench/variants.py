"""Names with options: how a variant of a method or of a simulated human is written, in commands and in cells."""

from __future__ import annotations

import re
from typing import Any

from mile_learner.errors import LearnerError
from mile_learner.plain_text import load_yaml


def parse_variant(text: str, what: str) -> tuple[str, dict[str, Any]]:
    """The name and the options of "name" or "name[option=value,...]"; values are YAML.

    Args:
        text: the variant.
        what: is named, for the message.

    Raises:
        LearnerError: not of that form.
    """
    match = re.fullmatch(r'(\w+)(?:\[(.+)\])?', text)
    pairs = [part.partition('=') for part in match[2].split(',')] if match and match[2] else []
    try:
        options = {key.strip(): load_yaml(value) for key, _, value in pairs}
    except ValueError:
        match = None
    if match is None or not all(equals for _, equals, _ in pairs):
        msg = f'{what}: got {text!r}, expected "name" or "name[option=value,...]"'
        raise LearnerError(msg)
    return match[1], options


def file_name(text: str) -> str:
    """The text with all that is not fit for a file name replaced."""
    return re.sub(r'[^A-Za-z0-9_.-]+', '_', text)
