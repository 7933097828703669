"""What a bag must be before a reader is let loose on it: one plain MCAP file in the bag's own folder, records that end within it, no bombs.

A reader that trusts a file's own numbers can be made to read files elsewhere, to unfold gigabytes, or to run what it builds from a message
definition. Our recorder writes none of that, so it is refused here.
"""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

from mile_learner.errors import LearnerError

MAGIC = b'\x89MCAP0\r\n'
CHUNK = 6
CHUNK_HEAD = struct.Struct('<QQQII')
TYPE_NAME = re.compile(r'[A-Za-z][A-Za-z0-9_]*/msg/[A-Za-z][A-Za-z0-9_]*')
LONGEST_DEFINITION = 64 * 1024


def records(data: memoryview) -> Iterator[tuple[int, memoryview, bool]]:
    """Opcode and content of each record, and whether it is all there; the last one may not be."""
    position = 0
    while position + 9 <= len(data):
        opcode, length = struct.unpack_from('<BQ', data, position)
        end = position + 9 + length
        yield opcode, data[position + 9 : end], end <= len(data)
        position = end


def check_files(path: Path, information: Any) -> None:
    """Check what the bag's metadata (rosbag2_bagfile_information) names, and the records of its file.

    Raises:
        LearnerError: the bag is not as ours are.
    """
    names = information.get('relative_file_paths') if isinstance(information, dict) else None
    if not isinstance(names, list) or len(names) != 1 or not isinstance(names[0], str) or PurePath(names[0]).name != names[0]:
        msg = f'{path}: got the files {str(names)[:80]}, expected the name of one file in the folder of the bag'
        raise LearnerError(msg)
    file = path / names[0]
    if file.is_symlink() or not file.is_file():
        msg = f'{file}: is missing, or no ordinary file'
        raise LearnerError(msg)
    if information.get('storage_identifier') != 'mcap' or information.get('compression_mode') not in (None, '', 'none'):
        msg = f'{path}: got storage {str(information.get("storage_identifier"))[:40]!r}, expected uncompressed mcap; see `ros2 bag convert`'
        raise LearnerError(msg)
    if not file.stat().st_size:
        msg = f'{file}: is empty'
        raise LearnerError(msg)
    with file.open('rb') as handle:
        _check_records(file, memoryview(mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)))


def _check_records(file: Path, data: memoryview) -> None:
    if data[: len(MAGIC)] != MAGIC or data[-len(MAGIC) :] != MAGIC:
        msg = f'{file}: cannot be read as a bag (it is no whole MCAP file); `mile repair` salvages what is whole'
        raise LearnerError(msg)
    for opcode, content, whole in records(data[len(MAGIC) : -len(MAGIC)]):
        if not whole:
            msg = f'{file}: cannot be read as a bag (a record of type {opcode} does not end within the file); see `mile repair`'
            raise LearnerError(msg)
        if opcode == CHUNK and (len(content) < CHUNK_HEAD.size or CHUNK_HEAD.unpack_from(content)[4]):
            msg = f'{file}: got a compressed chunk, expected none; see `ros2 bag convert`'
            raise LearnerError(msg)


def check_definition(name: str, text: str) -> None:
    """Check a message type before its definition is parsed.

    Raises:
        ValueError: it is not one that a message type can have.
    """
    if not TYPE_NAME.fullmatch(name) or len(text) > LONGEST_DEFINITION:
        msg = f'a message type named {name[:80]!r} with a definition of {len(text)} characters'
        raise ValueError(msg)
