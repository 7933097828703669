"""Where a machine keeps what comparisons share."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def bench_home() -> Path:
    """$MILE_HOME/bench, by default ~/.cache/mile/bench."""
    return Path(os.environ.get('MILE_HOME', '~/.cache/mile')).expanduser().absolute() / 'bench'


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder: whoever comes second waits, and then finds the work done."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / '.lock').open('w') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
