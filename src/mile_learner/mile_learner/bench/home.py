"""Where a machine keeps what comparisons share, and who may write into a folder."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mile_learner.errors import LearnerError


def bench_home() -> Path:
    """$MILE_HOME/bench, by default ~/.cache/mile/bench."""
    return Path(os.environ.get('MILE_HOME', '~/.cache/mile')).expanduser().absolute() / 'bench'


def check_writable(folder: Path, what: str) -> None:
    """Make the folder if there is none, and write something into it.

    Raises:
        LearnerError: that fails; the message begins with `what`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        msg = f'{what}: got {folder}, which cannot be written ({error.strerror}); give a folder that can'
        raise LearnerError(msg) from error


@contextmanager
def locked(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the folder: whoever comes second waits, and then finds the work done, or does not wait and is refused.

    Raises:
        LearnerError: another process holds it, and `wait` is false.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / '.lock').open('w') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            msg = f'{folder}: another process works on it; wait until that has ended, or give another folder'
            raise LearnerError(msg) from error
        yield
