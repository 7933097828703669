"""What cells were made with, so that a report can say where those of one comparison were not made alike."""

from __future__ import annotations

import functools
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import torch

from mile_learner.files import sha256_of

PACKAGES = ('torch', 'numpy', 'mujoco', 'gymnasium', 'metaworld', 'box2d')
"""Whose other versions can give other numbers for the same cell; of the last two each is needed by some tasks alone."""
SOURCES = ('mile_learner', 'mile_sim')
"""Of this repository; mile_sim, the block insertion, need not be importable."""
ABSENT = 'absent'


@functools.cache
def made_with() -> dict[str, str]:
    """The revisions of `SOURCES` (hashes of these), the versions of `PACKAGES`, and the instructions that the processor computes with.

    What is not installed is `ABSENT`.
    """
    found = {name: _revision(name) for name in SOURCES} | {name: _version(name) for name in PACKAGES}
    return {**found, 'cpu': torch.backends.cpu.get_cpu_capability()}


def _revision(package: str) -> str:
    """A hash of its sources."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return ABSENT
    root = Path(spec.origin).parent
    sources = {path.relative_to(root).as_posix(): sha256_of(path) for path in root.rglob('*.py')}
    return hashlib.sha256(repr(sorted(sources.items())).encode()).hexdigest()[:10]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ABSENT


def differences_text(made: Sequence[Mapping[str, str]]) -> list[str]:
    """Markdown that says what was not the same for all cells; nothing where all was.

    Args:
        made: what `made_with` said, per cell; empty where a cell does not say it, as those of before it was noted. What a cell that says
            other things does not say, as it was not noted yet, is no difference.
    """
    names = dict.fromkeys(name for cell in made for name in cell)
    counts = {name: Counter(cell.get(name, 'unknown') for cell in made if name in cell or not cell) for name in names}
    told = [
        f'{name} {", ".join(f"{value} ({count})" for value, count in sorted(values.items()))}'
        for name, values in counts.items()
        if len(values) > 1
    ]
    return [f'**Not all cells were made alike** (cells with each): {"; ".join(told)}.', ''] if told else []
