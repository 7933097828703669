"""Interbotix arms behind xs_sdk: joint targets streamed as group commands, an own gripper servo, motors that are watched.

xs_sdk checks nothing: it hands NaN, far and out-of-limit goals to the motors, holds the last goal for ever, and says nothing when a motor
trips. What must hold is therefore checked here, once more after the gate. No register is written after start-up.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from itertools import cycle
from typing import Any

import numpy as np
from interbotix_xs_msgs.msg import JointGroupCommand, JointSingleCommand
from interbotix_xs_msgs.srv import RegisterValues, TorqueEnable
from mile_msgs.msg import TeleopStatus
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.task import Future
from sensor_msgs.msg import JointState

from mile_learner.config import ConfigError
from mile_learner.step import Mode
from mile_learner.task import TaskConfig
from mile_policy_node.arm import ArmConfig
from mile_policy_node.arm_backend import ArmObservation, JointTarget, read_joint_state
from mile_policy_node.errors import BackendError
from mile_policy_node.gripper_servo import GripperServo
from mile_policy_node.kinematics import ArmModel, Floats, Kinematics
from mile_policy_node.servo_faults import HARDWARE_ERROR_STATUS, PROFILE_VELOCITY, TORQUE_ENABLE, describe
from mile_policy_node.start_motion import start_joints, way_to_start
from mile_policy_node.xs_startup import ARM, EVERYTHING, GRIPPER, start_up
from mile_ros.qos import COMMAND, LATCHED, SENSOR
from mile_ros.stamps import to_seconds

PWM_STEP = 5.0
"""Smaller changes of the gripper's PWM are not worth a message."""
GRIPPER_WAIT_S = 2.0
AGAIN = 'the motors are asked anew'
LAST_WORD_S = 0.5


