"""sim_node and operator_node as processes of their own, heard over DDS."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import rclpy
import torch
from mile_msgs.msg import ArmState, Scene, Step, TeleopStatus
from mile_msgs.srv import ResetArm
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, JointState, Joy

from mile_learner.policy import Architecture, GaussianPolicy
from mile_policy_node.kinematics import Kinematics
from mile_ros.qos import COMMAND, IMAGE, LATCHED, RECORD, SENSOR
from mile_sim.camera import Camera
from mile_sim.errors import SimError
from mile_sim.expert import Expert, ExpertConfig
from mile_sim.eyes import SIZE
from mile_sim.operator import Operator, OperatorConfig, save_operator
from mile_sim.world import World
from mile_teleop.pad import Button, PadConfig, PadMapping

pytestmark = pytest.mark.ros
CONFIG = Path(__file__).parents[3] / 'config'
TASK = CONFIG / 'task_block_insertion.yaml'
PATIENCE_S = 60.0


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {'ROS_DOMAIN_ID': '41', 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST', 'ROS_PYTHON_CHECK_FIELDS': '1'}.items():
        monkeypatch.setenv(name, value)


@contextmanager
def process(node: str, **parameters: object) -> Iterator[subprocess.Popen[str]]:
    """A node's process; it must end in order when asked to."""
    arguments = [word for name, value in parameters.items() for word in ('-p', f'{name}:={value}')]
    run = f'import sys; from mile_sim.{node} import main; sys.exit(main())'
    started = subprocess.Popen([sys.executable, '-c', run, '--ros-args', *arguments], stderr=subprocess.PIPE, text=True, env=os.environ)
    try:
        yield started
        started.send_signal(signal.SIGINT)
        assert started.wait(PATIENCE_S) == 0, started.stderr.read() if started.stderr else ''
    finally:
        started.kill()
        started.communicate()


