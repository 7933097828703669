"""The camera as a ROS node: new images on `camera/image/compressed`, as JPEG."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import cv2
from mile_msgs.msg import Event
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage

from mile_policy_node.camera import Camera, CameraConfig, Frame
from mile_policy_node.capture import open_capture
from mile_ros.main import run_node
from mile_ros.parameters import declare_from
from mile_ros.qos import IMAGE, RECORD
from mile_ros.stamps import to_stamp

FRAME_ID = 'camera'


class CameraNode(Node):
    """Publishes the camera, from the thread that spins the node: waiting for the next image is what a spin of it mostly does."""

    def __init__(self) -> None:
        super().__init__('camera_node')
        config = declare_from(self, CameraConfig)
        self._encoding = [cv2.IMWRITE_JPEG_QUALITY, config.jpeg_quality]
        self._camera = Camera(config, open_capture, wall=self._now)
        self._source = config.source
        self._fault = self._camera.fault
        self._images = self.create_publisher(CompressedImage, 'camera/image/compressed', IMAGE)
        self._events = self.create_publisher(Event, 'event', RECORD)
        self.create_timer(1e-3, self._follow)

    def destroy_node(self) -> None:
        """Release the camera, then the node."""
        self._camera.close()
        super().destroy_node()

    def _now(self) -> float:
        return float(self.get_clock().now().nanoseconds) * 1e-9

    def _follow(self) -> None:
        frame = self._camera.step()
        if frame is not None:
            self._publish(frame)
        if self._camera.fault != self._fault:
            lost = not self._fault
            self._fault = self._camera.fault
            if not self._fault:
                self.get_logger().info(f'camera: images from {self._source}')
            else:
                self.get_logger().warning(self._fault)
            if lost:
                event = Event(type=Event.WARNING, detail=self._fault)
                event.header.stamp = to_stamp(self._now())
                self._events.publish(event)

    def _publish(self, frame: Frame) -> None:
        _, encoded = cv2.imencode('.jpg', frame.image, self._encoding)
        message = CompressedImage(format='jpeg')
        message.data = array('B', encoded.tobytes())
        message.header.stamp = to_stamp(frame.stamp)
        message.header.frame_id = FRAME_ID
        self._images.publish(message)


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until interrupted."""
    return run_node(CameraNode, args)
