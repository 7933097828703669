"""arm_node with the driver `xs` as a process, against the fake xs_sdk over real DDS; the vendor's Python API is a fake, too."""

from __future__ import annotations

import functools
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mile_msgs.msg import ArmState, Command, CommandResult, TeleopStatus
from mile_msgs.srv import ResetArm
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_srvs.srv import SetBool

from mile_learner.step import Mode, Source
from mile_ros.qos import COMMAND, LATCHED, RECORD, SENSOR
from mile_sim.fake_xs_sdk_node import FakeXsSdkNode

pytestmark = pytest.mark.ros
TASK_FILE = Path(__file__).with_name('task.yaml')
FAKES = Path(__file__).parents[3] / 'fakes' / 'python'
ENVIRONMENT = {'ROS_DOMAIN_ID': '53', 'PYTHONPATH': str(FAKES)}
START = (0.27, 0.0, 0.205)


class FakeArbiter(Node):  # type: ignore[misc]
    """Gives commands at the control rate, and keeps what comes back."""

    def __init__(self, context: Any) -> None:
        super().__init__('fake_arbiter', context=context)
        self.results: list[CommandResult] = []
        self.states: list[ArmState] = []
        self.index = 0
        self._commands = self.create_publisher(Command, 'command', COMMAND)
        self.create_subscription(CommandResult, 'command_result', self.results.append, RECORD)
        self.create_subscription(ArmState, 'arm_state', self.states.append, SENSOR)
        self.status = self.create_publisher(TeleopStatus, 'teleop_status', LATCHED)
        self.reset = self.create_client(ResetArm, 'reset_arm')
        self.torque = self.create_client(SetBool, 'torque')

    def command(self, *action: float) -> None:
        message = Command(episode_id='a', index=self.index, source=Source.HUMAN, action=action)
        message.header.stamp = self.get_clock().now().to_msg()
        self.index += 1
        self._commands.publish(message)

    def stream(self, count: int, *action: float) -> None:
        """Commands one period apart."""
        for _ in range(count):
            self.command(*action)
            time.sleep(0.1)

    @property
    def fault(self) -> str:
        return str(self.states[-1].fault) if self.states else 'no arm state'


class Rig:
    """The fake hardware, the driver, and who commands it."""

    def __init__(self, spin: Callable[..., Any], start_process: Callable[..., Any], wait_for: Callable[..., Any]) -> None:
        parameters = [Parameter('task_file', value=str(TASK_FILE))]
        make = functools.partial(FakeXsSdkNode, namespace='wx250s', parameter_overrides=parameters)
        self.wait_for = wait_for
        self.hardware = spin(make)
        self.servos = self.hardware.servos
        self.process = start_process('arm_node', task_file=TASK_FILE, backend='xs', reset_timeout_s=5.0, joint_state_timeout_s=2.0)
        self.arbiter = spin(FakeArbiter)
        self.arbiter.status.publish(TeleopStatus(mode=Mode.HOLD))
        self.wait_for_ready()

    def wait_for_ready(self) -> None:
        self.wait_for(lambda: self.arbiter.states and self.arbiter.states[-1].ready, 'the arm is ready')

    def wait_for_fault(self, text: str) -> None:
        self.wait_for(lambda: text in self.arbiter.fault, text)

    def call(self, client: Any, request: Any) -> Any:
        future = client.call_async(request)
        self.wait_for(future.done, 'an answer')
        return future.result()

    def position(self) -> np.ndarray:
        return np.array(self.arbiter.states[-1].ee_position)


@pytest.fixture(scope='module')
def rig(spin: Callable[..., Any], start_process: Callable[..., Any], wait_for: Callable[..., Any]) -> Rig:
    return Rig(spin, start_process, wait_for)


@pytest.fixture(autouse=True)
def _nothing_is_broken(request: pytest.FixtureRequest) -> Any:
    yield
    if 'rig' in request.fixturenames:
        findings = request.getfixturevalue('rig').servos.findings.to_mapping()
        assert findings['cases'] == []
        assert findings['register_writes'] == 2, 'the profile, once, at start'


def test_start_up_sets_the_profile_to_fit_the_control_period(rig: Rig) -> None:
    for joint in rig.servos.model.joint_names:
        assert rig.servos.registers[joint]['Profile_Velocity'] == 150
        assert rig.servos.registers[joint]['Profile_Acceleration'] == 50
    assert rig.servos.findings.commands == 0, 'nothing moves before it is told to'


def test_commands_are_streamed_and_the_arm_follows(rig: Rig) -> None:
    before = rig.position()
    rig.arbiter.stream(10, 0.0, 1.0, 0.0, 1.0)
    rig.wait_for(lambda: np.abs(rig.position() - before - [0.0, 0.05, 0.0]).max() < 0.002, 'the arm is 50 mm further')
    rig.wait_for(lambda: abs(rig.arbiter.states[-1].gripper_opening - 0.05) < 0.003, 'the gripper is open')
    assert all(result.accepted for result in rig.arbiter.results)
    assert rig.servos.findings.commands == 10
    rig.wait_for(lambda: rig.servos.pwm == 0.0, 'the gripper rests where it should be')


