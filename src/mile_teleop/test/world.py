"""Arbiter and recorder as processes on real DDS, and the other ends of their topics."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rclpy
from mile_msgs.msg import ArmState, Command, CommandResult, Event, PolicyOutput, Step, TeleopStatus, Tick
from mile_msgs.srv import OpenBag, StartEpisode
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import JointState, Joy
from std_msgs.msg import UInt32

from mile_learner.step import Mode
from mile_ros.qos import COMMAND, LATCHED, RECORD, SENSOR, TURN
from mile_ros.stamps import to_stamp
from mile_teleop.pad import Button

from .rig import MAPPING

PATIENCE_S = 60.0
ENVIRON = {'ROS_DOMAIN_ID': '61', 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST', 'ROS_PYTHON_CHECK_FIELDS': '1', 'PYTHONFAULTHANDLER': '1'}


def command(node: str) -> list[str]:
    """Runs a node."""
    return [sys.executable, '-c', f'import sys; from mile_teleop.{node} import main; sys.exit(main())']


class World:
    """Plays pad, policy, arm and session; keeps everything it hears, with the order in which it came."""

    def __init__(self, *nodes: tuple[str, list[str]]) -> None:
        self._processes = [subprocess.Popen([*command(node), '--ros-args', '-r', '__ns:=/mile', *arguments]) for node, arguments in nodes]
        self._names = [node for node, _ in nodes]
        self._context = Context()
        self._context.init(domain_id=int(ENVIRON['ROS_DOMAIN_ID']))
        self.node = rclpy.create_node('world', namespace='mile', context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self.heard: list[Any] = []
        for kind, topic, qos in (
            (Tick, 'tick', TURN),
            (Command, 'command', COMMAND),
            (Step, 'step', RECORD),
            (Event, 'event', RECORD),
            (TeleopStatus, 'teleop_status', LATCHED),
        ):
            self.node.create_subscription(kind, topic, self._hear, qos)
        self._joy = self.node.create_publisher(Joy, 'joy', SENSOR)
        self._answers = self.node.create_publisher(PolicyOutput, 'policy_output', TURN)
        self._results = self.node.create_publisher(CommandResult, 'command_result', RECORD)
        self._states = self.node.create_publisher(ArmState, 'arm_state', SENSOR)
        self._joints = self.node.create_publisher(JointState, 'joint_states', SENSOR)
        self._recorded = self.node.create_publisher(UInt32, 'recorded', SENSOR)
        self.policy_alive = True
        self.pressed: list[float] = []
        self.pad: tuple[tuple[Button, ...], tuple[float, float, float]] = ((), (0.0, 0.0, 0.0))
        self.node.create_timer(0.04, self._live)

    def pid(self, node: str) -> int:
        return self._processes[self._names.index(node)].pid

    def close(self) -> None:
        """Stop the nodes; one that does not end is made to say where it hangs."""
        for process in self._processes:
            process.send_signal(signal.SIGINT)
        try:
            codes = [process.wait(timeout=PATIENCE_S) for process in self._processes]
        except subprocess.TimeoutExpired:
            for process in self._processes:
                process.send_signal(signal.SIGABRT)
            raise
        self.node.destroy_node()
        self._context.shutdown()
        assert codes == [0] * len(codes)

    def _live(self) -> None:
        """Arm, joints, recorder and pad say that they are there."""
        now = to_stamp(time.time())
        state = ArmState(ready=True, commanded_target=[0.3, 0.0, 0.1, 0.022])
        state.header.stamp = now
        self._states.publish(state)
        joints = JointState(name=['waist'], position=[0.5])
        joints.header.stamp = now
        self._joints.publish(joints)
        self._recorded.publish(UInt32())
        self._press()

    def _press(self) -> None:
        held, motion = self.pad
        axes, buttons = MAPPING.press((*motion, 0.0), held=held)
        joy = Joy(axes=axes, buttons=buttons)
        self.pressed.append(time.time())
        joy.header.stamp = to_stamp(self.pressed[-1])
        self._joy.publish(joy)

    def press(self, *held: Button, motion: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> None:
        self.pad = (held, motion)
        self._press()

    def is_heard(self) -> bool:
        """Whether arbiter and recorder have found the pad."""
        return bool(self._joy.get_subscription_count() >= len(self._names))

    def _hear(self, message: Any) -> None:
        self.heard.append(message)
        if isinstance(message, Tick) and self.policy_alive:
            answer = PolicyOutput(
                episode_id=message.episode_id,
                index=message.index,
                observation=[1.0, 2.0, float(message.index)],
                action=[0.1, 0.2, 0.3, -1.0],
                valid=True,
                intervention_probability=0.25,
                policy_version='v000',
                inference_ms=1.0,
            )
            answer.header.stamp = message.header.stamp
            self._answers.publish(answer)
        elif isinstance(message, Command):
            result = CommandResult(
                episode_id=message.episode_id,
                index=message.index,
                source=message.source,
                accepted=True,
                sent_target=[0.3, 0.0, 0.1, 0.022],
            )
            self._results.publish(result)

    def all(self, kind: type[Any]) -> list[Any]:
        return [message for message in self.heard if isinstance(message, kind)]

    def until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f'{what}; heard at last: {self.heard[-5:]}'
            self._executor.spin_once(timeout_sec=0.1)

    def until_mode(self, mode: Mode) -> None:
        self.until(lambda: bool(self.all(TeleopStatus)) and self.all(TeleopStatus)[-1].mode == mode, f'mode {mode.name}')

    def run(self, steps: int) -> None:
        """Let this many more steps happen."""
        wanted = len(self.all(Step)) + steps
        self.until(lambda: len(self.all(Step)) >= wanted, f'{steps} steps')

    def call(self, kind: type[Any], name: str, **request: Any) -> Any:
        client = self.node.create_client(kind, name)
        self.until(client.service_is_ready, f'service {name}')
        future = client.call_async(kind.Request(**request))
        self.until(future.done, f'answer of {name}')
        self.node.destroy_client(client)
        return future.result()

    def open(self, path: Path, episode_id: str, **metadata: Any) -> None:
        """As a session does: again until the recorder hears the arbiter."""
        answers: list[Any] = []

        def accepted() -> bool:
            request = {'path': str(path), 'episode_id': episode_id, 'metadata_json': json.dumps(metadata)}
            answers.append(self.call(OpenBag, 'open_bag', **request))
            return bool(answers[-1].accepted)

        self.until(accepted, 'an open bag')

    def start(self, episode_id: str) -> None:
        self.call(StartEpisode, 'start_episode', episode_id=episode_id)
        self.until_mode(Mode.AUTONOMOUS)
