"""metadata.yaml of a rosbag2, version 9, as `ros2 bag` and `rosbags` read it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

UNLIMITED = {'sec': 9223372036, 'nsec': 854775807}


@dataclass(frozen=True)
class Topic:
    """One recorded topic.

    Attributes:
        name: fully qualified.
        type: such as mile_msgs/msg/Step.
        essential: never dropped, however slow the disk.
        reliable: quality of service offered to a player.
        latched: the same.
        depth: the same.
    """

    name: str
    type: str
    essential: bool = False
    reliable: bool = True
    latched: bool = False
    depth: int = 10

    @property
    def qos(self) -> dict[str, Any]:
        """As rosbag2 writes an offered quality of service."""
        return {
            'history': 'keep_last',
            'depth': self.depth,
            'reliability': 'reliable' if self.reliable else 'best_effort',
            'durability': 'transient_local' if self.latched else 'volatile',
            'deadline': UNLIMITED,
            'lifespan': UNLIMITED,
            'liveliness': 'automatic',
            'liveliness_lease_duration': UNLIMITED,
            'avoid_ros_namespace_conventions': False,
        }


@dataclass(frozen=True)
class Extent:
    """How much a bag holds: messages per topic, and when they were received [ns since the epoch]."""

    counts: Mapping[str, int]
    start_ns: int = 0
    end_ns: int = 0


def bag_metadata(file: str, topics: Sequence[Topic], hashes: Mapping[str, str], extent: Extent, custom: Mapping[str, str]) -> str:
    """The file's content.

    Args:
        file: name of the bag's only storage file.
        topics: in the order of their channels.
        hashes: type hash (RIHS01) by message type.
        extent: what was written.
        custom: the bag's custom data.
    """
    span = {
        'starting_time': {'nanoseconds_since_epoch': extent.start_ns},
        'duration': {'nanoseconds': extent.end_ns - extent.start_ns},
        'message_count': sum(extent.counts.values()),
    }
    information = {
        'version': 9,
        'storage_identifier': 'mcap',
        'relative_file_paths': [file],
        **span,
        'topics_with_message_count': [
            {
                'topic_metadata': {
                    'name': topic.name,
                    'type': topic.type,
                    'serialization_format': 'cdr',
                    'offered_qos_profiles': [topic.qos],
                    'type_description_hash': hashes[topic.type],
                },
                'message_count': extent.counts.get(topic.name, 0),
            }
            for topic in topics
        ],
        'compression_format': '',
        'compression_mode': '',
        'files': [{'path': file, **span}],
        'custom_data': dict(custom),
        'ros_distro': os.environ.get('ROS_DISTRO', 'jazzy'),
    }
    return to_yaml({'rosbag2_bagfile_information': information})


class _PlainDumper(yaml.SafeDumper):
    """Without anchors, which other readers need not understand."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def to_yaml(value: Any) -> str:
    """Block style, one line per value."""
    return yaml.dump(value, Dumper=_PlainDumper, sort_keys=False, width=1_000_000, allow_unicode=True)
