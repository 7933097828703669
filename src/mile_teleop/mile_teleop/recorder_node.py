"""The recorder as a ROS node: one bag per episode, opened and closed by service; what is lost is told, never silently."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ament_index_python.packages import get_package_share_directory
from mile_msgs.msg import ArmState, CommandResult, Event, Step, TeleopStatus
from mile_msgs.srv import CloseBag, OpenBag
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.task import Future
from sensor_msgs.msg import CompressedImage, JointState, Joy
from std_msgs.msg import UInt32

from mile_learner.config import Config, option
from mile_ros.main import run_node
from mile_ros.parameters import declare_from
from mile_ros.qos import IMAGE, LATCHED, RECORD, SENSOR, SENSOR_RECORD
from mile_ros.stamps import to_stamp
from mile_teleop.bag_metadata import Topic
from mile_teleop.errors import BagError, RefusedError, TeleopError
from mile_teleop.message_types import load_types
from mile_teleop.recording import STEP_TYPE, Recording

if TYPE_CHECKING:
    from rclpy.event_handler import QoSMessageLostInfo

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ModuleNotFoundError:  # as it is called in Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

RECORDED: tuple[tuple[str, type[Any], QoSProfile, bool], ...] = (
    ('step', Step, RECORD, True),
    ('event', Event, RECORD, True),
    ('command_result', CommandResult, RECORD, True),
    ('teleop_status', TeleopStatus, LATCHED, True),
    ('joy', Joy, SENSOR_RECORD, False),
    ('joint_states', JointState, SENSOR_RECORD, False),
    ('arm_state', ArmState, SENSOR_RECORD, False),
    ('camera/image/compressed', CompressedImage, IMAGE, False),
)
"""Topic, type, quality of service, and whether it may never be dropped."""

SIGN_PERIOD_S = 0.2
SENSOR_WAIT_S = 0.5
"""How much longer than for everything else a bag stays open for what sensors said until the episode's end; they are published oftener."""


@dataclass(frozen=True)
class RecorderConfig(Config):
    """Parameters of recorder_node."""

    close_timeout_s: float = option(5.0, doc='how long close_bag waits for the last steps and command results [s]', gt=0.0, le=60.0)


@dataclass
class Closing:
    """A request to close the bag that waits until `steps` steps and what belongs to them are there, or until `deadline` [s, monotonic]."""

    steps: int
    deadline: float
    done: Future


