"""The node graph of a deployment, as real processes, with this process at the pad and on the links that are to be broken.

What stands between two nodes here is a fake of a link: it passes every message on as it is, until it is told to spoil or lose them.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from mile_msgs.msg import PolicyOutput
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage, JointState, Joy

from mile_bringup import graph
from mile_bringup.deployment import Deployment, config_file
from mile_bringup.errors import BringupError
from mile_bringup.faults.witness import Witness
from mile_bringup.isolation import claim_domain
from mile_bringup.processes import node_command, node_environment
from mile_bringup.supervisor import Command, Supervisor
from mile_learner.run_folder import Run
from mile_learner.step import Mode
from mile_ros.qos import IMAGE, SENSOR, TURN
from mile_ros.stamps import to_stamp
from mile_teleop.pad import Button, PadConfig, PadMapping

READY_S = 240.0
CHANGE_S = 30.0
PAD_RATE_HZ = 50.0
FLOOD_PER_MESSAGE = 20
"""So many messages instead of one are 1 kHz."""
TRUE = '_true'
"""What a broken link's topic is called before the fault."""
NOTHING: Mapping[str, Mapping[str, Any]] = MappingProxyType({})


class Link(NamedTuple):
    """What a node publishes, and this process may spoil before it arrives."""

    node: str
    topic: str
    kind: type[Any]
    qos: QoSProfile


LINKS = (
    Link('policy_node', 'policy_output', PolicyOutput, TURN),
    Link('sim_node', 'joint_states', JointState, SENSOR),
    Link('sim_node', 'camera/image/compressed', CompressedImage, IMAGE),
)
ABSENT = ('operator_node', 'learner_node')
"""Nodes of the graph that are not started: this process is at the pad, and nothing is trained."""


class FakeLink:
    """Passes the messages of one topic on; `spoil` may change each, or lose it by returning None."""

    def __init__(self, node: Node, link: Link) -> None:
        self.spoil: Callable[[Any], Any] | None = None
        self._publisher = node.create_publisher(link.kind, link.topic, link.qos)
        node.create_subscription(link.kind, link.topic + TRUE, self._pass, link.qos)

    def _pass(self, message: Any) -> None:
        passed = message if self.spoil is None else self.spoil(message)
        if passed is not None:
            self._publisher.publish(passed)


class FakePad:
    """A pad with a trembling thumb, which can be unplugged, die, or run wild."""

    def __init__(self, node: Node, mapping: PadMapping) -> None:
        self.takeover = False
        self.messages_per_tick = 1
        self.frozen = self.gone = False
        self._pressed: set[Button] = set()
        self._mapping = mapping
        self._random = random.Random(0)
        self._last = Joy()
        self._publisher = node.create_publisher(Joy, 'joy', SENSOR)
        node.create_timer(1.0 / PAD_RATE_HZ, self._speak)

    def click(self, button: Button) -> None:
        """Press a button for one message."""
        self._pressed = {button}

    def _speak(self) -> None:
        for _ in range(self.messages_per_tick):
            if not self.frozen:
                sway = [self._random.uniform(0.2, 0.3) * self.takeover for _ in range(3)]
                axes, buttons = self._mapping.press((*sway, 0.0), takeover=self.takeover, held=self._pressed)
                self._last = Joy() if self.gone else Joy(axes=axes, buttons=buttons)
            self._last.header.stamp = to_stamp(time.time())
            self._publisher.publish(self._last)
        self._pressed = set()


class Live:
    """A running deployment to break."""

    def __init__(self, run: Run, deployment: Deployment, supervisor: Supervisor, witness: Witness, links: Sequence[Link]) -> None:
        self.run = run
        self.witness = witness
        self.period_s = 1.0 / (deployment.resolved_task().rate_hz * deployment.speed)
        self.pad = FakePad(witness.node, PadMapping(PadConfig.from_yaml(config_file('pad', deployment.pad))))
        self.links = {link.topic: FakeLink(witness.node, link) for link in links}
        self.pids = supervisor.pids()

    def begin(self, *, takeover: bool) -> str:
        """Wait for an episode in which the policy drives, or take over in it; the episode."""
        self.pad.takeover = False
        self.expect(Mode.AUTONOMOUS, READY_S)
        if takeover:
            self.pad.takeover = True
            self.expect(Mode.HUMAN)
        self.witness.wait(1.0)
        return self.witness.episode_id

    def expect(self, mode: Mode, seconds: float = CHANGE_S) -> None:
        """Wait for a mode."""
        self.witness.until(lambda: self.witness.mode is mode, f'mode {mode.name.lower()}', seconds)

    def end(self) -> Path:
        """End the episode with the pad's button for failure, and wait for the next; where its bag is, if it is whole."""
        episode, witness = self.witness.episode_id, self.witness
        self.pad.takeover = False
        witness.wait(0.2)
        self.pad.click(Button.FAILURE)
        witness.until(lambda: witness.episode_id != episode, 'the episode to end', CHANGE_S)
        witness.until(lambda: witness.episode_id, 'the next episode', CHANGE_S)
        return self.run.path / episode.rpartition('/')[0]


@contextmanager
def live(
    run: Run,
    deployment: Deployment,
    *,
    links: Sequence[Link] = LINKS,
    absent: Sequence[str] = ABSENT,
    parameters: Mapping[str, Mapping[str, Any]] = NOTHING,
    beside: Sequence[Command] = (),
) -> Iterator[Live]:
    """Start the graph on a run that has a policy.

    Args:
        run, deployment: what to run.
        links: those that can be broken.
        absent: nodes that are not started.
        parameters: of nodes, instead of the deployment's.
        beside: further processes.

    Raises:
        BringupError: a node ended, or nothing drives.
    """
    log_dir = run.path / 'log'
    nodes = [node for node in graph.nodes(deployment, run.path) if node.name not in absent]
    nodes = [
        replace(
            node,
            parameters={**node.parameters, **parameters.get(node.name, {})},
            remappings=(*node.remappings, *((link.topic, link.topic + TRUE) for link in links if link.node == node.name)),
        )
        for node in nodes
    ]
    claim = claim_domain(os.environ, deployment.namespace)
    environment = node_environment(os.environ, domain=claim.domain, log_dir=log_dir)
    commands = [*(node_command(node, run.path / 'config') for node in nodes), *beside]
    supervisor = Supervisor(commands, log_dir=log_dir, environment=environment)

    def alive() -> None:
        if ended := supervisor.ended():
            msg = f'{ended.name} ended ({ended.how}): {supervisor.tail(ended.name, 3)}'
            raise BringupError(msg)

    with claim.socket, supervisor, Witness(domain=claim.domain, namespace=deployment.namespace, alive=alive) as witness:
        yield Live(run, deployment, supervisor, witness, links)
