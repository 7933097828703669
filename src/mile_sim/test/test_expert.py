"""The scripted expert: how often it succeeds, at what pace, and that its knobs make it worse."""

from dataclasses import replace

import numpy as np
import pytest

from mile_sim.block_insertion import BlockInsertion
from mile_sim.expert import Expert, ExpertConfig


def episodes(config: ExpertConfig, seeds: range) -> list[tuple[bool, int]]:
    """(success, ticks) from each start state."""
    env = BlockInsertion()
    results = []
    for seed in seeds:
        expert = Expert(config, np.random.default_rng(seed))
        observation, _ = env.reset(seed=seed)
        over, ticks, success = False, 0, False
        while not over:
            observation, _, success, truncated, _ = env.step(expert.action(observation))
            over, ticks = success or truncated, ticks + 1
        results.append((success, ticks))
    return results


def test_it_succeeds_at_a_persons_pace() -> None:
    results = episodes(ExpertConfig(), range(20))
    assert sum(success for success, _ in results) >= 19
    assert all(40 <= ticks <= 100 for success, ticks in results if success)


def test_wrong_perception_and_an_unsteady_hand_make_it_fail() -> None:
    good = ExpertConfig()
    for worse in (replace(good, offset_y_m=0.003), replace(good, scale_error=0.3), replace(good, noise=0.4)):
        assert sum(success for success, _ in episodes(worse, range(6))) <= 3


def test_it_never_opens_the_gripper_and_stays_in_range() -> None:
    expert = Expert(ExpertConfig(noise=1.0), np.random.default_rng(0))
    rng = np.random.default_rng(1)
    for _ in range(200):
        action = expert.action(rng.uniform(-0.3, 0.3, 7).astype(np.float32))
        assert action.dtype == np.float32
        assert np.abs(action).max() <= 1.0
        assert action[3] == -1.0


@pytest.mark.parametrize(('off_centre', 'height', 'down'), [(0.0, 0.01, True), (0.004, 0.002, False), (0.001, -0.005, True)])
def test_it_comes_down_over_the_hole_lifts_off_beside_it_and_goes_on_within_it(off_centre: float, height: float, down: bool) -> None:
    observation = np.array([0.27, 0.0, 0.12, 0.028, off_centre, 0.0, -height], np.float32)
    assert (Expert().intention(observation)[2] < 0) == down
