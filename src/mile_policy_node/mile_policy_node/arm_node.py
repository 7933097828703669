"""The arm as a ROS node: `command` in, targets to the backend, exactly one `command_result` per command, `arm_state` out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mile_msgs.msg import ArmState, Command, CommandResult, TeleopStatus
from mile_msgs.srv import ResetArm
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from scipy.spatial.transform import Rotation
from std_srvs.srv import SetBool

from mile_learner.clock import SystemClock
from mile_learner.config import option
from mile_learner.step import Mode
from mile_learner.task import TaskConfig
from mile_policy_node.arm import Arm, ArmCommand, ArmConfig
from mile_policy_node.arm_backend import make_backend
from mile_policy_node.errors import BackendError
from mile_policy_node.gate import GateConfig, SafetyGate
from mile_policy_node.kinematics import Kinematics
from mile_ros.main import run_node
from mile_ros.parameters import declare_from
from mile_ros.qos import COMMAND, LATCHED, RECORD, SENSOR
from mile_ros.stamps import to_seconds, to_stamp

WATCH_PERIOD_S = 0.1


@dataclass(frozen=True)
class ArmNodeConfig(ArmConfig):
    """Parameters of arm_node."""

    task_file: str = option(doc='path of the task, config/task_<name>.yaml')


class ArmNode(Node):
    """Wires `Arm` to its topics."""

    def __init__(self) -> None:
        super().__init__('arm_node')
        config = declare_from(self, ArmNodeConfig)
        task = TaskConfig.from_yaml(Path(config.task_file))
        model = config.arm_model()
        kinematics, self._clocks = Kinematics(model), SystemClock()
        limits = GateConfig.from_task(task, joint_margin_rad=config.joint_margin_rad, start_tolerance_rad=config.start_tolerance_rad)
        self._results = self.create_publisher(CommandResult, 'command_result', RECORD)
        self._states = self.create_publisher(ArmState, 'arm_state', SENSOR)
        backend = make_backend(self, model, task, config, self._publish_state)
        self._arm = Arm(config, kinematics, SafetyGate(limits, kinematics), backend, self._clocks)
        self._fault = self._moves = ''
        self.create_subscription(TeleopStatus, 'teleop_status', self._on_teleop_status, LATCHED)
        self.create_subscription(Command, 'command', self._on_command, COMMAND)
        # both await the backend, whose answers arrive through other groups
        self.create_service(ResetArm, 'reset_arm', self._on_reset, callback_group=MutuallyExclusiveCallbackGroup())
        self.create_service(SetBool, 'torque', self._on_torque, callback_group=MutuallyExclusiveCallbackGroup())
        self.create_timer(WATCH_PERIOD_S, self._watch)

    def destroy_node(self) -> None:
        """Release the backend, then the node."""
        self._arm.close()
        super().destroy_node()

    def _on_teleop_status(self, message: TeleopStatus) -> None:
        self._arm.expect_commands(bool(message.episode_id) and message.mode != Mode.ESTOP)

    def _on_command(self, message: Command) -> None:
        command = ArmCommand(
            stamp=to_seconds(message.header.stamp),
            episode_id=message.episode_id,
            index=message.index,
            source=message.source,
            action=np.asarray(message.action, np.float64),
        )
        outcome = self._arm.command(command)
        result = CommandResult(
            episode_id=message.episode_id,
            index=message.index,
            source=message.source,
            accepted=outcome.accepted,
            limited=outcome.limited,
            sent_target=outcome.sent_target.astype(np.float32),
            detail=outcome.detail,
        )
        result.header.stamp = to_stamp(self._clocks.wall())
        self._results.publish(result)
        if not outcome.accepted:
            self.get_logger().warning(f'command {message.index} refused: {outcome.detail}', throttle_duration_sec=1.0)

    def _publish_state(self) -> None:
        status = self._arm.status()
        if status is None:
            return
        message = ArmState(
            ee_position=status.pose[:3, 3].astype(np.float32),
            ee_orientation=Rotation.from_matrix(status.pose[:3, :3]).as_quat().astype(np.float32),
            gripper_opening=status.observation.opening,
            commanded_target=status.commanded_target.astype(np.float32),
            ready=status.ready,
            fault=status.fault,
        )
        message.header.stamp = to_stamp(status.observation.stamp)
        message.header.frame_id = 'base_link'
        self._states.publish(message)

    def _watch(self) -> None:
        moves = self._arm.watch()
        if moves and moves != self._moves:
            self.get_logger().warning(moves)
        self._moves = moves
        status = self._arm.status()
        fault = 'no joint states yet' if status is None else status.fault
        if fault != self._fault:
            self._fault = fault
            self.get_logger().info(f'arm not ready: {fault}' if fault else 'arm ready')
        if fault:
            self._publish_state()

    async def _on_reset(self, request: ResetArm.Request, response: ResetArm.Response) -> ResetArm.Response:
        response.message = await self._arm.reset(request.seed)
        response.accepted = not response.message
        self._publish_state()
        return response

    async def _on_torque(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        try:
            await self._arm.torque(request.data)
            response.success = True
        except BackendError as error:
            response.message = str(error)
        return response


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until interrupted."""
    return run_node(ArmNode, args)
