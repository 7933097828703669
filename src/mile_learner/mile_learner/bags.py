"""Reading recorded episodes: one rosbag2 (MCAP) folder -> the steps and the episode's metadata. Needs no ROS.

The schema of mile_msgs/Step is taken from the bag itself. The episode's metadata is the bag's custom metadata (in metadata.yaml), a mapping
of text to text: text stands for itself, everything else is written as JSON (`encode_metadata`, `decode_metadata`).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader, ReaderError
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, TypesysError, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from mile_learner.bag_guard import check_definition, check_files
from mile_learner.errors import LearnerError
from mile_learner.files import sha256_of
from mile_learner.plain_text import load_json, load_yaml
from mile_learner.step import Gate, Mode, Source, Step

STEP_TYPE = 'mile_msgs/msg/Step'
METADATA_FILE = 'metadata.yaml'
UNNAMED = 'unnamed'
"""Who held the pad in an episode that does not say it."""
DAMAGE = (
    ReaderError,
    SerdeError,
    TypesysError,
    OSError,
    struct.error,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    OverflowError,
    SyntaxError,
    RecursionError,
    MemoryError,
)
"""What `rosbags` raises on files that are damaged, or meant to do damage."""


@dataclass(frozen=True)
class EpisodeRecord:
    """One recorded episode.

    Attributes:
        path: the bag's folder.
        metadata: episode_id, task, outcome, observation_layout, ... as the session wrote them.
        steps: in the order of their recording.
    """

    path: Path
    metadata: Mapping[str, Any]
    steps: tuple[Step, ...]

    @property
    def outcome(self) -> str:
        """success, failure, timeout, discarded or aborted; empty if the bag does not say."""
        return str(self.metadata.get('outcome', ''))

    @property
    def operator_name(self) -> str:
        """The person who held the pad; UNNAMED if the bag does not say. (`operator` is what pressed it: sim, joystick, imported.)"""
        return str(self.metadata.get('operator_name') or UNNAMED)

    def column(self, name: str) -> np.ndarray[Any, Any]:
        """One field of every step as an array, (T,) or (T, width)."""
        return np.array([getattr(step, name) for step in self.steps])


def encode_metadata(metadata: Mapping[str, Any]) -> dict[str, str]:
    """As a bag's custom data, which is text by text; the inverse of `decode_metadata` unless a text begins with a bracket or brace."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()}


def decode_metadata(custom_data: Mapping[str, str]) -> dict[str, Any]:
    """From a bag's custom data: lists and mappings are parsed, numbers and words stay text."""
    return {key: load_json(value) if value[:1] in ('[', '{') else value for key, value in custom_data.items()}


def read_metadata(path: Path) -> dict[str, Any]:
    """The custom metadata of one whole bag.

    Raises:
        LearnerError: no bag, a torn bag, or metadata that is not rosbag2's.
    """
    information = _information(path)
    try:
        return decode_metadata(information.get('custom_data') or {})
    except (ValueError, TypeError, AttributeError) as error:
        msg = f'{path / METADATA_FILE}: holds custom data that is not text by text ({" ".join(str(error).split())[:120]})'
        raise LearnerError(msg) from error


def _information(path: Path) -> dict[str, Any]:
    """The content of metadata.yaml; its files are checked before a reader opens them."""
    file = path / METADATA_FILE
    try:
        information = load_yaml(file.read_text(encoding='utf-8'))['rosbag2_bagfile_information']
    except OSError as error:
        msg = f'{path}: is not a whole bag ({METADATA_FILE}: {error.strerror}); give the folder of a finished episode'
        raise LearnerError(msg) from error
    except (ValueError, KeyError, TypeError) as error:
        msg = f'{file}: is not the metadata of a rosbag2 ({" ".join(str(error).split())[:120]})'
        raise LearnerError(msg) from error
    if not isinstance(information, dict):
        msg = f'{file}: is not the metadata of a rosbag2 (got {type(information).__name__}, expected a mapping)'
        raise LearnerError(msg)
    return information


