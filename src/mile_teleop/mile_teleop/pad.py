"""What the sticks and buttons of a pad mean, and the exact inverse.

Signs follow the ROS `joy` node: left and up are +1. Motion is in the base frame (REP-103): +x away from the base, +y left, +z up.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from mile_learner.config import Config, ConfigError, option
from mile_teleop.errors import PadError


class Button(str, Enum):
    """What a button is for; the value names the field of `PadConfig` that holds its index."""

    TAKEOVER = 'takeover'
    GRIPPER_OPEN = 'gripper_open'
    GRIPPER_CLOSE = 'gripper_close'
    START = 'start'
    SUCCESS = 'success'
    FAILURE = 'failure'
    DISCARD = 'discard'
    RETRAIN = 'retrain'
    ESTOP = 'estop'


EPISODE_BUTTONS = (Button.START, Button.SUCCESS, Button.FAILURE, Button.DISCARD, Button.RETRAIN)


@dataclass(frozen=True)
class PadConfig(Config):
    """One pad, read from config/pad_<name>.yaml. Indices are those of sensor_msgs/Joy."""

    name: str = option(doc='name of the pad')
    axes: int = option(doc='how many axes its messages have', ge=3)
    buttons: int = option(doc='how many buttons its messages have', ge=len(Button))
    motion_axes: tuple[int, int, int] = option(doc='axes that move the arm along x, y, z', ge=0)
    motion_signs: tuple[int, int, int] = option((1, 1, 1), doc='+1 or -1: which way each of them moves it', choices=(1, -1))
    motion_scale: tuple[float, float, float] = option((1.0, 1.0, 1.0), doc='action at full deflection along x, y, z', gt=0.0, le=1.0)
    dead_zone: float = option(0.1, doc='deflection that counts as none', ge=0.0, le=0.9)
    exponent: float = option(1.0, doc='1: linear; larger: finer control near the centre', ge=1.0, le=4.0)
    takeover: int = option(doc='button that takes over (held, or toggled)', ge=0)
    gripper_open: int = option(doc='button that opens the gripper', ge=0)
    gripper_close: int = option(doc='button that closes the gripper', ge=0)
    start: int = option(doc='button that starts an episode', ge=0)
    success: int = option(doc='button that ends it as a success', ge=0)
    failure: int = option(doc='button that ends it as a failure', ge=0)
    discard: int = option(doc='button that ends it and throws it away', ge=0)
    retrain: int = option(doc='button that asks for training now', ge=0)
    estop: int = option(doc='button that stops the arm until an explicit reset', ge=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if max(self.motion_axes) >= self.axes or len(set(self.motion_axes)) != 3:
            msg = f'motion_axes: got {list(self.motion_axes)}, expected three different axes below {self.axes}'
            raise ConfigError(msg)
        for index, count in Counter(self.index(button) for button in Button).items():
            roles = ', '.join(button.value for button in Button if self.index(button) == index)
            if index >= self.buttons:
                msg = f'{roles}: got button {index}, expected one below {self.buttons}'
                raise ConfigError(msg)
            if count > 1:
                msg = f'{roles}: all got button {index}, expected one button each'
                raise ConfigError(msg)

    def index(self, button: Button) -> int:
        """Where in a message's buttons this one is."""
        return int(getattr(self, button.value))


@dataclass(frozen=True)
class PadInput:
    """What the person does with the pad at one instant.

    Attributes:
        motion: commanded motion along x, y, z, each in [-1, 1].
        held: the buttons that are down.
    """

    motion: tuple[float, float, float] = (0.0, 0.0, 0.0)
    held: frozenset[Button] = frozenset()

    @property
    def gripper(self) -> int:
        """+1 to open, -1 to close, 0 to keep the gripper where it is."""
        return (Button.GRIPPER_OPEN in self.held) - (Button.GRIPPER_CLOSE in self.held)


class PadMapping:
    """Between the axes and buttons of a pad and what they mean; stateless."""

    def __init__(self, config: PadConfig) -> None:
        self.config = config
        self._indices = tuple((button, config.index(button)) for button in Button)
        self._motion = tuple(zip(config.motion_axes, config.motion_signs, config.motion_scale, strict=True))

    def read(self, axes: Sequence[float], buttons: Sequence[int]) -> PadInput:
        """Interpret one pad message.

        Args:
            axes: deflections in [-1, 1], shape (config.axes,).
            buttons: 0 or 1, shape (config.buttons,).

        Raises:
            PadError: the device is gone (empty arrays), wrong lengths, or a deflection that is not finite.
        """
        config = self.config
        if len(axes) != config.axes or len(buttons) != config.buttons:
            if not len(axes) and not len(buttons):
                msg = 'pad: the device is gone; connect it again'
                raise PadError(msg)
            msg = (
                f'pad: got {len(axes)} axes and {len(buttons)} buttons, expected {config.axes} and {config.buttons} '
                f'({config.name}); choose the mapping of this pad'
            )
            raise PadError(msg)
        if not all(map(math.isfinite, axes)):
            msg = f'pad: got a deflection that is not finite: {list(axes)}; check its driver'
            raise PadError(msg)
        x, y, z = (sign * scale * self._shape(axes[axis]) for axis, sign, scale in self._motion)
        return PadInput((x, y, z), frozenset([button for button, index in self._indices if buttons[index]]))

    def press(self, action: Sequence[float], *, takeover: bool = False, held: Iterable[Button] = ()) -> tuple[list[float], list[int]]:
        """Axes and buttons that `read` understands as this action: what a simulated operator does with its thumbs.

        Args:
            action: (dx, dy, dz, gripper), shape (4,). Motion beyond `motion_scale` is clipped to it. The gripper component is what
                to press: > 0 the opening button, < 0 the closing button, 0 neither.
            takeover: hold the takeover button.
            held: further buttons that are down.

        Raises:
            PadError: not four finite numbers.
        """
        if len(action) != 4 or not all(map(math.isfinite, action)):
            msg = f'pad: got action {list(action)}, expected four finite numbers'
            raise PadError(msg)
        axes = [0.0] * self.config.axes
        for value, (axis, sign, scale) in zip(action, self._motion, strict=False):
            axes[axis] = sign * self._unshape(value / scale)
        down = set(held) | ({Button.TAKEOVER} if takeover else set())
        if action[3]:
            down.add(Button.GRIPPER_OPEN if action[3] > 0 else Button.GRIPPER_CLOSE)
        buttons = [0] * self.config.buttons
        for button in down:
            buttons[self.config.index(button)] = 1
        return axes, buttons

    def _shape(self, deflection: float) -> float:
        """Dead zone and exponent: [-1, 1] -> [-1, 1], odd, monotonic."""
        beyond = min(abs(deflection), 1.0) - self.config.dead_zone
        if beyond <= 0.0:
            return 0.0
        return math.copysign((beyond / (1.0 - self.config.dead_zone)) ** self.config.exponent, deflection)

    def _unshape(self, value: float) -> float:
        """Inverse of `_shape`; 0 is the centre of the dead zone."""
        if value == 0.0:
            return 0.0
        beyond = min(abs(value), 1.0) ** (1.0 / self.config.exponent)
        return math.copysign(self.config.dead_zone + beyond * (1.0 - self.config.dead_zone), value)
