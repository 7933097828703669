"""Writing that never leaves half a file: to a temporary neighbour, fsync, then rename."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says when a disk, a quota or a limit is full."""


def remedy(error: Exception) -> str:
    """What a person can do about a file that cannot be written."""
    return 'make its folder writable' if isinstance(error, OSError) and error.errno not in NO_ROOM else 'free the disk'


def unfit_name(path: Path, *suffixes: str) -> str:
    """What is wrong with the name of a file to be written: it ends in none of the suffixes, or its folder is not there. Else empty."""
    fits = path.suffix in suffixes and path.parent.is_dir()
    return '' if fits else f'got {path}, expected the name of a {" or ".join(suffixes)} file in a folder that is there'


def write_atomically(path: Path, content: bytes) -> None:
    """Replace `path` by `content` in one step; after return it survives a power cut."""
    temporary = path.with_name(f'.{path.name}.{os.getpid()}')
    try:
        write_synced(temporary, content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_synced(path: Path, content: bytes, *, append: bool = False) -> None:
    """Write (or append) and fsync."""
    with path.open('ab' if append else 'wb') as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Make renames within `path` durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's content."""
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
