"""A fake of the vendor's module: the node class that its API is built on, and nothing that spins or shuts down."""

from __future__ import annotations

from typing import Any

import rclpy
from rclpy.node import Node
from rclpy.task import Future


class InterbotixRobotNode(Node):
    """As the vendor's: a node that can wait for a future by spinning itself."""

    def __init__(self, node_name: str = 'interbotix_robot_manipulation', namespace: str | None = None, **kwargs: Any) -> None:
        super().__init__(node_name, namespace=namespace, **kwargs)

    def wait_until_future_complete(self, future: Future, timeout_sec: float | None = None) -> None:
        """Block until `future` is done, as the vendor's does before its `robot_startup`."""
        rclpy.spin_until_future_complete(self, future, timeout_sec=timeout_sec)
