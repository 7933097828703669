"""What the policy sees: the newest camera image as features, computed when a tick asks for them and once per image."""

from __future__ import annotations

from mile_learner.encoders import encoder_kind
from mile_learner.encoders.encoder import Encoder, decode_image
from mile_learner.errors import LearnerError
from mile_learner.layout import image_entry
from mile_learner.task import TaskConfig
from mile_policy_node.errors import ObservationError
from mile_policy_node.observation import Reading


def open_encoder(task: TaskConfig) -> Encoder | None:
    """The encoder that the task's observation layout names; None if it names none.

    Raises:
        LearnerError: no encoder of that name or size, or it cannot be used on this machine.
    """
    entry = image_entry(task.observation_layout)
    if not entry:
        return None
    kind = encoder_kind(entry.partition(':')[0])
    if kind.entry != entry:
        msg = f'observation_layout: got {entry!r}, expected {kind.entry!r}'
        raise LearnerError(msg)
    return kind.open()


class Vision:
    """Holds the newest image; not thread-safe."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._image: tuple[float, bytes] | None = None
        self._reading: Reading | None = None

    def see(self, stamp: float, data: bytes) -> None:
        """A compressed image, taken at `stamp` [s], replaces the one before."""
        self._image = stamp, data

    def look(self) -> Reading | None:
        """The features of the newest image, None where there is none yet.

        Raises:
            ObservationError: it is no image.
        """
        if self._image is not None:
            stamp, data = self._image
            try:
                features = self._encoder.encode(decode_image(data))
            except LearnerError as error:
                msg = f'camera: {error}'
                raise ObservationError(msg) from error
            self._image, self._reading = None, Reading(stamp, {self._encoder.kind.entry: features})
        return self._reading
