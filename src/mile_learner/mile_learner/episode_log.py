"""Everything a recorded episode says about who did what when: its steps, and the messages around them. Needs no ROS."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mile_learner.bags import STEP_TYPE, EpisodeRecord, read_messages, read_metadata, seconds, to_step
from mile_learner.errors import LearnerError

EVENT_TYPE = 'mile_msgs/msg/Event'
RESULT_TYPE = 'mile_msgs/msg/CommandResult'
ARM_TYPE = 'mile_msgs/msg/ArmState'
PAD_TYPE = 'sensor_msgs/msg/Joy'


@dataclass(frozen=True)
class Event:
    """Something a person or a node did; fields as in mile_msgs/Event, times in [s] since the epoch.

    Attributes:
        logged: when the recorder received it.
        stamp: when it happened.
    """

    logged: float
    stamp: float
    type: str
    episode_id: str
    index: int
    detail: str


@dataclass(frozen=True)
class CommandResult:
    """What the safety gate made of a command; fields as in mile_msgs/CommandResult, times in [s] since the epoch."""

    logged: float
    stamp: float
    episode_id: str
    index: int
    source: int
    accepted: bool
    sent_target: tuple[float, ...]
    detail: str


@dataclass(frozen=True)
class PadState:
    """One message of the pad, times in [s] since the epoch."""

    logged: float
    stamp: float
    axes: tuple[float, ...]
    buttons: tuple[int, ...]


@dataclass(frozen=True)
class ArmSign:
    """One sign of life of the arm, times in [s] since the epoch."""

    logged: float
    stamp: float
    ready: bool


@dataclass(frozen=True)
class EpisodeLog:
    """One bag. Every tuple is in the order of recording."""

    record: EpisodeRecord
    events: tuple[Event, ...]
    results: tuple[CommandResult, ...]
    pad: tuple[PadState, ...]
    arm: tuple[ArmSign, ...]
    begin: float
    """When the first message was received [s]."""


def read_log(path: Path) -> EpisodeLog:
    """Read one bag, whole or salvaged.

    Raises:
        LearnerError: no bag, a torn bag, or not exactly one topic of steps.
    """
    metadata = read_metadata(path)
    read: dict[str, list[tuple[float, Any]]] = defaultdict(list)
    for kind, logged, message in read_messages(path, (STEP_TYPE, EVENT_TYPE, RESULT_TYPE, ARM_TYPE, PAD_TYPE)):
        read[kind].append((logged, message))
    try:
        return _log(path, metadata, read)
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        msg = f'{path}: holds messages that cannot be understood ({" ".join(str(error).split())[:160]})'
        raise LearnerError(msg) from error


def _log(path: Path, metadata: Mapping[str, Any], read: Mapping[str, list[tuple[float, Any]]]) -> EpisodeLog:
    return EpisodeLog(
        record=EpisodeRecord(path, metadata, tuple(to_step(message) for _, message in read[STEP_TYPE])),
        events=tuple(Event(at, seconds(m.header.stamp), m.type, m.episode_id, int(m.index), m.detail) for at, m in read[EVENT_TYPE]),
        results=tuple(_result(at, m) for at, m in read[RESULT_TYPE]),
        pad=tuple(PadState(at, seconds(m.header.stamp), tuple(m.axes.tolist()), tuple(m.buttons.tolist())) for at, m in read[PAD_TYPE]),
        arm=tuple(ArmSign(at, seconds(m.header.stamp), bool(m.ready)) for at, m in read[ARM_TYPE]),
        begin=min((messages[0][0] for messages in read.values() if messages), default=0.0),
    )


def _result(logged: float, message: Any) -> CommandResult:
    return CommandResult(
        logged=logged,
        stamp=seconds(message.header.stamp),
        episode_id=message.episode_id,
        index=int(message.index),
        source=int(message.source),
        accepted=bool(message.accepted),
        sent_target=tuple(float(value) for value in message.sent_target),
        detail=message.detail,
    )
