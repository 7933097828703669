"""A fake of Interbotix's xs_sdk: its topics and services, its 30 Hz joint states without velocity, its lack of checks.

With `world` it moves the arm of the simulated world, so that a deployment through the driver `xs` has something to see; it then also
stands in for the person who puts block and box back before an episode. Without, its motors are all there is. What the driver did that it
should not have done is written to `report_file`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interbotix_xs_msgs.msg import JointGroupCommand, JointSingleCommand
from interbotix_xs_msgs.srv import MotorGains, OperatingModes, Reboot, RegisterValues, RobotInfo, TorqueEnable
from mile_msgs.srv import ResetArm
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.task import Future
from sensor_msgs.msg import JointState

from mile_learner.config import Config, option
from mile_learner.files import write_atomically
from mile_learner.task import TaskConfig
from mile_policy_node.kinematics import ARM_MODELS, Kinematics
from mile_policy_node.start_motion import start_joints
from mile_ros.main import run_node
from mile_ros.parameters import declare_from
from mile_ros.qos import COMMAND, SENSOR
from mile_sim.errors import SimError
from mile_sim.fake_servos import GRIPPER, FakeServos, motor_angle
from mile_sim.model import ARM_JOINTS, FINGER_LIMITS_M, finger_position, pad_opening

RATE_HZ = 30.0
FASTEST_TIMER_HZ = 250.0
REPORT_PERIOD_S = 2.0
SLEEP = {'shoulder': -1.80, 'elbow': 1.55, 'wrist_angle': 0.8}


@dataclass(frozen=True)
class FakeXsSdkConfig(Config):
    """Parameters of fake_xs_sdk_node."""

    task_file: str = option(doc='path of the task, config/task_<name>.yaml')
    model: str = option('wx250s', doc='which arm', choices=tuple(ARM_MODELS))
    speed: float = option(1.0, doc='times real time', gt=0.0, le=100.0)
    world: str = option('', doc='namespace of the simulated world whose arm it moves; empty: none')
    asleep: bool = option(False, doc='whether the arm starts in its sleep pose instead of pointing down')
    report_file: str = option('', doc='path of the findings, JSON; empty: none')


class FakeXsSdkNode(Node):
    """Wires `FakeServos` to the topics and services of xs_sdk."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__('fake_xs_sdk_node', **kwargs)
        self._config = declare_from(self, FakeXsSdkConfig)
        self._task = TaskConfig.from_yaml(Path(self._config.task_file))
        model = ARM_MODELS[self._config.model]
        if self._config.world and model.joint_names != ARM_JOINTS:
            msg = f'fake_xs_sdk_node: got model {model.name!r}, but the arm of the simulated world has the joints {", ".join(ARM_JOINTS)}'
            raise SimError(msg)
        asleep = [SLEEP.get(name, 0.0) for name in model.joint_names]
        joints = asleep if self._config.asleep else start_joints(Kinematics(model), (0.27, 0.0, 0.15)).tolist()
        self.servos = FakeServos(model, self._task.rate_hz, joints, 0.03)
        self.mute = False
        """Whether it publishes no joint states, as when its bus hangs."""
        self._modes = {'arm': ('position', 'time'), GRIPPER: ('pwm', 'velocity')}
        self._measured: JointState | None = None
        self._last = time.monotonic()
        self._report = b''
        self._states = self.create_publisher(JointState, 'joint_states', 10)
        self.create_subscription(JointGroupCommand, 'commands/joint_group', self._on_group, 10)
        self.create_subscription(JointSingleCommand, 'commands/joint_single', self._on_single, 10)
        self.create_service(TorqueEnable, 'torque_enable', self._on_torque)
        self.create_service(Reboot, 'reboot_motors', self._on_reboot)
        self.create_service(RobotInfo, 'get_robot_info', self._on_info)
        self.create_service(OperatingModes, 'set_operating_modes', self._on_modes)
        self.create_service(MotorGains, 'set_motor_pid_gains', lambda _, response: response)
        self.create_service(RegisterValues, 'set_motor_registers', self._on_write)
        self.create_service(RegisterValues, 'get_motor_registers', self._on_read)
        if self._config.world:
            self._enter_world(f'/{self._config.world}')
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1 / min(RATE_HZ * self._config.speed, FASTEST_TIMER_HZ), self._on_timer, clock=steady)
        self.create_timer(REPORT_PERIOD_S, self.write_report, clock=steady)

    def destroy_node(self) -> None:
        """Write the last findings, then destroy the node."""
        self.write_report()
        super().destroy_node()

    def write_report(self) -> None:
        """Write what was found so far."""
        report = json.dumps(self.servos.findings.to_mapping(), indent=1).encode()
        if self._config.report_file and report != self._report:
            write_atomically(Path(self._config.report_file), report)
            self._report = report

    # ------------------------------------------------------------------ topics

    def _on_timer(self) -> None:
        now = time.monotonic()
        real_s, self._last = now - self._last, now
        positions = None if self._measured is None else dict(zip(self._measured.name, self._measured.position, strict=True))
        opening = None if positions is None else pad_opening(positions['left_finger'])
        self.servos.advance(real_s * self._config.speed, real_s, opening)
        if self._config.world:
            if positions is None:
                return
            target = JointState(name=[*ARM_JOINTS, GRIPPER], position=[*self.servos.joints.tolist(), self.servos.opening])
            target.header.stamp = self.get_clock().now().to_msg()
            self._targets.publish(target)
        if not self.mute:
            self._publish_states(positions)

    def _publish_states(self, positions: dict[str, float] | None) -> None:
        stamp = self.get_clock().now().to_msg()  # before anything is read: a measurement is no newer than this
        names = self.servos.model.joint_names
        if positions is None:
            finger = finger_position(self.servos.opening)
            positions = {**dict(zip(names, self.servos.joints.tolist(), strict=True)), 'left_finger': finger, 'right_finger': -finger}
        positions = positions | {GRIPPER: motor_angle(pad_opening(positions['left_finger']))}
        order = [*names, GRIPPER, 'left_finger', 'right_finger']
        message = JointState(name=order, position=[positions[name] for name in order])
        message.header.stamp = stamp
        self._states.publish(message)

    def _on_group(self, message: JointGroupCommand) -> None:
        if message.name == 'arm':
            self.servos.command(message.cmd)
        else:
            self.servos.findings.broken('limits', f'unknown group {message.name!r}')

    def _on_single(self, message: JointSingleCommand) -> None:
        if message.name == GRIPPER:
            self.servos.command_gripper(message.cmd)
        else:
            self.servos.findings.broken('limits', f'command to the single motor {message.name!r}')

    # ------------------------------------------------------------------ services

    def _motors(self, request: Any) -> tuple[str, ...]:
        """The motors that a request means; none where xs_sdk does not know them."""
        if request.cmd_type == 'group':
            return self.servos.groups().get(request.name, ())
        return (request.name,) if request.name in self.servos.registers else ()

    def _on_torque(self, request: TorqueEnable.Request, response: TorqueEnable.Response) -> TorqueEnable.Response:
        for motor in self._motors(request):
            self.servos.registers[motor]['Torque_Enable'] = int(request.enable)
        return response

    def _on_reboot(self, request: Reboot.Request, response: Reboot.Response) -> Reboot.Response:
        for motor in self._motors(request):
            self.servos.reboot(motor, torque=request.enable)
        return response

    def _on_info(self, request: RobotInfo.Request, response: RobotInfo.Response) -> RobotInfo.Response:
        motors, model = self._motors(request), self.servos.model
        limits = dict(zip(model.joint_names, zip(model.joint_lower, model.joint_upper, model.joint_velocity, strict=True), strict=True))
        limits[GRIPPER] = (*FINGER_LIMITS_M, 1.0)
        response.joint_names = ['left_finger' if motor == GRIPPER else motor for motor in motors]
        response.joint_lower_limits, response.joint_upper_limits, response.joint_velocity_limits = (
            [limits[motor][column] for motor in motors] for column in range(3)
        )
        response.joint_sleep_positions = [SLEEP.get(motor, 0.0) for motor in motors]
        response.joint_ids = list(range(1, len(motors) + 1))
        response.joint_state_indices = list(range(len(motors)))
        response.num_joints = len(motors)
        response.name = [request.name]
        response.mode, response.profile_type = self._modes.get(request.name, ('position', 'velocity'))
        return response

    def _on_modes(self, request: OperatingModes.Request, response: OperatingModes.Response) -> OperatingModes.Response:
        self._modes[request.name] = (request.mode, request.profile_type)
        return response

    def _on_write(self, request: RegisterValues.Request, response: RegisterValues.Response) -> RegisterValues.Response:
        self.servos.write(self._motors(request), request.reg, request.value)
        return response

    def _on_read(self, request: RegisterValues.Request, response: RegisterValues.Response) -> RegisterValues.Response:
        response.values = self.servos.read(self._motors(request), request.reg)
        return response

    # ------------------------------------------------------------------ the simulated world, and the person beside it

    def _enter_world(self, world: str) -> None:
        self._targets = self.create_publisher(JointState, f'{world}/sim/joint_target', COMMAND)
        self.create_subscription(JointState, f'{world}/joint_states', self._on_world, SENSOR)
        replies = MutuallyExclusiveCallbackGroup()
        self._reset_world = self.create_client(ResetArm, f'{world}/sim/reset', callback_group=replies)
        self._reset_arm = self.create_client(ResetArm, f'{world}/reset_arm', callback_group=replies)
        # awaits the driver and the world, whose answers arrive through the other group
        self.create_service(ResetArm, f'{world}/fake_hardware/reset_arm', self._on_reset, callback_group=MutuallyExclusiveCallbackGroup())
        self._fresh = Future()

    def _on_world(self, message: JointState) -> None:
        if self._measured is None:
            self._place(message)
        self._measured = message
        if not self._fresh.done():
            self._fresh.set_result(None)

    def _place(self, message: JointState) -> None:
        """The world's arm stands where the world put it, its gripper around the block."""
        positions = dict(zip(message.name, message.position, strict=True))
        self.servos.place([positions[name] for name in ARM_JOINTS], self._task.gripper_closed_m)

    async def _on_reset(self, request: ResetArm.Request, response: ResetArm.Response) -> ResetArm.Response:
        """The arm goes to its start pose and closes; a person puts the block between its fingers and the box on the table.

        The world's reset does that, and puts the arm, too, where its start state has it: so the arm goes to its start pose once more.
        """
        for client in (self._reset_arm, self._reset_world, self._reset_arm):
            if not client.service_is_ready():
                response.message = f'{client.srv_name}: nobody serves it yet'
                return response
            answer = await client.call_async(request)
            if not answer.accepted:
                return answer
            if client is self._reset_world:
                self._fresh = Future()
                await self._fresh
                self._place(self._measured)
        response.accepted = True
        return response


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until interrupted."""
    return run_node(FakeXsSdkNode, args)
