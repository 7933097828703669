"""Start-up of an Interbotix arm through the vendor's Python API, which is let go of before our node spins.

The vendor's node handling wants an executor and a thread of its own (`robot_startup`), and its `robot_shutdown` shuts down every node of
the process. Neither is ever called: the API gets a node of its own, which it spins itself while it starts, and that node is destroyed when
everything is known. From then on the driver's own node speaks to xs_sdk, in the one executor there is.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from interbotix_common_modules.common_robot.robot import InterbotixRobotNode
from interbotix_xs_modules.xs_robot.arm import InterbotixManipulatorXS
from interbotix_xs_msgs.srv import RobotInfo
from rclpy.node import Node

from mile_learner.config import ConfigError
from mile_policy_node.kinematics import ArmModel
from mile_policy_node.servo_faults import HARDWARE_ERROR_STATUS, PROFILE_VELOCITY, TORQUE_ENABLE
from mile_policy_node.xs_config import XsConfig

ARM, GRIPPER, EVERYTHING = 'arm', 'gripper', 'all'
LIMIT_TOLERANCE = 2e-3
"""The URDF takes a little off full turns."""


@dataclass(frozen=True)
class XsRobot:
    """What start-up found out.

    Attributes:
        namespace: of xs_sdk, with the leading slash.
        motors: of group `all`, in the order of register values.
        openings: smallest and largest opening between the finger pads [m].
        profile_ms: what was written to Profile_Velocity.
        answers_registers: whether faults and torque can be asked for (the vendor's simulated xs_sdk cannot).
    """

    namespace: str
    motors: tuple[str, ...]
    openings: tuple[float, float]
    profile_ms: int
    answers_registers: bool


def start_up(node: Node, model: ArmModel, config: XsConfig, period_s: float) -> XsRobot:
    """Wait for xs_sdk, check that it is what `model` says, and set the servo profile once, to fit a control period of `period_s` [s].

    Nothing moves.

    Raises:
        ConfigError: no xs_sdk, or not this robot, or not in the mode that is needed.
    """
    name = config.robot_name or model.name
    _await_xs_sdk(node, f'/{name}', config.startup_timeout_s, model.name)
    helper = InterbotixRobotNode('xs_startup', use_global_arguments=False, enable_rosout=False, start_parameter_services=False)
    try:
        robot = InterbotixManipulatorXS(model.name, ARM, GRIPPER, robot_name=name, node_name='xs_startup', node=helper)
        check_arm(model, robot.arm.group_info)
        openings = check_gripper(model, robot.gripper.gripper_info)
        profile = profile_ms(config, period_s)
        _set_profile(robot.core, len(model.joint_names), profile)
        return XsRobot(f'/{name}', _motors(robot.core), openings, profile[PROFILE_VELOCITY], _answers_registers(robot.core))
    except SystemExit:
        msg = f'xs_sdk at /{name}: has not the number of joints of a {model.name}; start it with robot_model:={model.name}'
        raise ConfigError(msg) from None
    finally:
        helper.destroy_node()


def _await_xs_sdk(node: Node, namespace: str, timeout_s: float, model: str) -> None:
    """The vendor's API waits for ever; this does not."""
    client = node.create_client(RobotInfo, f'{namespace}/get_robot_info')
    deadline = time.monotonic() + timeout_s
    while not (client.service_is_ready() and node.count_publishers(f'{namespace}/joint_states')):
        if time.monotonic() > deadline:
            start = f'ros2 launch interbotix_xsarm_control xsarm_control.launch.py robot_model:={model} use_rviz:=false'
            msg = f'xs_sdk at {namespace}: not there after {timeout_s:g} s; switch the arm on and start it: {start}'
            raise ConfigError(msg)
        time.sleep(0.1)
    node.destroy_client(client)


def check_arm(model: ArmModel, info: Any) -> None:
    """Refuse a robot (a RobotInfo of group `arm`) that is not `model`, is stricter than it, or is in another mode.

    Raises:
        ConfigError: says what differs, and what to do.
    """
    if tuple(info.joint_names) != model.joint_names:
        msg = f'xs_sdk: got joints {", ".join(info.joint_names)}, expected those of {model.name}: {", ".join(model.joint_names)}'
        raise ConfigError(msg)
    if (info.mode, info.profile_type) != ('position', 'time'):
        got = f'xs_sdk: group arm is in mode {info.mode!r} with profile type {info.profile_type!r}'
        msg = f"{got}, expected 'position' and 'time'; start it with the vendor's own modes.yaml"
        raise ConfigError(msg)
    if not len(info.joint_lower_limits) == len(info.joint_upper_limits) == len(info.joint_velocity_limits) == len(model.joint_names):
        msg = 'xs_sdk: knows no joint limits; start it with its robot_description'
        raise ConfigError(msg)
    rows = zip(
        *(model.joint_names, model.joint_lower, model.joint_upper, model.joint_velocity),
        *(info.joint_lower_limits, info.joint_upper_limits, info.joint_velocity_limits),
        strict=True,
    )
    for joint, low, high, fast, lower, upper, velocity in rows:
        if not (lower - LIMIT_TOLERANCE <= low and high <= upper + LIMIT_TOLERANCE and fast <= velocity + LIMIT_TOLERANCE):
            allowed = f'{lower:.3f} to {upper:.3f} rad at {velocity:.2f} rad/s'
            msg = (
                f'xs_sdk: {joint} allows {allowed}, the model {low:.3f} to {high:.3f} at {fast:.2f}; give the stricter limits by model_file'
            )
            raise ConfigError(msg)


def check_gripper(model: ArmModel, info: Any) -> tuple[float, float]:
    """Smallest and largest opening [m] of a gripper (a RobotInfo of joint `gripper`) that is driven by PWM.

    Raises:
        ConfigError: it is in another mode, or its limits are unknown.
    """
    if info.mode != 'pwm':
        msg = f"xs_sdk: the gripper is in mode {info.mode!r}, expected 'pwm'; start it with the vendor's own modes.yaml"
        raise ConfigError(msg)
    fingers = (*info.joint_lower_limits, *info.joint_upper_limits)
    if len(fingers) != 2 or not all(math.isfinite(limit) for limit in fingers):
        msg = f'xs_sdk: got finger limits {list(fingers)}, expected two lengths; start it with its robot_description'
        raise ConfigError(msg)
    low, high = (max(0.0, 2 * (finger - model.finger_pad_offset_m)) for finger in fingers)
    return low, high


def profile_ms(config: XsConfig, period_s: float) -> dict[str, int]:
    """Register values [ms] for a control period [s], in the order in which to write them: the servos cut ramps to half the motion."""
    return {
        'Profile_Acceleration': round(1000 * period_s * config.profile_acceleration_periods),
        PROFILE_VELOCITY: round(1000 * period_s * config.profile_periods),
    }


def _set_profile(core: Any, joints: int, profile: Mapping[str, int]) -> None:
    for register, value in profile.items():
        core.robot_set_motor_registers('group', ARM, register, value)
        values = list(core.robot_get_motor_registers('group', ARM, register))
        if values != [value] * joints:
            msg = f'xs_sdk: wrote {register} {value} to {joints} motors, read {values}; check cables and power'
            raise ConfigError(msg)


def _motors(core: Any) -> tuple[str, ...]:
    """The info names the finger instead of the gripper's motor."""
    names = core.robot_get_robot_info('group', EVERYTHING).joint_names
    return tuple(GRIPPER if name == 'left_finger' else str(name) for name in names)


def _answers_registers(core: Any) -> bool:
    return any(len(core.robot_get_motor_registers('group', EVERYTHING, register)) for register in (HARDWARE_ERROR_STATUS, TORQUE_ENABLE))
