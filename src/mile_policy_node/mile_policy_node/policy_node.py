"""The policy as a ROS node: answers every `tick` with a `policy_output` of the same index; loads a policy version between episodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mile_msgs.msg import ArmState, PolicyOutput, Scene, TeleopStatus, Tick
from mile_msgs.srv import LoadPolicy
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage

from mile_learner.config import option
from mile_learner.task import TaskConfig
from mile_policy_node.errors import PolicyError
from mile_policy_node.observation import ObservationConfig, Reading, arm_reading
from mile_policy_node.policy_runner import PolicyRunner
from mile_policy_node.vision import Vision, open_encoder
from mile_ros.main import run_node
from mile_ros.parameters import declare_from
from mile_ros.qos import IMAGE, LATCHED, SENSOR, TURN
from mile_ros.stamps import to_seconds, to_stamp


@dataclass(frozen=True)
class PolicyNodeConfig(ObservationConfig):
    """Parameters of policy_node."""

    task_file: str = option(doc='path of the task, config/task_<name>.yaml')


class PolicyNode(Node):
    """Wires `PolicyRunner` to its topics."""

    def __init__(self) -> None:
        super().__init__('policy_node')
        config = declare_from(self, PolicyNodeConfig)
        self._task = TaskConfig.from_yaml(Path(config.task_file))
        self._runner = PolicyRunner(self._task, config, self._now)
        self._arm: Reading | None = None
        self._scene: Reading | None = None
        self._episode_id = ''
        encoder = open_encoder(self._task)
        self._vision = None if encoder is None else Vision(encoder)
        if self._vision is not None:
            self.create_subscription(CompressedImage, 'camera/image/compressed', self._on_image, IMAGE)
        self._outputs = self.create_publisher(PolicyOutput, 'policy_output', TURN)
        self.create_subscription(ArmState, 'arm_state', self._on_arm_state, SENSOR)
        self.create_subscription(Scene, 'scene', self._on_scene, SENSOR)
        self.create_subscription(TeleopStatus, 'teleop_status', self._on_status, LATCHED)
        self.create_subscription(Tick, 'tick', self._on_tick, TURN)
        self.create_service(LoadPolicy, 'load_policy', self._on_load)

    def _now(self) -> float:
        return float(self.get_clock().now().nanoseconds) * 1e-9

    def _on_arm_state(self, message: ArmState) -> None:
        self._arm = arm_reading(to_seconds(message.header.stamp), message.ee_position, message.gripper_opening)

    def _on_scene(self, message: Scene) -> None:
        self._scene = Reading(to_seconds(message.header.stamp), dict(zip(message.names, message.values, strict=False)))

    def _on_image(self, message: CompressedImage) -> None:
        assert self._vision is not None
        self._vision.see(to_seconds(message.header.stamp), bytes(message.data))

    def _on_status(self, message: TeleopStatus) -> None:
        self._episode_id = message.episode_id

    def _on_tick(self, message: Tick) -> None:
        answer = self._runner.answer(message.episode_id, message.index, self._arm, self._scene, self._look)
        output = PolicyOutput(
            episode_id=message.episode_id,
            index=message.index,
            observation=answer.observation,
            observation_stamp=to_stamp(answer.observation_stamp),
            image_stamp=to_stamp(answer.image_stamp),
            action=answer.action,
            valid=answer.valid,
            detail=answer.detail,
            intervention_probability=answer.intervention_probability,
            policy_version=answer.policy_version,
            inference_ms=answer.inference_ms,
        )
        output.header.stamp = message.header.stamp
        self._outputs.publish(output)
        if not answer.valid:
            self.get_logger().warning(f'tick {message.index}: {answer.detail}', throttle_duration_sec=1.0)

    def _look(self) -> Reading | None:
        return None if self._vision is None else self._vision.look()

    def _on_load(self, request: LoadPolicy.Request, response: LoadPolicy.Response) -> LoadPolicy.Response:
        if self._episode_id:
            response.message = f'episode {self._episode_id!r} is running; a policy changes only between episodes'
        else:
            try:
                self._runner.load(Path(request.path))
                response.accepted = True
            except PolicyError as error:
                response.message = str(error)
        response.version = self._runner.version
        response.observation_layout = list(self._task.observation_layout)
        self.get_logger().info(f'policy {response.version} loaded' if response.accepted else f'policy not loaded: {response.message}')
        return response


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until interrupted."""
    return run_node(PolicyNode, args)
