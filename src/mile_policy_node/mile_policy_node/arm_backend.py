"""What every arm driver promises, and the drivers by name."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mile_learner.config import ConfigError
from mile_policy_node.errors import BackendError
from mile_policy_node.kinematics import ArmModel, Floats

if TYPE_CHECKING:
    from mile_learner.task import TaskConfig
    from mile_policy_node.arm import ArmConfig

BACKENDS = {
    'sim': 'mile_policy_node.backend_sim:SimBackend',
    'xs': 'mile_policy_node.backend_xs:XsBackend',
}
"""Name to 'module:class'; imported only when chosen, so that a driver's own dependencies are needed only where it runs."""

INSTALLS = {'xs': "the vendor's ROS 2 workspace (interbotix_xs_modules and what it needs), then source it; see docs/robot_pc.md"}
"""What to install for a driver whose modules are missing."""


@dataclass(frozen=True)
class ArmObservation:
    """The arm as measured.

    Attributes:
        stamp: when [s].
        joints: shape (n,) [rad].
        opening: between the finger pads [m].
    """

    stamp: float
    joints: Floats
    opening: float


@dataclass(frozen=True)
class JointTarget:
    """What goes to the motors: joints, shape (n,) [rad], and the opening between the finger pads [m]."""

    joints: Floats
    opening: float


class ArmBackend(Protocol):
    """An arm driver. It is built with (node, model, task, config, notify) and calls `notify()` after every new measurement."""

    def observe(self) -> ArmObservation | None:
        """The newest measurement; None before the first."""

    def send(self, target: JointTarget) -> JointTarget:
        """Send a target without waiting, and return what was really sent: `target` itself where nothing was changed.

        Raises:
            BackendError: nothing was sent.
        """

    def hold(self) -> None:
        """Stay at the last target; called when commands fall silent or ask for it."""

    async def torque(self, enable: bool) -> None:
        """Switch the motors' torque; without it the arm falls. Motors that are switched on stay where they are then.

        Raises:
            BackendError: this arm cannot, or where it is is not known.
        """

    def faults(self) -> str:
        """What is wrong with the arm, in one line; empty if nothing is."""

    async def reset(self, seed: int) -> float | None:
        """Bring the arm to a start pose; afterwards `observe` returns a measurement taken there.

        Returns:
            The opening that the gripper is now commanded to [m]; None if unknown. (Around a held object it is not the measured one.)

        Raises:
            BackendError: the arm is not at a start pose.
        """

    def close(self) -> None:
        """Release the driver; the arm stays where it is."""


def make_backend(node: Any, model: ArmModel, task: TaskConfig, config: ArmConfig, notify: Callable[[], None]) -> ArmBackend:
    """Build the driver that `config.backend` names, for the rclpy node `node`.

    Raises:
        ConfigError: no such driver, or what it needs is not installed.
    """
    location = BACKENDS.get(config.backend)
    if location is None:
        msg = f'backend: got {config.backend!r}, expected one of {", ".join(map(repr, BACKENDS))}'
        raise ConfigError(msg)
    module, _, name = location.partition(':')
    try:
        factory = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        install = INSTALLS.get(config.backend, 'it')
        msg = f'backend {config.backend!r}: needs the module {error.name!r}, which is not installed; install {install}'
        raise ConfigError(msg) from error
    backend: ArmBackend = factory(node, model, task, config, notify)
    return backend


def read_joint_state(model: ArmModel, stamp: float, names: Sequence[str], positions: Sequence[float]) -> ArmObservation:
    """A measurement from the fields of a sensor_msgs/JointState: the model's joints [rad], left_finger and right_finger [m].

    Raises:
        BackendError: a joint is missing, or an angle is not finite.
    """
    values = dict(zip(names, positions, strict=False))
    wanted = (*model.joint_names, 'left_finger', 'right_finger')
    missing = [name for name in wanted if name not in values]
    if missing:
        msg = f'joint_states: got {", ".join(values) or "nothing"}; {", ".join(missing)} missing'
        raise BackendError(msg)
    measured = np.array([values[name] for name in wanted], np.float64)
    if not np.isfinite(measured).all():
        msg = f'joint_states: not finite: {measured.tolist()}'
        raise BackendError(msg)
    return ArmObservation(stamp, measured[:-2], float(measured[-2] - measured[-1] - 2 * model.finger_pad_offset_m))
