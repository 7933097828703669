"""While a person puts a part between the fingers, an e-stop keeps them where they are: the driver `xs` against the fake xs_sdk."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mile_msgs.msg import ArmState, TeleopStatus
from mile_msgs.srv import ResetArm
from rclpy.node import Node
from rclpy.parameter import Parameter

from mile_learner.step import Mode
from mile_ros.qos import LATCHED, SENSOR
from mile_sim.fake_xs_sdk_node import FakeXsSdkNode

pytestmark = pytest.mark.ros
TASK_FILE = Path(__file__).with_name('task.yaml')
ENVIRONMENT = {'ROS_DOMAIN_ID': '54', 'PYTHONPATH': str(Path(__file__).parents[3] / 'fakes' / 'python')}
LOAD_S = 2.0


def test_an_e_stop_keeps_the_fingers_where_they_are(
    spin: Callable[..., Any], start_process: Callable[..., Any], wait_for: Callable[..., Any]
) -> None:
    parameters = [Parameter('task_file', value=str(TASK_FILE))]
    servos = spin(functools.partial(FakeXsSdkNode, namespace='wx250s', parameter_overrides=parameters)).servos
    start_process('arm_node', task_file=TASK_FILE, backend='xs', joint_state_timeout_s=2.0, start_load_s=LOAD_S)
    arbiter = spin(functools.partial(Node, 'fake_arbiter'))
    status = arbiter.create_publisher(TeleopStatus, 'teleop_status', LATCHED)
    reset = arbiter.create_client(ResetArm, 'reset_arm')
    states: list[ArmState] = []
    arbiter.create_subscription(ArmState, 'arm_state', states.append, SENSOR)

    def loaded_until(moment: Callable[[], bool]) -> tuple[ResetArm.Response, float]:
        """The answer of a reset that an e-stop ended at some moment, and how far the fingers moved after the stop."""
        status.publish(TeleopStatus(mode=Mode.HOLD))
        wait_for(lambda: states and states[-1].ready, 'the arm is ready')
        answers = [reset.call_async(ResetArm.Request(seed=3))]

        def reached() -> bool:
            if answers[-1].done():  # refused, as the driver has not heard yet that the e-stop is reset
                answers.append(reset.call_async(ResetArm.Request(seed=3)))
            return moment()

        wait_for(reached, 'the moment of the e-stop')
        status.publish(TeleopStatus(mode=Mode.ESTOP))
        stopped_at = servos.opening
        wait_for(answers[-1].done, 'an answer')
        time.sleep(LOAD_S + 0.5)
        return answers[-1].result(), abs(servos.opening - stopped_at)

    for moment in (lambda: servos.opening > 0.048, lambda: servos.opening < 0.045 and servos.pwm < 0):
        answer, moved = loaded_until(moment)
        assert (answer.accepted, answer.message) == (False, 'the e-stop is set')
        assert moved < 0.012, 'the fingers come to rest as soon as it is heard, where they had 20 mm to go'