class RecorderNode(Node):
    """Hands every message of an open episode to `Recording`."""

    def __init__(self) -> None:
        super().__init__('recorder_node')
        self._close_timeout_s = declare_from(self, RecorderConfig).close_timeout_s
        self._typestore = load_types(Path(get_package_share_directory('mile_msgs')) / 'msg')
        self._topics: list[Topic] = []
        self._recording: Recording | None = None
        self._closing: Closing | None = None
        self._latched: dict[str, bytes] = {}
        self._ignored_steps = 0
        self._told = 0
        self._failed = False
        self._events = self.create_publisher(Event, 'event', RECORD)
        for name, message_type, qos, essential in RECORDED:
            topic = Topic(
                name=self.resolve_topic_name(name),
                type=f'{message_type.__module__.split(".")[0]}/msg/{message_type.__name__}',
                essential=essential,
                reliable=qos.reliability == ReliabilityPolicy.RELIABLE,
                latched=qos.durability == DurabilityPolicy.TRANSIENT_LOCAL,
                depth=qos.depth,
            )
            self._topics.append(topic)
            callbacks = SubscriptionEventCallbacks(message_lost=partial(self._on_missed, topic))
            take = partial(self._on_message, topic)
            self.create_subscription(message_type, name, take, qos, raw=True, event_callbacks=callbacks)
        self.create_service(OpenBag, 'open_bag', self._on_open)
        # awaits the last messages, which arrive through another group
        self.create_service(CloseBag, 'close_bag', self._on_close, callback_group=MutuallyExclusiveCallbackGroup())
        self._signs = self.create_publisher(UInt32, 'recorded', SENSOR)
        self.create_timer(1.0, self._on_second)
        self.create_timer(SIGN_PERIOD_S, self._give_sign)
        self.create_timer(SIGN_PERIOD_S, self._go_on_closing)

    def destroy_node(self) -> None:
        """Set an episode aside that is still being recorded, then end the node."""
        if self._recording is not None:
            self.get_logger().warning(self._end(self._recording.abandon, 'the recorder was stopped'))
        super().destroy_node()

    def _on_message(self, topic: Topic, data: bytes) -> None:
        if topic.latched:
            self._latched[topic.name] = data
        belongs = self._recording is not None and self._recording.take(topic.name, data, time.time_ns())
        self._ignored_steps += topic.type == STEP_TYPE and not belongs
        if self._recording is not None and self._recording.failure and not self._failed:
            self._failed = True
            self._warn(self._recording, f'the episode {self._recording.failure}', Event.RECORDING_FAILED)
        self._go_on_closing()

    def _on_missed(self, topic: Topic, info: QoSMessageLostInfo) -> None:
        if self._recording is not None:
            self._recording.missed[topic.name] += info.total_count_change

    def _on_second(self) -> None:
        if self._recording is not None:
            self._tell_of_losses(self._recording)
        if self._ignored_steps:
            self.get_logger().warning(f'{self._ignored_steps} steps belong to no open bag and were not recorded')
            self._ignored_steps = 0

    def _tell_of_losses(self, recording: Recording) -> None:
        lost = sum(recording.lost.values())
        if lost > self._told:
            self._told = lost
            self._warn(recording, f'{lost} messages are not in the bag: {json.dumps(recording.lost)} {recording.failure}'.rstrip())

    def _give_sign(self) -> None:
        """Say that there is a recorder, and how many steps of the open bag it has; but not while the disk hangs."""
        if self._recording is None or self._recording.stalled_s < SIGN_PERIOD_S:
            self._signs.publish(UInt32(data=0 if self._recording is None else self._recording.steps))

    def _on_open(self, request: OpenBag.Request, response: OpenBag.Response) -> OpenBag.Response:
        try:
            if self._recording is not None:
                msg = f'open_bag: {self._recording.episode_id} is still being recorded; close it first'
                raise RefusedError(msg)
            if not self.count_publishers('step'):
                msg = f'open_bag: nobody publishes {self.resolve_topic_name("step")} yet; start teleop_node'
                raise RefusedError(msg)
            metadata = parse_metadata(request.metadata_json)
            self._recording = Recording(Path(request.path), request.episode_id, metadata, self._topics, self._typestore)
        except TeleopError as error:
            response.message = str(error)
            return response
        self._told, self._failed = 0, False
        for topic, data in self._latched.items():
            self._recording.take(topic, data, time.time_ns())
        response.accepted = True
        return response

    async def _on_close(self, request: CloseBag.Request, response: CloseBag.Response) -> CloseBag.Response:
        """Accepted if the bag is closed for good, be it whole or set aside; then the message says why it is not whole."""
        recording = self._recording
        if recording is None or self._closing is not None:
            response.message = 'close_bag: no bag is open' if recording is None else 'close_bag: it is being closed already'
            return response
        if request.discard:
            response.message = self._end(recording.discard)
        else:
            self._closing = Closing(request.steps, time.monotonic() + self._close_timeout_s, Future())
            self._go_on_closing()
            await self._closing.done
            self._closing = None
            response.message = self._end(recording.close, request.outcome, request.steps)
            self._tell_of_losses(recording)
        response.steps = recording.steps
        response.accepted = True
        if response.message:
            self._warn(recording, response.message)
        return response

    def _go_on_closing(self) -> None:
        """Close once everything has arrived, or has had time to."""
        closing, recording = self._closing, self._recording
        if closing is None or recording is None or closing.done.done():
            return
        whole = recording.stopped and recording.steps >= closing.steps and not recording.awaited
        if whole:
            closing.deadline = min(closing.deadline, time.monotonic() + SENSOR_WAIT_S)
        if (whole and not recording.sensors_behind) or time.monotonic() > closing.deadline:
            closing.done.set_result(None)

    def _end(self, how: Callable[..., str], *arguments: Any) -> str:
        """End the recording; empty, or what is wrong with the bag."""
        self._recording = None
        try:
            return how(*arguments)
        except BagError as error:
            return str(error)

    def _warn(self, recording: Recording, detail: str, kind: str = Event.WARNING) -> None:
        self.get_logger().warning(detail)
        message = Event(type=kind, episode_id=recording.episode_id, index=recording.steps, detail=detail)
        message.header.stamp = to_stamp(time.time())
        self._events.publish(message)


def parse_metadata(text: str) -> dict[str, Any]:
    """The request's metadata.

    Raises:
        RefusedError: it is not a JSON object.
    """
    try:
        metadata = json.loads(text or '{}')
    except ValueError as error:
        msg = f'open_bag: metadata_json is not JSON ({error})'
        raise RefusedError(msg) from error
    if not isinstance(metadata, dict):
        msg = f'open_bag: metadata_json holds {type(metadata).__name__}, expected an object'
        raise RefusedError(msg)
    return metadata


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until interrupted."""
    return run_node(RecorderNode, args)
