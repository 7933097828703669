"""Listens to a running deployment from outside, and keeps what came when; presses the pad where nobody else does."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import rclpy
from mile_msgs.msg import Command, Event, Step, TeleopStatus
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from mile_bringup.errors import BringupError
from mile_learner.step import Mode, Source
from mile_ros.qos import COMMAND, LATCHED, RECORD

TELLING = (Event.HOLD, Event.WARNING, Event.ESTOP)


class Witness:
    """A ROS node of its own in the deployment's domain; a context manager. Times are monotonic [s].

    Args:
        domain: ROS domain of the deployment.
        namespace: of its nodes.
        alive: called while waiting; raises if it is pointless to wait on.
    """

    def __init__(self, *, domain: int, namespace: str, alive: Callable[[], object]) -> None:
        self.commands: list[tuple[float, Source]] = []
        """What the arbiter commanded, and when."""
        self.targets: list[float] = []
        """When the motors got a target."""
        self.steps: dict[str, int] = {}
        """How many steps of each episode were published."""
        self.told: list[tuple[float, str]] = []
        """What a person at the robot is told, and when."""
        self.mode = Mode.IDLE
        self.episode_id = ''
        self.session: dict[str, Any] = {}
        """The session's newest status."""
        self._alive = alive
        self._context = Context()
        self._context.init(domain_id=domain)
        self.node = rclpy.create_node('witness', namespace=namespace, context=self._context, enable_rosout=False)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self.node.create_subscription(Command, 'command', self._on_command, COMMAND)
        self.node.create_subscription(JointState, 'sim/joint_target', lambda _: self.targets.append(time.monotonic()), COMMAND)
        self.node.create_subscription(Step, 'step', self._on_step, RECORD)
        self.node.create_subscription(TeleopStatus, 'teleop_status', self._on_status, LATCHED)
        self.node.create_subscription(Event, 'event', self._on_event, RECORD)
        self.node.create_subscription(String, 'session_status', self._on_session, LATCHED)

    def wait(self, seconds: float) -> None:
        """Listen for a while [s]."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=min(left, 0.05))

    def until(self, condition: Callable[[], object], what: str, seconds: float) -> None:
        """Listen until something holds.

        Raises:
            BringupError: it does not hold after so many seconds, or `alive` says that it never will.
        """
        end = time.monotonic() + seconds
        while not condition():
            self._alive()
            if time.monotonic() > end:
                heard = f'mode {self.mode.name}, steps {self.steps}, {len(self.commands)} commands'
                msg = f'faults: waited {seconds:g} s for {what}; heard: {heard}; the session says {json.dumps(self.session)}'
                raise BringupError(msg)
            self._executor.spin_once(timeout_sec=0.02)

    def last_move(self, after: float, before: float) -> float:
        """When the motors got their last target between two times; the former if they got none."""
        return max((at for at in self.targets if after < at < before), default=after)

    def policy_commands(self, after: float, before: float) -> int:
        """How often the policy commanded between two times."""
        return sum(after < at < before and source is Source.POLICY for at, source in self.commands)

    def said(self, after: float) -> str:
        """The first thing a person was told after a time; empty if nothing."""
        return next((text for at, text in self.told if at > after), '')

    def _on_command(self, message: Command) -> None:
        self.commands.append((time.monotonic(), Source(message.source)))

    def _on_step(self, message: Step) -> None:
        self.steps[message.episode_id] = message.index + 1

    def _on_status(self, message: TeleopStatus) -> None:
        self.mode, self.episode_id = Mode(message.mode), message.episode_id

    def _on_event(self, message: Event) -> None:
        if message.type in TELLING:
            self.told.append((time.monotonic(), f'{message.type}: {message.detail}'))

    def _on_session(self, message: String) -> None:
        self.session = json.loads(message.data)

    def __enter__(self) -> Witness:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        self._context.try_shutdown()
