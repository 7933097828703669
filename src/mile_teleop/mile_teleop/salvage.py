"""From what a killed recorder left behind to a bag that every reader can open, with all that can be proven to be whole.

A torn file has no index and no end, and its last record may be cut anywhere. Salvaged is the longest prefix of whole records: known
channels, times that do not run backwards, and steps that can be decoded and follow each other without a gap. The result stands beside the
torn bag as `<episode>.salvaged-<n>`, says in its metadata that it was salvaged, and is trained on only when that is asked for. The torn
bag stays as it is.
"""

from __future__ import annotations

import mmap
import re
import shutil
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, Metadata, Schema
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from mile_learner.bag_guard import MAGIC, check_definition, records
from mile_learner.bags import DAMAGE, STEP_TYPE, encode_metadata, read_metadata
from mile_learner.errors import LearnerError
from mile_learner.plain_text import load_yaml
from mile_learner.run_folder import salvaged_path
from mile_teleop.bag_metadata import Topic
from mile_teleop.bag_writer import CUSTOM_RECORD, SUFFIX, BagWriter
from mile_teleop.errors import BagError
from mile_teleop.message_types import decode

MESSAGE = struct.Struct('<HIQQ')
TORN = re.compile(r'.+\.torn-\d+')
TEARS = (McapError, *DAMAGE)
"""What reading a damaged record raises; the prefix ends before it."""


@dataclass(frozen=True)
class Salvaged:
    """What became of one torn bag.

    Attributes:
        torn: its folder.
        path: the salvaged bag; None if there was no whole step in it.
        steps: whole steps.
        messages: whole messages, steps among them.
        cut_bytes: what is left over at the end of the torn file.
        detail: what ended the prefix.
    """

    torn: Path
    path: Path | None
    steps: int
    messages: int
    cut_bytes: int
    detail: str


@dataclass
class Prefix:
    """The whole records of one file, as far as they go."""

    topics: dict[int, Topic] = field(default_factory=dict)
    messages: list[tuple[str, int, bytes]] = field(default_factory=list)
    custom: dict[str, str] = field(default_factory=dict)
    typestore: Typestore = field(default_factory=lambda: get_typestore(Stores.ROS2_JAZZY))
    steps: int = 0
    episode_id: str = ''
    whole_bytes: int = 0
    detail: str = 'nothing is missing at its end'
    _schemas: dict[int, str] = field(default_factory=dict)
    _last_ns: int = 0

    def take(self, opcode: int, content: bytes) -> None:
        """One whole record.

        Raises:
            One of `TEARS`: it is not sound.
        """
        if opcode == Opcode.SCHEMA:
            schema = Schema.read(_stream(content))
            check_definition(schema.name, text := schema.data.decode())
            types = get_types_from_msg(text, schema.name)
            self.typestore.register({name: definition for name, definition in types.items() if name not in self.typestore.types})
            self._schemas[schema.id] = schema.name
        elif opcode == Opcode.CHANNEL:
            channel = Channel.read(_stream(content))
            self.topics[channel.id] = _topic(channel, self._schemas[channel.schema_id])
        elif opcode == Opcode.METADATA:
            record = Metadata.read(_stream(content))
            if record.name == CUSTOM_RECORD:
                self.custom = record.metadata
        elif opcode == Opcode.MESSAGE:
            channel_id, _, received_ns, _ = MESSAGE.unpack_from(content)
            self._take_message(self.topics[channel_id], received_ns, content[MESSAGE.size :])
        elif opcode == Opcode.CHUNK:
            chunk = Chunk.read(_stream(content))
            if chunk.compression or (chunk.uncompressed_crc and chunk.uncompressed_crc != zlib.crc32(chunk.data)):
                msg = 'a chunk is compressed, or its checksum is wrong'
                raise ValueError(msg)
            for inner, inner_content, whole in records(memoryview(chunk.data)):
                if whole and inner != Opcode.CHUNK:
                    self.take(inner, bytes(inner_content))

    def _take_message(self, topic: Topic, received_ns: int, data: bytes) -> None:
        if received_ns < self._last_ns:
            msg = 'the time runs backwards'
            raise ValueError(msg)
        if topic.type == STEP_TYPE:
            step = decode(self.typestore, topic.type, data)
            if step.index != self.steps or (self.episode_id and step.episode_id != self.episode_id):
                msg = f'step {step.index} of {step.episode_id!r} came where step {self.steps} was expected'
                raise ValueError(msg)
            self.episode_id = step.episode_id
            self.steps += 1
        self._last_ns = received_ns
        self.messages.append((topic.name, received_ns, data))