def test_a_gripper_that_is_blocked_squeezes_gently(rig: Rig) -> None:
    rig.servos.object_width_m = 0.03
    rig.arbiter.stream(14, 0.0, 0.0, 0.0, -1.0)
    rig.wait_for(lambda: rig.servos.pwm == -150.0, 'it holds with less than it closes with')
    assert rig.arbiter.states[-1].gripper_opening == pytest.approx(0.03, abs=1e-3)
    rig.servos.object_width_m = None
    rig.wait_for(lambda: abs(rig.arbiter.states[-1].gripper_opening - 0.022) < 0.003, 'it closes when the object is gone')


@pytest.mark.parametrize('motor', ['elbow', 'shoulder_shadow', 'gripper'])
def test_a_motor_that_trips_is_named_and_the_arm_refuses(rig: Rig, motor: str) -> None:
    rig.servos.registers[motor]['Hardware_Error_Status'] = 0b100000
    rig.wait_for_fault(f'{motor}: does not answer: tripped')
    rig.arbiter.results.clear()
    rig.arbiter.command(1.0, 0.0, 0.0, -1.0)
    rig.wait_for(lambda: rig.arbiter.results, 'a result')
    assert not rig.arbiter.results[0].accepted
    assert f'{motor}: does not answer' in rig.arbiter.results[0].detail
    rig.servos.registers[motor]['Hardware_Error_Status'] = 0
    rig.wait_for_ready()


def test_a_motor_that_tripped_and_sagged_is_not_thrown_back_when_it_is_rebooted(rig: Rig) -> None:
    rig.arbiter.stream(3, 0.0, 0.0, 0.2, -1.0)
    rig.servos.registers['elbow']['Hardware_Error_Status'] = 0b100000
    rig.wait_for_fault('elbow: does not answer')
    rig.wait_for(lambda: not np.isfinite(rig.arbiter.states[-1].commanded_target).any(), 'where it was sent is forgotten')
    fallen = rig.servos.joints + np.array([0.0, 0.0, 0.1, 0.0, -0.1, 0.0])
    rig.servos.place(fallen.tolist(), rig.servos.opening)
    rig.servos.reboot('elbow', torque=True)
    before = rig.servos.findings.commands
    rig.arbiter.stream(30, 0.0, 0.0, 0.0, -1.0)
    assert rig.servos.findings.commands == before, 'the rebooted motor has no profile, and would jump'
    rig.wait_for_fault('the servo profile is 0 ms instead of 150; xs_sdk was restarted, or a motor rebooted; restart the deployment')
    rig.servos.registers['elbow'] |= {'Profile_Velocity': 150, 'Profile_Acceleration': 50}
    rig.wait_for_ready()
    rig.arbiter.stream(2, 0.0, 0.0, 0.0, -1.0)
    assert rig.servos.findings.commands == before + 2
    rig.wait_for(lambda: np.abs(rig.servos.joints - fallen).max() < 0.05, 'it goes on from where it is')


def test_a_motor_that_does_not_answer_is_named(rig: Rig) -> None:
    rig.servos.silent.add('wrist_angle')
    rig.wait_for_fault('wrist_angle: does not answer')
    rig.servos.silent.clear()
    rig.wait_for_ready()


def test_an_xs_sdk_that_was_restarted_has_lost_the_profile(rig: Rig) -> None:
    rig.servos.registers['waist']['Profile_Velocity'] = 2000
    rig.wait_for_fault('the servo profile is 2000 ms instead of 150')
    rig.servos.registers['waist']['Profile_Velocity'] = 150
    rig.wait_for_ready()


def test_torque_is_cut_on_order_only_and_comes_back_without_a_jump(rig: Rig) -> None:
    assert all(registers['Torque_Enable'] for registers in rig.servos.registers.values())
    assert rig.call(rig.arbiter.torque, SetBool.Request(data=False)).success
    rig.wait_for_fault('torque is off')
    assert not rig.servos.registers['shoulder']['Torque_Enable']
    fallen = rig.servos.joints + np.array([0.0, 0.1, 0.0, 0.0, -0.1, 0.0])
    rig.servos.place(fallen.tolist(), rig.servos.opening)
    assert rig.call(rig.arbiter.torque, SetBool.Request(data=True)).success
    rig.wait_for_ready()
    np.testing.assert_allclose(rig.servos.joints, fallen, atol=1e-3)
    rig.arbiter.stream(1, 0.0, 0.0, 0.2, -1.0)


