"""Observations by layout: order, provenance, age."""

from __future__ import annotations

import numpy as np
import pytest

from mile_policy_node.errors import ObservationError
from mile_policy_node.observation import ObservationAssembler, ObservationConfig, Reading, arm_reading

CONFIG = ObservationConfig(arm_timeout_s=0.5, scene_timeout_s=1.0)
LAYOUT = ('block_x', 'ee_z', 'gripper', 'ee_x')
ARM = arm_reading(10.0, [0.1, 0.2, 0.3], 0.04)
SCENE = Reading(9.8, {'block_x': 7.0, 'other': 8.0})


def test_values_stand_in_the_order_of_the_layout_with_the_oldest_stamp() -> None:
    observation = ObservationAssembler(LAYOUT, CONFIG).assemble(ARM, SCENE, 10.1)
    np.testing.assert_array_equal(observation.values, np.array([7.0, 0.3, 0.04, 0.1], np.float32))
    assert observation.values.dtype == np.float32
    assert observation.stamp == 9.8


def test_only_what_the_layout_needs_is_waited_for() -> None:
    assert ObservationAssembler(['ee_x'], CONFIG).assemble(ARM, None, 10.1).stamp == 10.0
    assert ObservationAssembler(['block_x'], CONFIG).assemble(None, SCENE, 10.1).stamp == 9.8


def test_the_scene_cannot_stand_in_for_the_arm() -> None:
    scene = Reading(10.0, {'block_x': 7.0, 'ee_x': 99.0, 'ee_z': 99.0, 'gripper': 99.0})
    assert ObservationAssembler(LAYOUT, CONFIG).assemble(ARM, scene, 10.1).values[3] == np.float32(0.1)


def test_features_stand_in_their_place_with_the_images_own_stamp_and_timeout() -> None:
    assembler = ObservationAssembler(('ee_x', 'net:3', 'gripper'), ObservationConfig(camera_timeout_s=0.2))
    image = Reading(9.9, {'net:3': np.array([5.0, 6.0, 7.0], np.float32)})
    observation = assembler.assemble(ARM, None, 10.05, image)
    np.testing.assert_array_equal(observation.values, np.array([0.1, 5.0, 6.0, 7.0, 0.04], np.float32))
    assert (observation.stamp, observation.image_stamp) == (9.9, 9.9)
    for seen, message in [
        (None, 'camera: nothing received yet'),
        (Reading(9.7, image.values), 'camera: is 0.35 s old, limit 0.2 s'),
        (Reading(10.0, {'net:3': np.full(3, np.nan, np.float32)}), 'net:3 not finite'),
    ]:
        with pytest.raises(ObservationError, match=message):
            assembler.assemble(ARM, None, 10.05, seen)


@pytest.mark.parametrize(
    ('arm', 'scene', 'now', 'message'),
    [
        (None, SCENE, 10.0, 'arm_state: nothing received yet'),
        (ARM, None, 10.0, 'scene: nothing received yet'),
        (ARM, SCENE, 10.6, 'arm_state: is 0.60 s old, limit 0.5 s'),
        (ARM, SCENE, 9.0, 'arm_state: is -1.00 s old, limit 0.5 s'),
        (ARM, Reading(8.0, SCENE.values), 10.0, 'scene: is 2.00 s old, limit 1.0 s'),
        (ARM, Reading(10.0, {'block_y': 1.0}), 10.0, 'block_x missing; arm and scene provide block_y, ee_x, ee_y, ee_z, gripper'),
        (ARM, Reading(10.0, {'block_x': float('nan')}), 10.0, 'block_x not finite'),
        (arm_reading(10.0, [0.1, 0.2, float('inf')], 0.04), SCENE, 10.0, 'ee_z not finite'),
    ],
)
def test_what_cannot_be_used_is_named(arm: Reading | None, scene: Reading | None, now: float, message: str) -> None:
    with pytest.raises(ObservationError, match=message):
        ObservationAssembler(LAYOUT, CONFIG).assemble(arm, scene, now)
