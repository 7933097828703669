"""A fake of the vendor's module: what `mile_policy_node.xs_startup` uses of it, over the real topics and services of xs_sdk."""

from __future__ import annotations

import sys
from typing import Any

import rclpy
from interbotix_common_modules.common_robot.robot import InterbotixRobotNode
from interbotix_xs_msgs.srv import RegisterValues, RobotInfo
from rclpy.task import Future
from sensor_msgs.msg import JointState

JOINTS = {'wx250s': 6, 'wx250': 5}


class FakeCore:
    """Stands in for `InterbotixRobotXSCore`."""

    def __init__(self, robot_model: str, robot_name: str | None, node: InterbotixRobotNode) -> None:
        self.robot_node = node
        self.joint_states: JointState | None = None
        namespace = f'/{robot_name or robot_model}'
        self.srv_set_reg = node.create_client(RegisterValues, f'{namespace}/set_motor_registers')
        self.srv_get_reg = node.create_client(RegisterValues, f'{namespace}/get_motor_registers')
        self.srv_get_info = node.create_client(RobotInfo, f'{namespace}/get_robot_info')
        for client in (self.srv_set_reg, self.srv_get_reg, self.srv_get_info):
            client.wait_for_service()
        node.create_subscription(JointState, f'{namespace}/joint_states', self._on_joint_states, 10)
        while self.joint_states is None and rclpy.ok():
            rclpy.spin_once(node)

    def _on_joint_states(self, message: JointState) -> None:
        self.joint_states = message

    def _wait(self, future: Future) -> Any:
        self.robot_node.wait_until_future_complete(future)
        return future.result()

    def robot_set_motor_registers(self, cmd_type: str, name: str, reg: str, value: int) -> None:
        """Write one register of a motor, or of every motor of a group."""
        self._wait(self.srv_set_reg.call_async(RegisterValues.Request(cmd_type=cmd_type, name=name, reg=reg, value=value)))

    def robot_get_motor_registers(self, cmd_type: str, name: str, reg: str) -> list[int]:
        """Read one register of a motor, or of every motor of a group."""
        return self._wait(self.srv_get_reg.call_async(RegisterValues.Request(cmd_type=cmd_type, name=name, reg=reg))).values

    def robot_get_robot_info(self, cmd_type: str, name: str) -> Any:
        """What xs_sdk knows of a motor or a group."""
        return self._wait(self.srv_get_info.call_async(RobotInfo.Request(cmd_type=cmd_type, name=name)))


class FakePart:
    """Stands in for the arm's and the gripper's interfaces, of which only the robot info is used."""

    def __init__(self, info: Any) -> None:
        self.group_info = self.gripper_info = info


class InterbotixManipulatorXS:
    """A fake by the vendor's name, with its way of ending the process when the number of joints is wrong."""

    def __init__(
        self,
        robot_model: str,
        group_name: str = 'arm',
        gripper_name: str = 'gripper',
        robot_name: str | None = None,
        node_name: str = 'robot_manipulation',
        node: InterbotixRobotNode | None = None,
    ) -> None:
        del node_name
        assert node is not None, 'the fake knows only the way that leaves the executor alone'
        self.core = FakeCore(robot_model, robot_name, node)
        self.arm = FakePart(self.core.robot_get_robot_info('group', group_name))
        if self.arm.group_info.num_joints != JOINTS[robot_model]:
            sys.exit(1)
        self.gripper = FakePart(self.core.robot_get_robot_info('single', gripper_name))
