"""The pad as a ROS node: `joy` at once on every change and repeated in between; an empty message when the device goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mile_msgs.msg import Event, TeleopStatus
from rclpy.node import Node
from sensor_msgs.msg import Joy

from mile_learner.config import Config, option
from mile_learner.step import Mode
from mile_ros.main import run_node
from mile_ros.parameters import declare_from
from mile_ros.qos import LATCHED, RECORD, SENSOR
from mile_teleop.pad import PadConfig
from mile_teleop.pad_device import GONE, PadDevice, PadState

RUMBLES = {Mode.HUMAN: (0.0, 0.7, 0.15), Mode.HOLD: (0.6, 0.0, 0.3), Mode.ESTOP: (1.0, 1.0, 1.0)}
"""What the operator feels on entering a mode: small motor, large motor, seconds."""


@dataclass(frozen=True)
class PadNodeConfig(Config):
    """Parameters of pad_node."""

    pad_file: str = option(doc="path of the pad's mapping, config/pad_<name>.yaml; a pad of another shape is refused")
    device: str = option('', doc='which pad: its number, or a part of its name; empty takes the first that fits')
    repeat_hz: float = option(25.0, doc='how often an unchanged state is repeated [Hz]', ge=20.0, le=50.0)
    axis_interval_s: float = option(0.005, doc='changes of axes alone are published at most this often [s]', ge=0.0, le=0.05)
    rumble: bool = option(True, doc='shake the pad on takeover, hold and e-stop, where it can')


class PadNode(Node):
    """Publishes the pad, from the thread that spins the node: waiting for SDL is what a spin of it mostly does."""

    def __init__(self) -> None:
        super().__init__('pad_node')
        config = declare_from(self, PadNodeConfig)
        pad = PadConfig.from_yaml(Path(config.pad_file))
        self._period_s = 1.0 / config.repeat_hz
        self._device = PadDevice(config.device, (pad.axes, pad.buttons), axis_interval_s=config.axis_interval_s)
        self._fault: str | None = None
        self._mode: int | None = None
        self._joy = self.create_publisher(Joy, 'joy', SENSOR)
        self._events = self.create_publisher(Event, 'event', RECORD)
        if config.rumble:
            self.create_subscription(TeleopStatus, 'teleop_status', self._on_status, LATCHED)
        self.create_timer(1e-3, self._follow)

    def destroy_node(self) -> None:
        """Let the pad go, then the node."""
        self._device.close()
        super().destroy_node()

    def _follow(self) -> None:
        """Wait for what happens next, for one period at most, and publish it."""
        changes = self._device.wait(self._period_s)
        for state in changes:
            self._publish(state)
            if not state.connected:
                self._report_loss()
        if not changes and self._device.state.connected:
            self._publish(self._device.state)
        if self._device.fault != self._fault:
            self._fault = self._device.fault
            log = self.get_logger()
            log.warning(self._fault) if self._fault else log.info(f'pad: {self._device.name!r} is connected')

    def _publish(self, state: PadState) -> None:
        message = Joy(axes=state.axes, buttons=state.buttons)
        message.header.stamp = self.get_clock().now().to_msg()
        message.header.frame_id = 'joy'
        self._joy.publish(message)

    def _report_loss(self) -> None:
        event = Event(type=Event.WARNING, detail=GONE)
        event.header.stamp = self.get_clock().now().to_msg()
        self._events.publish(event)

    def _on_status(self, status: TeleopStatus) -> None:
        entered = self._mode is not None and status.mode != self._mode
        self._mode = status.mode
        if entered and status.mode in RUMBLES:
            self._device.rumble(*RUMBLES[Mode(status.mode)])


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until interrupted."""
    return run_node(PadNode, args)
