"""What a policy sees of the simulated world through a camera: rendered, compressed, encoded, as between sim_node and policy_node."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from mile_learner.encoders.encoder import decode_image
from mile_learner.layout import ARM_ENTRIES, image_entry
from mile_learner.step import Array
from mile_learner.task import TaskConfig
from mile_policy_node.vision import open_encoder
from mile_sim.camera import Camera
from mile_sim.errors import SimError
from mile_sim.world import World

CAMERA = 'wrist'
"""The camera that a policy looks through: it sees where the gripped block is over the hole (benchmarks/pixels compares)."""
SIZE = 256
"""What encoders make of an image before they cut out the middle, so that nothing is resized."""
JPEG_QUALITY = 85


class Eyes:
    """One camera and one encoder; opened late, because both are slow to open. Not thread-safe."""

    def __init__(self, world: World, task: TaskConfig) -> None:
        """Open them.

        Raises:
            SimError: no offscreen renderer on this machine.
            LearnerError: the encoder cannot be used.
        """
        encoder = open_encoder(task)
        if encoder is None:
            msg = f'observation_layout: got {", ".join(task.observation_layout)}, expected an image encoder among them'
            raise SimError(msg)
        self._encoder = encoder
        self._camera = Camera(world.model, SIZE, SIZE, CAMERA)
        self._world = world

    def features(self) -> Array:
        """Of the world as it is now, (features,)."""
        return self._encoder.encode(decode_image(compress(self._camera.render(self._world.data), JPEG_QUALITY)))

    def close(self) -> None:
        """Free the renderer."""
        self._camera.close()


def compress(image: NDArray[np.uint8], quality: int) -> bytes:
    """An image (H, W, 3) RGB as JPEG."""
    _, encoded = cv2.imencode('.jpg', cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return encoded.tobytes()


def check_layout(layout: Sequence[str], known: Sequence[str]) -> None:
    """Refuse a layout that a world that knows the entries `known` does not provide: these, or the arm's beside an image encoder.

    Raises:
        SimError: it is another one.
    """
    image = image_entry(layout)
    if tuple(layout) != (*ARM_ENTRIES, image) if image else tuple(layout) != tuple(known):
        msg = f'observation_layout: got {", ".join(layout)}; expected {", ".join(known)}, or {", ".join(ARM_ENTRIES)} and an image encoder'
        raise SimError(msg)
