"""The observation s that the policy consumes, by its layout: from the arm's state, from what is known of the scene, from the camera."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mile_learner.config import Config, option
from mile_learner.layout import ARM_ENTRIES, image_entry, scene_entries
from mile_learner.step import Array
from mile_policy_node.errors import ObservationError


@dataclass(frozen=True)
class ObservationConfig(Config):
    """How old an input may be."""

    arm_timeout_s: float = option(0.5, doc='an older state of the arm is not used [s]', gt=0.0, le=10.0)
    scene_timeout_s: float = option(0.5, doc='an older scene is not used [s]', gt=0.0, le=10.0)
    camera_timeout_s: float = option(0.5, doc='an older image is not used [s]', gt=0.0, le=10.0)


@dataclass(frozen=True)
class Reading:
    """One input: its named values, an array for an entry of several numbers, and when they were measured [s]."""

    stamp: float
    values: Mapping[str, float | Array]


@dataclass(frozen=True)
class Observation:
    """Values in the order of the layout, shape (d,), the stamp of the oldest input among them, and of the image, 0 without one [s]."""

    values: Array
    stamp: float
    image_stamp: float


def arm_reading(stamp: float, ee_position: Sequence[float], opening: float) -> Reading:
    """The arm's entries: `ee_position` (3,) [m] and `opening` [m]."""
    return Reading(stamp, dict(zip(ARM_ENTRIES, (*map(float, ee_position), float(opening)), strict=True)))


class ObservationAssembler:
    """Puts observations together for one layout."""

    def __init__(self, layout: Sequence[str], config: ObservationConfig) -> None:
        self._layout = tuple(layout)
        self._config = config
        self._needs_arm = any(name in ARM_ENTRIES for name in self._layout)
        self._needs_image = bool(image_entry(self._layout))
        self._needs_scene = bool(scene_entries(self._layout))

    def assemble(self, arm: Reading | None, scene: Reading | None, now: float, image: Reading | None = None) -> Observation:
        """The observation at `now` [s] from the newest inputs, None where there is none yet.

        Raises:
            ObservationError: an input that the layout needs is missing, too old, incomplete, or not finite.
        """
        readings = []
        if self._needs_arm:
            readings.append(_fresh('arm_state', arm, self._config.arm_timeout_s, now))
        if self._needs_scene:
            readings.append(_fresh('scene', scene, self._config.scene_timeout_s, now))
        if self._needs_image:
            readings.append(_fresh('camera', image, self._config.camera_timeout_s, now))
        known = {name: value for reading in reversed(readings) for name, value in reading.values.items()}
        missing = [name for name in self._layout if name not in known]
        if missing:
            msg = f'observation: {", ".join(missing)} missing; arm and scene provide {", ".join(known)}'
            raise ObservationError(msg)
        values = np.concatenate([np.atleast_1d(np.asarray(known[name], np.float32)) for name in self._layout])
        if not np.isfinite(values).all():
            bad = [name for name in self._layout if not np.isfinite(known[name]).all()]
            msg = f'observation: {", ".join(bad)} not finite'
            raise ObservationError(msg)
        image_stamp = image.stamp if self._needs_image and image is not None else 0.0
        return Observation(values, min(reading.stamp for reading in readings), image_stamp)


def _fresh(topic: str, reading: Reading | None, limit: float, now: float) -> Reading:
    if reading is None:
        msg = f'{topic}: nothing received yet'
        raise ObservationError(msg)
    age = now - reading.stamp
    if abs(age) > limit:
        msg = f'{topic}: is {age:.2f} s old, limit {limit} s'
        raise ObservationError(msg)
    return reading
