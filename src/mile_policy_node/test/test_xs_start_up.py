"""An e-stop that is set while the driver `xs` still starts counts from the start: nothing moves before the arbiter was heard."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mile_msgs.msg import TeleopStatus
from mile_msgs.srv import ResetArm
from rclpy.node import Node
from rclpy.parameter import Parameter

from mile_learner.step import Mode
from mile_ros.qos import LATCHED
from mile_sim.fake_xs_sdk_node import FakeXsSdkNode

pytestmark = pytest.mark.ros
TASK_FILE = Path(__file__).with_name('task.yaml')
ENVIRONMENT = {'ROS_DOMAIN_ID': '71', 'PYTHONPATH': str(Path(__file__).parents[3] / 'fakes' / 'python')}


def test_nothing_moves_before_the_arbiter_was_heard(
    spin: Callable[..., Any], start_process: Callable[..., Any], wait_for: Callable[..., Any]
) -> None:
    start_process('arm_node', task_file=TASK_FILE, backend='xs')
    arbiter = spin(functools.partial(Node, 'fake_arbiter'))
    status = arbiter.create_publisher(TeleopStatus, 'teleop_status', LATCHED)
    reset = arbiter.create_client(ResetArm, 'reset_arm')
    parameters = [Parameter('task_file', value=str(TASK_FILE))]
    servos = spin(functools.partial(FakeXsSdkNode, namespace='wx250s', parameter_overrides=parameters)).servos

    def answer() -> ResetArm.Response:
        future = reset.call_async(ResetArm.Request(seed=3))
        wait_for(future.done, 'an answer')
        return future.result()

    wait_for(reset.service_is_ready, 'the driver has started')
    wait_for(lambda: answer().message == 'the arbiter has not been heard yet', 'it waits for the arbiter')
    status.publish(TeleopStatus(mode=Mode.ESTOP))
    wait_for(lambda: answer().message == 'the e-stop is set', 'the e-stop is heard')
    assert servos.findings.commands == 0
    status.publish(TeleopStatus(mode=Mode.HOLD))
    wait_for(lambda: answer().accepted, 'it goes on when the e-stop is reset')