class XsBackend:
    """Implements `ArmBackend` for xs_sdk of the Humble and Jazzy branches."""

    def __init__(self, node: Node, model: ArmModel, task: TaskConfig, config: ArmConfig, notify: Callable[[], None]) -> None:
        self._node, self._model, self._task, self._config, self._notify = node, model, task, config, notify
        self._kinematics = Kinematics(model)
        self._period_s = 1 / task.rate_hz
        self._step = self._kinematics.velocity * self._period_s
        self._start = _start_position(self._kinematics, task, config)
        self._robot = start_up(node, model, config, self._period_s)
        self._observation: ArmObservation | None = None
        self._sent: Floats | None = None
        self._servo = GripperServo(config)
        self._pwm: float | None = None
        self._faults: dict[str, str] = {}
        self._stopped = 'the arbiter has not been heard yet'  # an e-stop may have been set while this driver started
        self._orders = 0
        self._asked_at = 0.0
        self._unanswered_since: float | None = None
        self._replies = MutuallyExclusiveCallbackGroup()
        namespace = self._robot.namespace
        self._arm = node.create_publisher(JointGroupCommand, f'{namespace}/commands/joint_group', COMMAND)
        self._gripper = node.create_publisher(JointSingleCommand, f'{namespace}/commands/joint_single', COMMAND)
        self._registers = node.create_client(RegisterValues, f'{namespace}/get_motor_registers', callback_group=self._replies)
        self._torque = node.create_client(TorqueEnable, f'{namespace}/torque_enable', callback_group=self._replies)
        node.create_subscription(JointState, f'{namespace}/joint_states', self._on_joint_state, SENSOR)
        node.create_subscription(TeleopStatus, 'teleop_status', self._on_teleop_status, LATCHED)
        self._questions = cycle(
            [
                ('group', EVERYTHING, self._robot.motors, HARDWARE_ERROR_STATUS),
                ('group', EVERYTHING, self._robot.motors, TORQUE_ENABLE),
                ('group', ARM, model.joint_names, PROFILE_VELOCITY),
                *(('single', shadow, (shadow,), HARDWARE_ERROR_STATUS) for shadow in config.shadow_motors.split()),
            ]
        )
        if not self._robot.answers_registers:
            node.get_logger().warning('xs_sdk answers no registers: neither faults of the motors nor their torque are watched')
        node.create_timer(config.poll_period_s, self._watch, callback_group=self._replies)

    def observe(self) -> ArmObservation | None:
        """See `ArmBackend`."""
        return self._observation

    def send(self, target: JointTarget) -> JointTarget:
        """See `ArmBackend`; an opening beyond what the fingers can do is clamped."""
        if not np.isfinite(target.opening):
            msg = f'gripper: got an opening of {target.opening} m, expected a finite one'
            raise BackendError(msg)
        self._send_joints(target.joints)
        opening = float(np.clip(target.opening, *self._robot.openings))
        self._servo.target = opening
        return target if opening == target.opening else dataclasses.replace(target, opening=opening)

    def hold(self) -> None:
        """See `ArmBackend`; the servos hold their last goal by themselves."""

    async def torque(self, enable: bool) -> None:
        """See `ArmBackend`; what was measured before the order is not where the arm is: without torque it falls, or a person moves it."""
        if not self._torque.service_is_ready():
            msg = f'{self._robot.namespace}/torque_enable: nobody serves it; is xs_sdk running?'
            raise BackendError(msg)
        measured = await self._measured_anew() if enable else None
        self._sent, self._servo.target = None, None
        self._push(0.0)
        self._orders += 1
        self._faults[TORQUE_ENABLE] = 'torque is off, by order' if measured is None else 'torque is being switched on'
        if measured is not None:
            self._arm.publish(JointGroupCommand(name=ARM, cmd=measured.joints.tolist()))
        ordered = self._torque.call_async(TorqueEnable.Request(cmd_type='group', name=EVERYTHING, enable=enable))
        if enable and not self._robot.answers_registers:
            ordered.add_done_callback(lambda _: self._faults.pop(TORQUE_ENABLE))

    def faults(self) -> str:
        """See `ArmBackend`."""
        since = self._unanswered_since
        if since is not None and time.monotonic() - since > self._config.poll_timeout_s:
            return f'xs_sdk has not answered for {self._config.poll_timeout_s:g} s; check its terminal, the USB cable and the power'
        return '; '.join(dict.fromkeys(fault for fault in self._faults.values() if fault))

    async def reset(self, seed: int) -> float | None:
        """See `ArmBackend`; the seed chooses nothing here: what lies on the table is a person's doing."""
        del seed
        observation = self._trusted()
        begin = observation.joints if self._sent is None else self._sent
        change = self._config.start_speed_rad_s * self._period_s
        floor, level = self._task.workspace_low[2], self._config.start_tolerance_rad
        targets = way_to_start(self._kinematics, begin, self._start, change=change, floor_m=floor, level_rad=level)
        closed, load_s = self._task.gripper_closed_m, self._config.start_load_s
        if not load_s:
            self._servo.target = closed
        pending = iter(targets)
        await self._repeat(lambda: self._follow(pending))
        await self._until(lambda: self._arrived(targets[-1]), self._config.reset_timeout_s, lambda: self._lag(targets[-1]))
        if load_s:
            self._servo.target = self._task.gripper_open_m
            await self._until(lambda: not self._trusted(), load_s, None)
            self._servo.target = closed
        await self._until(lambda: bool(self._trusted()) and self._servo.resting, GRIPPER_WAIT_S, None)
        return closed

    def close(self) -> None:
        """See `ArmBackend`; the gripper's motor is not left pushing."""
        self._push(0.0)
        self._gripper.wait_for_all_acked(Duration(seconds=LAST_WORD_S))

    # ------------------------------------------------------------------ the arm

    def _send_joints(self, joints: Floats) -> None:
        """Publish one target, or refuse it; after a refusal the next one starts from what is measured.

        Raises:
            BackendError: it is not what these motors may be given now.
        """
        objection = self._objection(joints)
        if objection:
            self._sent = None
            raise BackendError(objection)
        self._arm.publish(JointGroupCommand(name=ARM, cmd=joints.tolist()))
        self._sent = joints.copy()

    def _objection(self, joints: Floats) -> str:
        measured = self._trusted().joints
        if joints.shape != measured.shape or not np.isfinite(joints).all():
            return f'joint target: got {joints.tolist()}, expected {len(measured)} finite angles'
        if not self._kinematics.within_limits(joints):
            return f'joint target: {self._names((joints < self._kinematics.lower) | (joints > self._kinematics.upper))} beyond its limits'
        if self._sent is None:
            far = np.abs(joints - measured) > self._step + self._config.start_tolerance_rad
            return f'joint target: {self._names(far)} too far from where it is' if far.any() else ''
        late = np.abs(self._sent - measured) > self._config.following_error_rad
        if late.any():
            return f'{self._names(late)} does not follow: it is more than {self._config.following_error_rad:g} rad from its target'
        fast = np.abs(joints - self._sent) > 1.001 * self._step
        return f'joint target: {self._names(fast)} faster than its limit' if fast.any() else ''

    def _names(self, mask: np.ndarray) -> str:
        return ' and '.join(name for name, chosen in zip(self._model.joint_names, mask, strict=True) if chosen)

    def _trusted(self) -> ArmObservation:
        """The newest measurement.

        Raises:
            BackendError: there is none, it is too old, the arm has a fault, or the e-stop is set.
        """
        observation = self._observation
        if observation is None:
            msg = 'no joint states yet'
            raise BackendError(msg)
        age = self._now() - observation.stamp
        fault = f'joint states are {age:.2f} s old' if abs(age) > self._config.joint_state_timeout_s else self._stopped or self.faults()
        if fault:
            raise BackendError(fault)
        return observation

    async def _measured_anew(self) -> ArmObservation:
        """The first measurement from now on.

        Raises:
            BackendError: none comes.
        """
        since, patience = self._now(), self._config.joint_state_timeout_s
        complaint = f'torque: no joint states for {patience:g} s, so where the arm would have to stay is not known'
        await self._until(lambda: self._observation is not None and self._observation.stamp > since, patience, lambda: complaint)
        assert self._observation is not None
        return self._observation

    # ------------------------------------------------------------------ on the way to the start pose

    def _follow(self, pending: Any) -> bool:
        target = next(pending, None)
        if target is None:
            return True
        self._send_joints(target)
        return False

    def _arrived(self, goal: Floats) -> bool:
        return bool(np.abs(self._trusted().joints - goal).max() <= self._config.start_tolerance_joint_rad)

    def _lag(self, goal: Floats) -> str:
        lag = np.abs(self._trusted().joints - goal)
        worst = int(lag.argmax())
        return f'{self._model.joint_names[worst]} is still {lag[worst]:.2f} rad from the start pose; is something in its way?'

    async def _until(self, condition: Callable[[], bool], timeout_s: float, complaint: Callable[[], str] | None) -> None:
        """Wait for a condition; after the timeout go on, or fail if there is a complaint."""
        deadline = time.monotonic() + timeout_s

        def check() -> bool:
            if condition():
                return True
            late = time.monotonic() > deadline
            if late and complaint is not None:
                raise BackendError(complaint())
            return late

        await self._repeat(check)

    async def _repeat(self, step: Callable[[], bool]) -> None:
        """Call `step` once per control period until it returns True."""
        done = Future()

        def tick() -> None:
            if done.done():
                return
            try:
                if step():
                    done.set_result(None)
            except BackendError as error:
                done.set_exception(error)

        timer = self._node.create_timer(self._period_s, tick, callback_group=self._replies)
        try:
            await done
        finally:
            self._node.destroy_timer(timer)

    # ------------------------------------------------------------------ what is heard

    def _now(self) -> float:
        """For stamps and their age alone: this clock may be set."""
        return float(self._node.get_clock().now().nanoseconds) * 1e-9

    def _on_joint_state(self, message: JointState) -> None:
        try:
            self._observation = read_joint_state(self._model, to_seconds(message.header.stamp), message.name, message.position)
            self._faults.pop('joint states', None)
        except BackendError as error:
            self._faults['joint states'] = str(error)
            self._sent = None
        else:
            pwm = self._servo.step(time.monotonic(), self._observation.opening)
            if self._pwm is None or abs(pwm - self._pwm) >= PWM_STEP or (pwm == 0.0) != (self._pwm == 0.0):
                self._push(pwm)
        self._notify()

    def _on_teleop_status(self, message: TeleopStatus) -> None:
        """The arbiter stops commanding by itself; the way to the start pose, and that of the fingers, are this driver's own."""
        self._stopped = 'the e-stop is set' if message.mode == Mode.ESTOP else ''
        if self._stopped and self._observation is not None:
            self._servo.hold(self._observation.opening)

    def _push(self, pwm: float) -> None:
        self._gripper.publish(JointSingleCommand(name=GRIPPER, cmd=pwm))
        self._pwm = pwm

    def _watch(self) -> None:
        """Rest a gripper that is not seen; ask the motors one question."""
        observation = self._observation
        if self._pwm and observation is not None and self._now() - observation.stamp > self._config.joint_state_timeout_s:
            self._push(0.0)
        free = self._unanswered_since is None or time.monotonic() - self._asked_at > self._config.poll_timeout_s
        if free and self._robot.answers_registers:
            cmd_type, name, motors, register = next(self._questions)
            self._asked_at, orders = time.monotonic(), self._orders
            self._unanswered_since = self._unanswered_since or self._asked_at
            answer = self._registers.call_async(RegisterValues.Request(cmd_type=cmd_type, name=name, reg=register))
            answer.add_done_callback(lambda future: self._on_answer(future, name, motors, register, orders))

    def _on_answer(self, future: Future, name: str, motors: tuple[str, ...], register: str, orders: int) -> None:
        self._unanswered_since = None
        if register == TORQUE_ENABLE and orders != self._orders:
            return  # asked before the torque was switched
        key = name if name in motors else register
        was, fault = self._faults.get(key, ''), describe(register, motors, future.result().values, self._robot.profile_ms)
        if fault:
            self._sent = None
        elif was not in ('', AGAIN):  # a motor that was rebooted has lost its profile; what was read before that says nothing
            self._faults |= {other: self._faults.get(other) or AGAIN for other in self._faults if other != 'joint states'}
        self._faults[key] = fault


def _start_position(kinematics: Kinematics, task: TaskConfig, config: ArmConfig) -> Floats:
    """Where episodes start, shape (3,) [m].

    Raises:
        ConfigError: outside the workspace, or out of reach.
    """
    position = np.array(config.start_position_m)
    if (position < task.workspace_low).any() or (position > task.workspace_high).any():
        box = f'{list(task.workspace_low)} to {list(task.workspace_high)}'
        msg = f'start_position_m: got {position.tolist()}, expected within the workspace of task {task.name}, {box}'
        raise ConfigError(msg)
    try:
        start_joints(kinematics, position)
    except BackendError as error:
        raise ConfigError(str(error)) from None
    return position
