"""The simulated arm: joint targets to the world process over ROS topics, joint states back."""

from __future__ import annotations

from collections.abc import Callable

from mile_msgs.srv import ResetArm
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.task import Future
from sensor_msgs.msg import JointState

from mile_learner.task import TaskConfig
from mile_policy_node.arm import ArmConfig
from mile_policy_node.arm_backend import ArmObservation, JointTarget, read_joint_state
from mile_policy_node.errors import BackendError
from mile_policy_node.kinematics import ArmModel
from mile_ros.qos import COMMAND, SENSOR
from mile_ros.stamps import to_seconds


class SimBackend:
    """Implements `ArmBackend` for the world process of `mile_sim`, which holds its last target by itself."""

    def __init__(self, node: Node, model: ArmModel, task: TaskConfig, config: ArmConfig, notify: Callable[[], None]) -> None:
        self._node = node
        self._model = model
        self._closed_m = task.gripper_closed_m
        self._reset_timeout_s = config.reset_timeout_s
        self._notify = notify
        self._observation: ArmObservation | None = None
        self._fault = ''
        self._fresh = Future()
        self._fresh_after = 0.0
        # a reset is awaited inside a service callback, so its answer must come through another callback group
        self._replies = MutuallyExclusiveCallbackGroup()
        self._targets = node.create_publisher(JointState, 'sim/joint_target', COMMAND)
        self._reset = node.create_client(ResetArm, 'sim/reset', callback_group=self._replies)
        node.create_subscription(JointState, 'joint_states', self._on_joint_state, SENSOR)

    def observe(self) -> ArmObservation | None:
        """See `ArmBackend`."""
        return self._observation

    def send(self, target: JointTarget) -> JointTarget:
        """See `ArmBackend`."""
        message = JointState(name=[*self._model.joint_names, 'gripper'], position=[*target.joints.tolist(), target.opening])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._targets.publish(message)
        return target

    def hold(self) -> None:
        """See `ArmBackend`; the world holds its last target by itself."""

    async def torque(self, enable: bool) -> None:
        """See `ArmBackend`."""
        msg = f'torque: got {"on" if enable else "off"}, but the simulated arm has no torque to switch'
        raise BackendError(msg)

    def faults(self) -> str:
        """See `ArmBackend`."""
        return self._fault

    async def reset(self, seed: int) -> float | None:
        """See `ArmBackend`; the world starts with its gripper closed around the block."""
        if not self._reset.service_is_ready():
            msg = 'sim/reset: nobody serves it; start the simulated world (sim_node)'
            raise BackendError(msg)
        answer = await self._within_timeout(self._reset.call_async(ResetArm.Request(seed=seed)))
        if not answer.accepted:
            msg = f'sim/reset: {answer.message}'
            raise BackendError(msg)
        self._fresh, self._fresh_after = Future(), self._now()
        await self._within_timeout(self._fresh)
        return self._closed_m

    def close(self) -> None:
        """See `ArmBackend`; the node destroys what was created on it."""

    def _now(self) -> float:
        return float(self._node.get_clock().now().nanoseconds) * 1e-9

    async def _within_timeout(self, future: Future) -> ResetArm.Response:
        def give_up() -> None:
            if not future.done():
                future.set_exception(BackendError(f'sim/reset: no answer within {self._reset_timeout_s} s'))

        timer = self._node.create_timer(self._reset_timeout_s, give_up, callback_group=self._replies)
        try:
            return await future
        finally:
            self._node.destroy_timer(timer)

    def _on_joint_state(self, message: JointState) -> None:
        try:
            self._observation = read_joint_state(self._model, to_seconds(message.header.stamp), message.name, message.position)
            self._fault = ''
        except BackendError as error:
            self._fault = str(error)
        else:
            if self._observation.stamp > self._fresh_after and not self._fresh.done():
                self._fresh.set_result(None)
        self._notify()
