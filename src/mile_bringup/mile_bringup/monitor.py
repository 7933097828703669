"""Watches a deployment from outside: which nodes are ready, and how far the session is."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.task import Future
from std_msgs.msg import String
from std_srvs.srv import Trigger

from mile_bringup.graph import NodeSpec
from mile_bringup.processes import enclave
from mile_ros import qos


class Monitor:
    """A ROS node of its own in the deployment's domain; a context manager."""

    def __init__(self, *, domain: int, namespace: str) -> None:
        self.status: dict[str, Any] = {}
        """The newest session status; empty until the session reports."""
        self._context = rclpy.Context()
        self._context.init(args=['--ros-args', '--enclave', enclave(namespace, 'monitor')], domain_id=domain)
        self._node = rclpy.create_node(
            'monitor', namespace=namespace, context=self._context, enable_rosout=False, start_parameter_services=False
        )
        self._node.create_subscription(String, 'session_status', self._on_status, qos.LATCHED)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)

    def spin(self, seconds: float) -> None:
        """Take in one message, if one comes within this time."""
        self._executor.spin_once(seconds)

    def not_ready(self, nodes: Sequence[NodeSpec]) -> list[NodeSpec]:
        """The nodes that do not offer all their services yet."""
        offered = {name for name, _ in self._node.get_service_names_and_types()}
        return [node for node in nodes if not {f'/{node.namespace}/{service}' for service in node.services} <= offered]

    def strangers(self, nodes: Sequence[NodeSpec], seconds: float) -> list[str]:
        """Names of nodes in the domain, before these are started, that are called as they are; waits at most so long [s]."""
        names = {(node.name, f'/{node.namespace}') for node in nodes}
        deadline = time.monotonic() + seconds
        while not (found := names.intersection(self._node.get_node_names_and_namespaces())) and time.monotonic() < deadline:
            self.spin(0.1)
        return sorted(name for name, _ in found)

    def trigger(self, service: str, seconds: float) -> Trigger.Response | None:
        """What a service of the deployment answered; None if nobody did within this time [s]."""
        client, deadline = self._node.create_client(Trigger, service), time.monotonic() + seconds
        answer: Future | None = None
        while time.monotonic() < deadline and not (answer is not None and answer.done()):
            if answer is None and client.service_is_ready():
                answer = client.call_async(Trigger.Request())
            self.spin(0.1)
        return answer.result() if answer is not None else None

    def _on_status(self, message: String) -> None:
        self.status = json.loads(message.data)

    def __enter__(self) -> Monitor:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._executor.shutdown()
        self._node.destroy_node()
        self._context.try_shutdown()