def test_torque_comes_back_only_where_the_arm_was_measured_since(rig: Rig) -> None:
    assert rig.call(rig.arbiter.torque, SetBool.Request(data=False)).success
    rig.wait_for_fault('torque is off')
    rig.hardware.mute = True
    refused = rig.call(rig.arbiter.torque, SetBool.Request(data=True))
    assert not refused.success
    assert refused.message == 'torque: no joint states for 2 s, so where the arm would have to stay is not known'
    fallen = rig.servos.joints + np.array([0.0, -0.1, 0.0, 0.0, 0.1, 0.0])
    rig.servos.place(fallen.tolist(), rig.servos.opening)
    future = rig.arbiter.torque.call_async(SetBool.Request(data=True))
    time.sleep(0.2)
    assert not future.done()
    assert not any(rig.servos.registers[joint]['Torque_Enable'] for joint in rig.servos.model.joint_names)
    rig.hardware.mute = False
    rig.wait_for(future.done, 'an answer')
    assert future.result().success
    rig.wait_for_ready()
    np.testing.assert_allclose(rig.servos.joints, fallen, atol=1e-3)


def test_a_reset_goes_slowly_to_the_start_pose(rig: Rig) -> None:
    answer = rig.call(rig.arbiter.reset, ResetArm.Request(seed=3))
    assert answer.accepted, answer.message
    np.testing.assert_allclose(rig.position(), START, atol=0.005)
    assert rig.arbiter.states[-1].ready


def test_the_e_stop_ends_the_way_to_the_start_pose(rig: Rig) -> None:
    rig.arbiter.stream(20, 0.0, 1.0, 0.0, -1.0)
    before = rig.servos.findings.commands
    future = rig.arbiter.reset.call_async(ResetArm.Request(seed=3))
    rig.wait_for(lambda: rig.servos.findings.commands > before, 'it is on its way')
    rig.arbiter.status.publish(TeleopStatus(mode=Mode.ESTOP))
    rig.wait_for(future.done, 'an answer')
    assert not future.result().accepted
    assert future.result().message == 'the e-stop is set'
    rig.wait_for(lambda: abs(rig.position()[1]) > 0.02, 'it is not there')
    rig.arbiter.status.publish(TeleopStatus(mode=Mode.HOLD))
    rig.wait_for(lambda: rig.call(rig.arbiter.reset, ResetArm.Request(seed=3)).accepted, 'it goes on when the e-stop is reset')


def test_an_arm_that_does_not_follow_is_not_driven_on(rig: Rig) -> None:
    before = rig.position()
    rig.servos.place((rig.servos.joints + np.array([0.0, 0.7, 0.0, 0.0, 0.0, 0.0])).tolist(), rig.servos.opening)
    rig.wait_for(lambda: np.abs(rig.position() - before).max() > 0.05, 'it is seen elsewhere')
    rig.arbiter.results.clear()
    rig.arbiter.command(0.0, 0.0, 1.0, -1.0)
    rig.wait_for(lambda: rig.arbiter.results, 'a result')
    assert 'shoulder does not follow' in rig.arbiter.results[0].detail


def test_a_driver_that_ends_does_not_leave_the_gripper_pushing(rig: Rig) -> None:
    rig.servos.place(rig.servos.joints.tolist(), 0.03)
    rig.servos.object_width_m = 0.03
    rig.call(rig.arbiter.reset, ResetArm.Request(seed=3))
    rig.wait_for(lambda: rig.servos.pwm == -150.0, 'it squeezes')
    rig.process.terminate()
    assert rig.process.wait(timeout=30) == 0
    rig.wait_for(lambda: rig.servos.pwm == 0.0, 'it rests')


def refused(start_process: Callable[..., Any], **parameters: Any) -> str:
    """The one line of an arm_node that does not start."""
    process: subprocess.Popen[str] = start_process('arm_node', task_file=TASK_FILE, backend='xs', **parameters)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2, errors
    (line,) = errors.strip().splitlines()
    return line


def test_without_xs_sdk_one_line_says_how_to_start_it(start_process: Callable[..., Any]) -> None:
    line = refused(start_process, robot_name='nobody', startup_timeout_s=1.0)
    assert line.startswith('xs_sdk at /nobody: not there after 1 s; switch the arm on and start it: ros2 launch interbotix_xsarm_control')


@pytest.mark.parametrize(
    ('parameters', 'expected'),
    [
        ({'start_position_m': '[0.5, 0.0, 0.2]'}, 'start_position_m: got [0.5, 0.0, 0.2], expected within the workspace of task test_task'),
        ({'profile_acceleration_periods': '1.0'}, 'profile_acceleration_periods: got 1.0, expected at most half of profile_periods, 0.75'),
        ({'joint_margin_rad': '.nan'}, 'joint_margin_rad: got nan, expected a finite number'),
    ],
)
def test_a_value_that_cannot_be_is_one_line(start_process: Callable[..., Any], parameters: dict[str, str], expected: str) -> None:
    assert expected in refused(start_process, **parameters)


def test_without_the_vendors_packages_one_line_says_what_to_install(
    start_process: Callable[..., Any], ros_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ros_environment, 'PYTHONPATH', '')
    line = refused(start_process)
    assert line.startswith("backend 'xs': needs the module 'interbotix_")
    assert "which is not installed; install the vendor's ROS 2 workspace" in line