def salvage(torn: Path) -> Salvaged:
    """Salvage one torn bag, `<episode>.torn-<n>`.

    Raises:
        BagError: the folder is no torn bag, was salvaged before, or the disk failed.
    """
    files = sorted(torn.glob('*.mcap'))
    if len(files) != 1:
        msg = f'{torn}: got {len(files)} .mcap files in it, expected the folder of one torn bag with its one file'
        raise BagError(msg)
    target = target_of(torn)
    if target.exists():
        msg = f'{torn}: was salvaged before; see {target}'
        raise BagError(msg)
    prefix = read_prefix(files[0])
    cut = files[0].stat().st_size - prefix.whole_bytes
    if not prefix.steps:
        return Salvaged(torn, None, 0, len(prefix.messages), cut, prefix.detail)
    custom = _custom_of(torn) or prefix.custom
    was_whole = 'steps' in custom and 'torn' not in custom
    reason = custom.get('torn') or f'{"it was damaged later" if was_whole else "its recorder was killed"}; {prefix.detail}'
    custom = {'episode_id': prefix.episode_id, **custom}
    if was_whole or 'outcome' not in custom:
        custom |= {'outcome': 'aborted', 'success': 'false'}  # how the rest of it went says nothing about this part
    custom |= encode_metadata({'salvaged': reason, 'salvaged_from': torn.name, 'steps': prefix.steps})
    shutil.rmtree(target.with_name(target.name + SUFFIX), ignore_errors=True)  # of a repair that was killed
    writer = BagWriter(target, tuple(prefix.topics.values()), prefix.typestore, custom)
    for topic, received_ns, data in prefix.messages:
        writer.write(topic, data, received_ns)
    return Salvaged(torn, writer.close(custom), prefix.steps, len(prefix.messages), cut, prefix.detail)


def target_of(torn: Path) -> Path:
    """Where the salvaged bag belongs.

    Raises:
        BagError: by its name it is no torn bag.
    """
    if not TORN.fullmatch(torn.name):
        msg = f'{torn}: expected the folder of a torn bag, named EPISODE.torn-N'
        raise BagError(msg)
    return salvaged_path(torn)


def read_prefix(file: Path) -> Prefix:
    """The longest sound prefix of an MCAP file.

    Raises:
        BagError: it cannot be read at all.
    """
    prefix = Prefix()
    try:
        with file.open('rb') as handle:
            if not file.stat().st_size:
                prefix.detail = 'the file is empty'
                return prefix
            _fill(prefix, memoryview(mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)))
    except OSError as error:
        msg = f'{file}: cannot be read ({error.strerror})'
        raise BagError(msg) from error
    return prefix


def _fill(prefix: Prefix, data: memoryview) -> None:
    if data[: len(MAGIC)] != MAGIC:
        prefix.detail = 'it does not begin as an MCAP file'
        return
    position = prefix.whole_bytes = len(MAGIC)
    for opcode, content, whole in records(data[len(MAGIC) :]):
        position += 9 + len(content)
        try:
            if not whole:
                prefix.detail = f'a record of type {opcode} is cut'
                return
            if not 0 < opcode <= Opcode.DATA_END:
                prefix.detail = f'a record has the unknown type {opcode}'
                return
            prefix.take(opcode, bytes(content))
        except TEARS as error:
            prefix.detail = f'a record of type {opcode} is damaged: {" ".join(str(error).split())[:120]}'
            return
        prefix.whole_bytes = position
        if opcode == Opcode.DATA_END:
            prefix.whole_bytes = len(data)
            return
    prefix.detail = 'its end is missing'


def _topic(channel: Channel, message_type: str) -> Topic:
    """The topic of a channel, with the quality of service that it was recorded with."""
    profiles = load_yaml(channel.metadata.get('offered_qos_profiles', '')) or [{}]
    qos: Mapping[str, Any] = profiles[0] if isinstance(profiles, list) and isinstance(profiles[0], dict) else {}
    return Topic(
        name=channel.topic,
        type=message_type,
        essential=True,
        reliable=qos.get('reliability') != 'best_effort',
        latched=qos.get('durability') == 'transient_local',
        depth=int(qos.get('depth', 10)),
    )


def _custom_of(torn: Path) -> dict[str, str]:
    """The custom data in the torn bag's metadata.yaml; empty if that is missing or torn too."""
    try:
        return encode_metadata(read_metadata(torn))
    except LearnerError:
        return {}


def _stream(content: bytes) -> ReadDataStream:
    return ReadDataStream(BytesIO(content))
