"""The newest image becomes features once, and what is no image is no observation."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from mile_learner.errors import LearnerError
from mile_learner.layout import ARM_ENTRIES, image_entry, layout_width
from mile_learner.task import TaskConfig
from mile_policy_node.errors import ObservationError
from mile_policy_node.vision import Vision, open_encoder


class MeanColour:
    """Stands where an encoder does, and counts its calls."""

    kind = SimpleNamespace(entry='mean_colour:3')

    def __init__(self) -> None:
        self.calls = 0

    def encode(self, image: np.ndarray) -> np.ndarray:
        self.calls += 1
        return image.mean(axis=(0, 1)).astype(np.float32)


def png(*colour: int) -> bytes:
    return cv2.imencode('.png', np.full((4, 6, 3), colour[::-1], np.uint8))[1].tobytes()


def test_only_the_newest_image_is_encoded_and_only_once() -> None:
    encoder: Any = MeanColour()
    vision = Vision(encoder)
    assert vision.look() is None
    vision.see(1.0, png(1, 2, 3))
    vision.see(2.0, png(4, 5, 6))
    for _ in range(3):
        reading = vision.look()
        assert reading is not None
        assert reading.stamp == 2.0
        np.testing.assert_array_equal(reading.values['mean_colour:3'], [4, 5, 6])
    assert encoder.calls == 1


def test_what_is_no_image_is_no_observation() -> None:
    encoder: Any = MeanColour()
    vision = Vision(encoder)
    vision.see(1.0, b'rubbish')
    with pytest.raises(ObservationError, match='camera: image: got 7 bytes that are no JPEG or PNG'):
        vision.look()


def test_the_layout_names_the_encoder(task: TaskConfig) -> None:
    assert open_encoder(task) is None
    for entry, message in [('clip:512', "got 'clip', expected one of"), ('r3m:7', "got 'r3m:7', expected 'r3m:2048'")]:
        other = task.from_mapping(task.to_mapping() | {'observation_layout': (*ARM_ENTRIES, entry)})
        with pytest.raises(LearnerError, match=message):
            open_encoder(other)


def test_the_width_of_a_layout_counts_features() -> None:
    layout = (*ARM_ENTRIES, 'r3m:2048')
    assert (image_entry(layout), layout_width(layout), image_entry(ARM_ENTRIES)) == ('r3m:2048', 2052, '')
    for wrong in ('r3m:', 'r3m:x', 'r3m:0'):
        with pytest.raises(ValueError, match='expected a name, or name:n'):
            layout_width([wrong])
    with pytest.raises(ValueError, match='expected at most one image encoder'):
        image_entry(['r3m:2048', 'net:3'])
