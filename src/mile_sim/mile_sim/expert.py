"""A scripted, closed-loop expert of block insertion, with knobs that turn it into a mediocre teacher.

It centres the block over the hole, comes down as it does so, and lifts off again where the block would touch the lid beside the hole: the
further from the centre, the higher it stays. Its pace is a person's: 40 to 100 ticks per episode at 10 Hz.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mile_learner.config import Config, option
from mile_learner.step import Array

_HOLE_CENTRE_M = (0.27, 0.0)


@dataclass(frozen=True)
class ExpertConfig(Config):
    """How the expert moves, how steady its hand is, and how wrongly it sees."""

    step_size_m: float = option(0.005, doc="end-effector displacement of a full-scale action: the task's [m]", gt=0.0, le=0.05)
    gain: float = option(0.4, doc='fraction of the remaining way that it goes in one tick', gt=0.0, le=1.0)
    speed: float = option(0.4, doc='largest action along each axis', gt=0.0, le=1.0)
    tolerance_m: float = option(0.0006, doc='off centre by less it comes all the way down [m]', gt=0.0, le=0.01)
    slope: float = option(6.0, doc='height over the lid per distance beyond the tolerance', ge=0.0, le=50.0)
    hover_m: float = option(0.012, doc='it never waits higher over the lid [m]', ge=0.0, le=0.1)
    depth_m: float = option(0.015, doc='how deep into the hole it aims [m]', gt=0.0, le=0.05)
    noise: float = option(0.0, doc='standard deviation of Gaussian noise on its displacements', ge=0.0, le=2.0)
    offset_x_m: float = option(0.0, doc='it believes the hole this much further in x [m]', ge=-0.05, le=0.05)
    offset_y_m: float = option(0.0, doc='it believes the hole this much further in y [m]', ge=-0.05, le=0.05)
    scale_error: float = option(0.0, doc='it believes the hole further from the middle of the table by this fraction', ge=-0.5, le=0.5)


class Expert:
    """Acts on one observation at a time; only its noise has a memory, the random generator's."""

    def __init__(self, config: ExpertConfig | None = None, rng: np.random.Generator | None = None) -> None:
        self.config = config or ExpertConfig()
        self._rng = rng or np.random.default_rng(0)

    def intention(self, observation: Array) -> Array:
        """The action it means, shape (4,), for an observation of the task's layout, shape (7,)."""
        config = self.config
        to_hole = observation[4:6] + self._belief_error(observation)
        height = -float(observation[6])
        off_centre = float(np.hypot(*to_hole))
        in_hole = height < -0.002
        target = -config.depth_m
        if not in_hole and off_centre > config.tolerance_m:
            target = min(config.hover_m, config.slope * (off_centre - config.tolerance_m))
        rate = config.gain / config.step_size_m
        sideways = np.clip(rate * to_hole, -config.speed, config.speed)
        down = np.clip(rate * (target - height), -config.speed, config.speed)
        return np.array([*sideways, down, -1.0], np.float32)

    def action(self, observation: Array) -> Array:
        """What its hand does: the intention with the noise, clipped to [-1, 1], shape (4,)."""
        action = self.intention(observation)
        if self.config.noise > 0:
            action[:3] += self._rng.normal(0.0, self.config.noise, 3)
        return np.clip(action, -1.0, 1.0).astype(np.float32)

    def _belief_error(self, observation: Array) -> NDArray[np.float64]:
        """How far beside the true hole the believed one lies, shape (2,) [m]."""
        hole = observation[0:2] + observation[4:6]
        return np.array([self.config.offset_x_m, self.config.offset_y_m]) + self.config.scale_error * (hole - _HOLE_CENTRE_M)
