"""The gymnasium environment: the standard checker, seeds, limits, what its info says, images."""

import os
import subprocess
import sys
import warnings
from dataclasses import replace

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from mile_sim.block_insertion import LAYOUT, BlockInsertion, default_task, observe
from mile_sim.camera import Camera
from mile_sim.errors import SimError
from mile_sim.world import World


def test_it_is_registered_and_passes_the_checker() -> None:
    env = gymnasium.make('mile/BlockInsertion-v0')
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        check_env(env.unwrapped, skip_render_check=True)


def test_a_state_seed_gives_the_same_episode_whatever_came_before() -> None:
    env = BlockInsertion()

    def episode(**how: object) -> np.ndarray:
        first, info = env.reset(**how)  # type: ignore[arg-type]
        assert info['state_seed'] == 42
        return np.array([first] + [env.step([0.5, -0.5, -1.0, -1.0])[0] for _ in range(5)])

    expected = episode(seed=42)
    env.reset(seed=1)
    np.testing.assert_array_equal(episode(options={'state_seed': 42}), expected)
    seeds = {env.reset()[1]['state_seed'] for _ in range(3)}
    assert len(seeds) == 3


def test_an_action_moves_the_end_effector_by_the_step_size() -> None:
    env = BlockInsertion()
    before, _ = env.reset(seed=0)
    for _ in range(3):
        after, _, _, _, info = env.step([1.0, -1.0, -1.0, -1.0])
    np.testing.assert_allclose(info['sent_target'][:3] - before[:3], [0.015, -0.015, -0.015], atol=2e-4)
    np.testing.assert_allclose(after[:3], info['sent_target'][:3], atol=0.004)
    np.testing.assert_allclose(after[4:6] - before[4:6], [-0.015, 0.015], atol=0.004)


def test_it_is_truncated_at_the_step_limit_and_never_succeeds_by_waiting() -> None:
    env = BlockInsertion(replace(default_task(), time_limit_s=1.0))
    env.reset(seed=0)
    ends = [env.step([0.0, 0.0, 0.0, -1.0])[2:4] for _ in range(10)]
    assert ends == [(False, False)] * 9 + [(False, True)]


def test_what_the_gate_refuses_does_not_move_the_arm() -> None:
    env = BlockInsertion()
    before, _ = env.reset(seed=0)
    after, reward, terminated, _, info = env.step([np.nan, 0.0, 0.0, -1.0])
    assert 'finite' in info['detail']
    assert (reward, terminated) == (0.0, False)
    np.testing.assert_allclose(after, before, atol=0.001)


def test_the_observation_follows_the_layout() -> None:
    world = World()
    world.reset(3)
    values = dict(zip(LAYOUT, observe(world), strict=True))
    assert default_task().observation_layout == LAYOUT
    assert values['gripper'] == pytest.approx(world.opening)
    assert values['block_to_hole_z'] < -0.05, 'the block starts above the lid'


def test_bad_requests_are_named() -> None:
    with pytest.raises(SimError, match=r'observation_layout: got ee_x, .*; expected ee_x'):
        BlockInsertion(replace(default_task(), observation_layout=('ee_x', 'ee_y')))
    with pytest.raises(SimError, match=r"render_mode: got 'human'"):
        BlockInsertion(render_mode='human')
    with pytest.raises(SimError, match=r"camera: got 'rear', expected one of front, hole, wrist"):
        Camera(World().model, name='rear')


@pytest.mark.parametrize(('width', 'height'), [(224, 224), (640, 480)])
def test_images_show_the_block(width: int, height: int) -> None:
    env = BlockInsertion(render_mode='rgb_array', width=width, height=height)
    env.reset(seed=0)
    try:
        image = env.render()
    except SimError as error:
        pytest.skip(str(error))
    assert image is not None
    assert image.shape == (height, width, 3)
    red, _, blue = np.moveaxis(image.astype(int), -1, 0)
    assert ((blue > 100) & (red < 0.4 * blue)).sum() > 30, 'the block is blue'
    env.close()


def test_without_a_renderer_everything_but_images_runs() -> None:
    program = (
        'import gymnasium, mile_sim\n'
        "env = gymnasium.make('mile/BlockInsertion-v0', render_mode='rgb_array')\n"
        'env.reset(seed=0); env.step(env.action_space.sample())\n'
        'from mile_sim.errors import SimError\n'
        'try:\n    env.render()\nexcept SimError as error:\n    print(error)\n'
    )
    paths = [path for path in sys.path if path]
    environment = {**os.environ, 'MUJOCO_GL': 'disable', 'PYTHONPATH': ':'.join(paths)}
    done = subprocess.run([sys.executable, '-c', program], env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('\n') == 1
    assert 'camera images are off' in done.stdout