def read_episode(path: Path) -> EpisodeRecord:
    """Read one whole episode.

    Raises:
        LearnerError: no bag, a torn bag, or not exactly one topic of steps.
    """
    return EpisodeRecord(path, read_metadata(path), tuple(to_step(message) for _, _, message in read_messages(path, (STEP_TYPE,))))


def read_messages(path: Path, wanted: Collection[str]) -> Iterator[tuple[str, float, Any]]:
    """The messages of the wanted types, in the order of their recording, as (type, received [s since the epoch], message).

    Raises:
        LearnerError: a torn bag, or not exactly one topic of steps.
    """
    check_files(path, _information(path))
    try:
        with Reader(path) as reader:
            steps = [connection for connection in reader.connections if connection.msgtype == STEP_TYPE]
            if len(steps) != 1:
                msg = f'{path}: got {len(steps)} topics of {STEP_TYPE}, expected 1; is it an episode recorded by mile?'
                raise LearnerError(msg)
            chosen = [connection for connection in reader.connections if connection.msgtype in wanted]
            typestore = _types_of(chosen)
            for connection, received_ns, data in reader.messages(chosen):
                yield connection.msgtype, received_ns * 1e-9, typestore.deserialize_cdr(data, connection.msgtype)
    except LearnerError:
        raise
    except DAMAGE as error:
        msg = f'{path}: cannot be read as a bag ({" ".join(str(error).split())[:160]})'
        raise LearnerError(msg) from error


def content_hash(path: Path) -> str:
    """SHA-256 of the bag's recorded data (its storage file, without metadata.yaml)."""
    files = sorted(path.glob('*.mcap')) + sorted(path.glob('*.db3'))
    if len(files) != 1:
        msg = f'{path}: got {len(files)} storage files, expected 1'
        raise LearnerError(msg)
    return sha256_of(files[0])


def _types_of(connections: Collection[Connection]) -> Typestore:
    """The standard types, and those that the bag defines."""
    typestore = get_typestore(Stores.ROS2_JAZZY)
    for connection in connections:
        check_definition(connection.msgtype, connection.msgdef.data)
        types = get_types_from_msg(connection.msgdef.data, connection.msgtype)
        typestore.register({name: definition for name, definition in types.items() if name not in typestore.types})
    return typestore


def to_step(message: Any) -> Step:
    """One step from its message (mile_msgs/Step).

    Raises:
        LearnerError: it is no step: a field is missing, or a value has no meaning.
    """
    try:
        return _step(message)
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        msg = f'got a step that cannot be understood ({" ".join(str(error).split())[:120]}); was it recorded by another version of mile?'
        raise LearnerError(msg) from error


def _step(message: Any) -> Step:
    return Step(
        stamp=seconds(message.header.stamp),
        episode_id=message.episode_id,
        index=int(message.index),
        observation=np.asarray(message.observation, dtype=np.float32),
        observation_stamp=seconds(message.observation_stamp),
        image_stamp=seconds(message.image_stamp),
        robot_action=np.asarray(message.robot_action, dtype=np.float32),
        robot_action_valid=bool(message.robot_action_valid),
        human_action=np.asarray(message.human_action, dtype=np.float32),
        intervening=bool(message.intervening),
        executed_action=np.asarray(message.executed_action, dtype=np.float32),
        sent_target=np.asarray(message.sent_target, dtype=np.float32),
        source=Source(message.source),
        mode=Mode(message.mode),
        gate=Gate(message.gate),
        intervention_probability=float(message.intervention_probability),
        policy_version=message.policy_version,
        inference_ms=float(message.inference_ms),
        tick_late_ms=float(message.tick_late_ms),
    )


def seconds(stamp: Any) -> float:
    """A time message in seconds since the epoch."""
    return float(stamp.sec) + float(stamp.nanosec) * 1e-9
