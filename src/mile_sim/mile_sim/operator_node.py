"""The simulated operator as a ROS node: watches arm, scene and steps, and presses a pad; everything behind `joy` is what a person uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mile_msgs.msg import ArmState, Scene, Step, TeleopStatus
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import Joy

from mile_learner.config import option
from mile_learner.run_folder import DEMONSTRATE, DEPLOY, SHOW
from mile_learner.step import Array
from mile_learner.task import TaskConfig
from mile_policy_node.errors import ObservationError
from mile_policy_node.observation import ObservationAssembler, ObservationConfig, Reading, arm_reading
from mile_ros.main import run_node
from mile_ros.parameters import declare_from
from mile_ros.qos import LATCHED, RECORD, SENSOR
from mile_ros.stamps import to_seconds
from mile_sim.block_insertion import LAYOUT
from mile_sim.expert import ExpertConfig
from mile_sim.fixed_role import FixedRole
from mile_sim.operator import HAND_NOISE, load_operator
from mile_sim.pad_operator import PadOperator, Person
from mile_teleop.pad import PadConfig, PadMapping
from mile_teleop.takeover import PRESS_REASONS

SLOWEST_JOY_HZ = 25.0
FASTEST_JOY_HZ = 250.0


@dataclass(frozen=True)
class OperatorNodeConfig(ObservationConfig):
    """Parameters of operator_node."""

    task_file: str = option(doc='path of the task, config/task_<name>.yaml')
    pad_file: str = option(doc="path of the pad's mapping, config/pad_<name>.yaml")
    mode: str = option(DEPLOY, doc='it takes over where it must, demonstrates, or only watches', choices=(DEPLOY, DEMONSTRATE, SHOW))
    operator_dir: str = option('', doc='folder of the operator that takes over, made by `mile prepare`')
    speed: float = option(1.0, doc='times real time', gt=0.0, le=100.0)
    seed: int = option(0, doc='of everything random in its behaviour', ge=0)
    joy_rate_hz: float = option(30.0, doc='pad messages per second of task time; 25 to 250 per second of the clock [Hz]', gt=0.0)


class OperatorNode(Node):
    """Wires `PadOperator` to its topics."""

    def __init__(self) -> None:
        super().__init__('operator_node')
        config = declare_from(self, OperatorNodeConfig)
        task = TaskConfig.from_yaml(Path(config.task_file))
        self._operator = PadOperator(
            _person(config, task),
            PadMapping(PadConfig.from_yaml(Path(config.pad_file))),
            observation_dim=len(LAYOUT),
            period_s=1 / task.rate_hz,
            speed=config.speed,
            seed=config.seed,
        )
        self._assembler = ObservationAssembler(LAYOUT, config)
        self._sees_what_the_policy_does = task.observation_layout == LAYOUT
        self._arm: Reading | None = None
        self._scene: Reading | None = None
        self._episode_id = ''
        self._joys = self.create_publisher(Joy, 'joy', SENSOR)
        self.create_subscription(ArmState, 'arm_state', self._on_arm_state, SENSOR)
        self.create_subscription(Scene, 'scene', self._on_scene, SENSOR)
        self.create_subscription(TeleopStatus, 'teleop_status', self._on_status, LATCHED)
        self.create_subscription(Step, 'step', self._on_step, RECORD)
        rate_hz = min(max(config.joy_rate_hz * config.speed, SLOWEST_JOY_HZ), FASTEST_JOY_HZ)
        self.create_timer(1 / rate_hz, self._publish_joy, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _now(self) -> float:
        return float(self.get_clock().now().nanoseconds) * 1e-9

    def _on_arm_state(self, message: ArmState) -> None:
        self._arm = arm_reading(to_seconds(message.header.stamp), message.ee_position, message.gripper_opening)

    def _on_scene(self, message: Scene) -> None:
        self._scene = Reading(to_seconds(message.header.stamp), dict(zip(message.names, message.values, strict=False)))

    def _on_status(self, message: TeleopStatus) -> None:
        self._episode_id = message.episode_id
        self._operator.on_status(message.episode_id, press_asked=message.reason in PRESS_REASONS)

    def _on_step(self, message: Step) -> None:
        if message.episode_id == self._episode_id and len(message.observation):
            robot_acted = message.source == Step.SOURCE_POLICY
            observation: Array | None = np.asarray(message.observation, np.float32)
            if not self._sees_what_the_policy_does:
                observation = self._look(self._now())
            if observation is not None:
                self._operator.on_step(observation, message.robot_action, robot_acted=robot_acted)

    def _publish_joy(self) -> None:
        now = self._now()
        axes, buttons = self._operator.press(self._look(now), now)
        message = Joy(axes=axes, buttons=buttons)
        message.header.stamp = self.get_clock().now().to_msg()
        self._joys.publish(message)

    def _look(self, now: float) -> Array | None:
        """The newest observation; None between episodes, and where arm or scene cannot be seen."""
        if not self._episode_id:
            return None
        try:
            return self._assembler.assemble(self._arm, self._scene, now).values
        except ObservationError as error:
            self.get_logger().warning(f'the operator lets go: {error}', throttle_duration_sec=1.0)
            return None


def _person(config: OperatorNodeConfig, task: TaskConfig) -> Person:
    if config.mode == DEPLOY:
        return load_operator(Path(config.operator_dir))
    expert = ExpertConfig(step_size_m=task.step_size_m, noise=HAND_NOISE)
    return FixedRole(expert, history=task.history, driving=config.mode == DEMONSTRATE)


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until interrupted."""
    return run_node(OperatorNode, args)