class Listener(Node):
    """Remembers the newest message of each topic."""

    def __init__(self) -> None:
        super().__init__('listener')
        self.heard: dict[str, Any] = {}

    def listen(self, kind: type, topic: str, qos: Any) -> None:
        self.create_subscription(kind, topic, lambda message: self.heard.__setitem__(topic, message), qos)

    def until(self, condition: Callable[[dict[str, Any]], Any], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition(self.heard):
            assert time.monotonic() < deadline, f'timed out: {what}; heard {self.heard}'
            rclpy.spin_once(self, timeout_sec=0.05)


@pytest.fixture
def listener() -> Iterator[Listener]:
    rclpy.init()
    node = Listener()
    yield node
    node.destroy_node()
    rclpy.shutdown()


def reset(listener: Listener, seed: int) -> ResetArm.Response:
    client = listener.create_client(ResetArm, 'sim/reset')
    assert client.wait_for_service(PATIENCE_S)
    future = client.call_async(ResetArm.Request(seed=seed))
    listener.until(lambda _: future.done(), 'sim/reset')
    return future.result()


def a_renderer_opens() -> bool:
    try:
        Camera(World().model, 16, 16, 'front').close()
    except SimError:
        return False
    return True


def test_the_world_obeys_joint_targets_and_shows_what_happens(listener: Listener) -> None:
    listener.listen(JointState, 'joint_states', SENSOR)
    listener.listen(Scene, 'scene', SENSOR)
    listener.listen(CompressedImage, 'camera/image/compressed', IMAGE)
    targets = listener.create_publisher(JointState, 'sim/joint_target', COMMAND)
    with process('sim_node', task_file=TASK, speed=2.0, image_rate_hz=10.0):
        assert reset(listener, 7).accepted
        listener.until(lambda heard: 'scene' in heard and heard['scene'].seed == 7 and 'joint_states' in heard, 'the reset world')
        state, scene = listener.heard['joint_states'], listener.heard['scene']
        arm = ['waist', 'shoulder', 'elbow', 'forearm_roll', 'wrist_angle', 'wrist_rotate']
        assert list(state.name) == [*arm, 'gripper', 'left_finger', 'right_finger']
        assert len(state.position) == len(state.velocity) == len(state.effort) == 9
        assert np.isfinite([*state.position, *state.velocity, *state.effort]).all()
        assert list(scene.names) == ['block_to_hole_x', 'block_to_hole_y', 'block_to_hole_z']
        assert not scene.success

        kinematics = Kinematics()
        start = np.array(state.position[:6])
        raised = kinematics.forward(start)[:3, 3] + [0.0, 0.0, 0.02]
        joints, reached = kinematics.inverse(raised, start)
        assert reached
        targets.publish(JointState(name=[*arm, 'gripper'], position=[float('nan'), *joints[1:].tolist(), 0.022]))
        targets.publish(JointState(name=[*arm, 'gripper'], position=[*joints.tolist(), 0.022]))
        listener.until(lambda heard: np.abs(heard['joint_states'].position[:6] - joints).max() < 0.01, 'the arm to follow')
        listener.until(lambda heard: heard['scene'].values[2] < scene.values[2] - 0.015, 'the block to rise')

        assert reset(listener, 7).accepted
        listener.until(lambda heard: np.allclose(heard['scene'].values, scene.values, atol=1e-3), 'the same start state')
        if a_renderer_opens():
            listener.until(lambda heard: 'camera/image/compressed' in heard, 'an image')
            image = cv2.imdecode(np.frombuffer(listener.heard['camera/image/compressed'].data, np.uint8), cv2.IMREAD_COLOR)
            assert image is not None
            assert image.shape == (SIZE, SIZE, 3)


def test_the_operator_presses_the_pad_while_an_episode_runs(listener: Listener, tmp_path: Path) -> None:
    torch.manual_seed(0)
    eager = OperatorConfig(c=-1000.0, sigma=1.0, hand_noise=0.0)
    save_operator(
        Operator(eager, GaussianPolicy(Architecture(input_dim=28, action_dim=4, hidden=(8,))), ExpertConfig(), history=4), tmp_path
    )
    mapping = PadMapping(PadConfig.from_yaml(CONFIG / 'pad_ps3.yaml'))
    seen = np.array([0.27, 0.02, 0.15, 0.028, 0.01, -0.02, -0.05], np.float32)
    arm_states = listener.create_publisher(ArmState, 'arm_state', SENSOR)
    scenes = listener.create_publisher(Scene, 'scene', SENSOR)
    statuses = listener.create_publisher(TeleopStatus, 'teleop_status', LATCHED)
    steps = listener.create_publisher(Step, 'step', RECORD)
    listener.listen(Joy, 'joy', SENSOR)

    def show_world() -> None:
        stamp = listener.get_clock().now().to_msg()
        arm, scene = ArmState(ee_position=seen[:3], gripper_opening=float(seen[3]), ready=True), Scene(values=seen[4:])
        scene.names = ['block_to_hole_x', 'block_to_hole_y', 'block_to_hole_z']
        arm.header.stamp = scene.header.stamp = stamp
        arm_states.publish(arm)
        scenes.publish(scene)

    listener.create_timer(0.02, show_world)

    def read(heard: dict[str, Any]) -> Any:
        return mapping.read(heard['joy'].axes, heard['joy'].buttons)

    with process('operator_node', task_file=TASK, pad_file=CONFIG / 'pad_ps3.yaml', operator_dir=tmp_path):
        listener.until(lambda heard: 'joy' in heard, 'the pad')
        assert not read(listener.heard).held, 'no episode runs'
        statuses.publish(TeleopStatus(episode_id='iter_00/episode_000'))
        listener.until(lambda heard: Button.TAKEOVER in read(heard).held, 'the takeover')
        np.testing.assert_allclose(read(listener.heard).motion, Expert().intention(seen)[:3], atol=1e-4)
        step = Step(episode_id='iter_00/episode_000', observation=seen.tolist(), robot_action=[0.0, 0.0, 0.0, -1.0])
        step.source = Step.SOURCE_POLICY
        for step.index in range(20):
            steps.publish(step)
        statuses.publish(TeleopStatus(episode_id=''))
        listener.until(lambda heard: not read(heard).held, 'the hand-back')


@pytest.mark.parametrize(
    ('node', 'parameters', 'line'),
    [
        ('sim_node', {'task_file': TASK, 'camera': 'rear'}, "camera: got 'rear', expected one of 'front', 'hole', 'wrist'"),
        (
            'operator_node',
            {'task_file': TASK, 'pad_file': CONFIG / 'pad_ps3.yaml', 'operator_dir': '/nowhere'},
            '/nowhere: holds no simulated',
        ),
    ],
)
def test_a_configuration_that_cannot_be_used_is_one_line(node: str, parameters: dict[str, object], line: str) -> None:
    arguments = [word for name, value in parameters.items() for word in ('-p', f'{name}:={value}')]
    run = f'import sys; from mile_sim.{node} import main; sys.exit(main())'
    done = subprocess.run(
        [sys.executable, '-c', run, '--ros-args', *arguments], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 2
    assert line in done.stderr
    assert len(done.stderr.splitlines()) == 1
