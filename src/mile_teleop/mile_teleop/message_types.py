"""The message definitions that a bag carries, and messages in exactly their bytes; by `rosbags`, without ROS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore


def load_types(message_folder: Path) -> Typestore:
    """The standard message types and those of mile_msgs, whose .msg files lie in `message_folder` (share/mile_msgs/msg)."""
    typestore = get_typestore(Stores.ROS2_JAZZY)
    for file in sorted(message_folder.glob('*.msg')):
        typestore.register(get_types_from_msg(file.read_text(encoding='utf-8'), f'mile_msgs/msg/{file.stem}'))
    return typestore


def decode(typestore: Typestore, message_type: str, data: bytes) -> Any:
    """The message in CDR `data`, which may be followed by stray bytes.

    Fast DDS leaves up to 8 of them behind a message that ends in empty arrays; `Typestore.deserialize_cdr` refuses more than 3.
    """
    definition = typestore.get_msgdef(message_type)
    read = definition.deserialize_cdr_le if data[1] else definition.deserialize_cdr_be
    return read(memoryview(data)[4:], 0, definition.cls, typestore)[0]


def encode(typestore: Typestore, message_type: str, message: Any) -> bytes:
    """The message in CDR, to the byte: no stray and no uninitialised ones, so that equal recordings are equal files."""
    return bytes(typestore.serialize_cdr(message, message_type))
