"""What cells were made with, so that a report can say where those of one comparison were not made alike."""

from __future__ import annotations

import functools
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import torch

import mile_learner
from mile_learner.files import sha256_of

PACKAGES = ('torch', 'mujoco', 'gymnasium')
"""Whose other versions can give other numbers for the same cell."""


@functools.cache
def made_with() -> dict[str, str]:
    """The learner's revision (a hash of its sources), the versions of `PACKAGES`, and the instructions that the processor computes with."""
    root = Path(str(mile_learner.__file__)).parent
    sources = {path.relative_to(root).as_posix(): sha256_of(path) for path in root.rglob('*.py')}
    revision = hashlib.sha256(repr(sorted(sources.items())).encode()).hexdigest()[:10]
    return {'mile_learner': revision, **{name: version(name) for name in PACKAGES}, 'cpu': torch.backends.cpu.get_cpu_capability()}


def differences_text(made: Sequence[Mapping[str, str]]) -> list[str]:
    """Markdown that says what was not the same for all cells; nothing where all was.

    Args:
        made: what `made_with` said, per cell; empty where a cell does not say it, as those of before it was noted.
    """
    names = dict.fromkeys(name for cell in made for name in cell)
    counts = {name: Counter(cell.get(name, 'unknown') for cell in made) for name in names}
    told = [
        f'{name} {", ".join(f"{value} ({count})" for value, count in sorted(values.items()))}'
        for name, values in counts.items()
        if len(values) > 1
    ]
    return [f'**Not all cells were made alike** (cells with each): {"; ".join(told)}.', ''] if told else []
