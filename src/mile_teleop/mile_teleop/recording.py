"""One episode being recorded: which messages belong to it, whether it is whole, and what was lost."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.typesys.store import Typestore

from mile_learner.bags import encode_metadata, seconds
from mile_teleop.bag_metadata import Topic
from mile_teleop.bag_writer import BagWriter
from mile_teleop.message_types import decode, encode

STEP_TYPE = 'mile_msgs/msg/Step'
EVENT_TYPE = 'mile_msgs/msg/Event'
RESULT_TYPE = 'mile_msgs/msg/CommandResult'


class Recording:
    """From the opening of a bag to its close.

    Args:
        path: the finished bag's folder.
        episode_id: what names another episode is not recorded: after a hang it arrives late.
        metadata: what the bag says about itself.
        topics: what is recorded; among them exactly one of steps, and one of command results.
        typestore: knows the topics' types.

    Raises:
        BagError: the bag cannot be made.
    """

    def __init__(self, path: Path, episode_id: str, metadata: Mapping[str, Any], topics: Sequence[Topic], typestore: Typestore) -> None:
        self.episode_id = episode_id
        self.steps = 0
        self._stopped_at = math.inf
        self._newest: dict[str, float] = {}
        self.missed: Counter[str] = Counter()
        """Messages that never reached this recorder, by topic."""
        self._gap = ''
        self._confirmed: set[int] = set()
        self._results: set[int] = set()
        self._metadata = {**metadata, 'episode_id': episode_id}
        self._types = {topic.name: topic.type for topic in topics}
        self._sensors = {topic.name for topic in topics if not topic.essential}
        self._typestore = typestore
        self._writer = BagWriter(path, topics, typestore, encode_metadata(self._metadata))

    def take(self, topic: str, data: bytes, received_ns: int) -> bool:
        """Record one message (CDR) that was received at `received_ns` since the epoch; whether it belongs to this episode."""
        message_type = self._types[topic]
        message = decode(self._typestore, message_type, data)
        if getattr(message, 'episode_id', '') not in ('', self.episode_id):
            return False
        if message_type == STEP_TYPE:
            if message.index != self.steps:
                self._gap = self._gap or f'step {message.index} came where step {self.steps} was expected'
            self.steps += 1
            if np.isfinite(message.sent_target).all():
                self._confirmed.add(message.index)
        elif message_type == RESULT_TYPE:
            self._results.add(message.index)
        elif message_type == EVENT_TYPE and message.type == 'episode_stopped':
            self._stopped_at = seconds(message.header.stamp)
        elif topic in self._sensors:
            self._newest[topic] = seconds(message.header.stamp)
        self._writer.write(topic, encode(self._typestore, message_type, message), received_ns)
        return True

    @property
    def stopped(self) -> bool:
        """Whether the episode's end was recorded."""
        return math.isfinite(self._stopped_at)

    @property
    def sensors_behind(self) -> bool:
        """Whether a sensor that was heard has said nothing of after the episode's end: what it said before may still be on its way."""
        return any(newest < self._stopped_at for newest in self._newest.values())

    @property
    def awaited(self) -> int:
        """How many command results are still to come: steps that are here say that the arm gave them."""
        return len(self._confirmed - self._results)

    @property
    def lost(self) -> dict[str, int]:
        """Messages that are not in the bag though they were sent, by topic."""
        return dict(self._writer.lost + self.missed)

    @property
    def failure(self) -> str:
        """Why nothing is recorded any more; empty while all is well."""
        return self._writer.failure

    @property
    def stalled_s(self) -> float:
        """For how long the disk has been busy with one and the same thing [s]."""
        return self._writer.stalled_s

    def close(self, outcome: str, steps: int) -> str:
        """Complete the bag of an episode of `steps` steps; empty, or why it is not whole and was set aside.

        Raises:
            BagError: the disk failed.
        """
        if self.awaited:
            (topic,) = (name for name, kind in self._types.items() if kind == RESULT_TYPE)
            self.missed[topic] = max(self.missed[topic], self.awaited)
        if self.steps != steps:
            self._gap = self._gap or f'got {self.steps} steps, expected {steps}'
        if self._gap:
            return self.abandon(self._gap)
        success = outcome == 'success'
        self._writer.close(encode_metadata({**self._metadata, 'outcome': outcome, 'success': success, 'steps': steps, 'lost': self.lost}))
        return ''

    def abandon(self, reason: str) -> str:
        """Set the bag aside as not whole, and say so.

        Raises:
            BagError: the disk failed.
        """
        folder = self._writer.leave(encode_metadata({**self._metadata, 'torn': reason, 'lost': self.lost}))
        return f'{self.episode_id} is not whole: {reason}; what was recorded is in {folder}'

    def discard(self) -> str:
        """Delete the bag."""
        self._writer.discard()
        return ''
