"""The simulated world as a ROS node: joint targets in; joint states, the scene and camera images out, in real time times `speed`."""

from __future__ import annotations

import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from builtin_interfaces.msg import Time
from mile_msgs.msg import Scene
from mile_msgs.srv import ResetArm
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, JointState

from mile_learner.config import Config, option
from mile_learner.task import TaskConfig
from mile_ros.main import run_node
from mile_ros.parameters import declare_from
from mile_ros.qos import COMMAND, IMAGE, SENSOR
from mile_sim.block_insertion import LAYOUT
from mile_sim.camera import CAMERAS, Camera
from mile_sim.errors import SimError
from mile_sim.eyes import JPEG_QUALITY, SIZE, check_layout, compress
from mile_sim.model import ARM_JOINTS, FINGER_JOINTS, gripper_angle
from mile_sim.pacing import Pacing
from mile_sim.world import World

TARGET_NAMES = (*ARM_JOINTS, 'gripper')
STATE_NAMES = (*ARM_JOINTS, 'gripper', *FINGER_JOINTS)
SCENE_NAMES = list(LAYOUT[4:])
FASTEST_TIMER_HZ = 250.0


@dataclass(frozen=True)
class SimNodeConfig(Config):
    """Parameters of sim_node."""

    task_file: str = option(doc='path of the task, config/task_<name>.yaml')
    speed: float = option(1.0, doc='times real time', gt=0.0, le=100.0)
    state_rate_hz: float = option(60.0, doc='joint states and scenes per simulated second, at most 250 per real one [Hz]', gt=0.0)
    image_rate_hz: float = option(5.0, doc='camera images per real second; 0: none [Hz]', ge=0.0, le=60.0)
    image_size: int = option(SIZE, doc='width and height of an image [pixel]', ge=16, le=480)
    camera: str = option('front', doc='which camera', choices=CAMERAS)
    jpeg_quality: int = option(JPEG_QUALITY, doc='of the images', ge=1, le=100)


class SimNode(Node):
    """Wires `World` to its topics and gives it a clock."""

    def __init__(self) -> None:
        super().__init__('sim_node')
        self._config = declare_from(self, SimNodeConfig)
        task = TaskConfig.from_yaml(Path(self._config.task_file))
        check_layout(task.observation_layout, LAYOUT)
        self._closed_m = task.gripper_closed_m
        self._world = World()
        self._seed = 0
        self._world.reset(self._seed, self._closed_m)
        self._pacing = Pacing(self._config.speed, self._world.scene.timestep_s)
        self._states = self.create_publisher(JointState, 'joint_states', SENSOR)
        self._scenes = self.create_publisher(Scene, 'scene', SENSOR)
        self._images = self.create_publisher(CompressedImage, 'camera/image/compressed', IMAGE)
        self.create_subscription(JointState, 'sim/joint_target', self._on_target, COMMAND)
        self.create_service(ResetArm, 'sim/reset', self._on_reset)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1 / min(self._config.state_rate_hz * self._config.speed, FASTEST_TIMER_HZ), self._on_timer, clock=steady)
        self._camera = self._open_camera()
        if self._camera is not None:
            self.create_timer(1 / self._config.image_rate_hz, self._publish_image, clock=steady)

    def destroy_node(self) -> None:
        """Free the renderer, then the node."""
        if self._camera is not None:
            self._camera.close()
        super().destroy_node()

    def _open_camera(self) -> Camera | None:
        if self._config.image_rate_hz == 0:
            return None
        try:
            return Camera(self._world.model, self._config.image_size, self._config.image_size, self._config.camera)
        except SimError as error:
            self.get_logger().warning(str(error))
            return None

    def _on_timer(self) -> None:
        due = self._pacing.due(time.monotonic())
        if due > 0:
            self._world.advance(due)
        self._publish_state()

    def _publish_state(self) -> None:
        stamp = self.get_clock().now().to_msg()
        self._states.publish(joint_state(self._world, stamp))
        scene = Scene(names=SCENE_NAMES, values=self._world.block_to_hole.astype(np.float32), success=self._world.success, seed=self._seed)
        scene.header.stamp = stamp
        self._scenes.publish(scene)

    def _publish_image(self) -> None:
        assert self._camera is not None
        message = CompressedImage(format='jpeg')
        message.header.stamp = self.get_clock().now().to_msg()
        message.header.frame_id = self._config.camera
        message.data = array('B', compress(self._camera.render(self._world.data), self._config.jpeg_quality))
        self._images.publish(message)

    def _on_target(self, message: JointState) -> None:
        target = np.array(message.position, np.float64)
        if tuple(message.name) != TARGET_NAMES or target.shape != (len(TARGET_NAMES),) or not np.isfinite(target).all():
            got = ', '.join(f'{name} {value:.3f}' for name, value in zip(message.name, message.position, strict=False))
            self.get_logger().warning(f'sim/joint_target ignored: got {got or "nothing"}; expected finite {", ".join(TARGET_NAMES)}')
            return
        self._world.command(target[:-1], float(target[-1]))

    def _on_reset(self, request: ResetArm.Request, response: ResetArm.Response) -> ResetArm.Response:
        try:
            self._world.reset(request.seed, self._closed_m)
        except SimError as error:
            response.message = str(error)
            return response
        self._seed = request.seed
        self._publish_state()
        response.accepted = True
        return response


def joint_state(world: World, stamp: Time) -> JointState:
    """The message that the real arm's driver would send: with the gripper's motor beside the two fingers."""
    positions, velocities, efforts = world.positions, world.velocities, world.efforts
    angle, slope = gripper_angle(positions[-2])
    message = JointState(
        name=list(STATE_NAMES),
        position=[*positions[:-2], angle, *positions[-2:]],
        velocity=[*velocities[:-2], slope * velocities[-2], *velocities[-2:]],
        effort=[*efforts[:-2], (efforts[-2] - efforts[-1]) / slope, *efforts[-2:]],
    )
    message.header.stamp = stamp
    return message


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until interrupted."""
    return run_node(SimNode, args)
