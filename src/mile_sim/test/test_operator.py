"""The simulated operator: its gate, its reaction, its hold, what it learns by watching, and its place on disk."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mile_learner.intervention import intervention_probability
from mile_learner.policy import Architecture, GaussianPolicy
from mile_learner.step import Array
from mile_sim.errors import SimError
from mile_sim.expert import Expert, ExpertConfig
from mile_sim.operator import MENTAL_MODEL_FILE, Operator, OperatorConfig, SimulatedHuman, load_operator, save_operator
from mile_sim.prepare import smallest_c

HISTORY = 4
CONFIG = OperatorConfig(c=8.0, sigma=1.6, reaction_s=0.2, hold_s=1.0)


class Robot(GaussianPolicy):
    """A mental model that expects one action everywhere."""

    def __init__(self, action: Array) -> None:
        super().__init__(Architecture(input_dim=7 * HISTORY, action_dim=4, hidden=(8,)))
        self.expected = torch.from_numpy(action)

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The action, with the smallest standard deviation."""
        mean = self.expected.expand(len(inputs), 4)
        return mean, torch.full_like(mean, -2.0)


def stack(height: float, off_centre: float = 0.0) -> Array:
    """A stacked observation of a block that stands still."""
    return np.tile(np.array([0.27, 0.0, 0.12, 0.028, off_centre, 0.0, -height], np.float32), HISTORY)


AGREED = stack(0.05)
INTENTION = Expert().intention(AGREED[-7:])
OPPOSITE = np.array([1.0, 1.0, 1.0, -1.0], np.float32)


def make(expected: Array, config: OperatorConfig = CONFIG, seed: int = 0) -> Operator:
    return Operator(config, Robot(expected), ExpertConfig(), history=HISTORY, seed=seed)


def test_its_probability_is_the_intervention_model() -> None:
    operator = make(OPPOSITE)
    expected = intervention_probability(
        torch.from_numpy(INTENTION)[None], torch.full((1, 4), math.log(0.135)), *operator.mental_model(torch.zeros(1, 28)), 8.0, 1.6
    )
    assert operator.probability(AGREED) == pytest.approx(float(expected))
    assert operator.probability(AGREED) > 0.99


def test_where_robot_and_human_agree_it_nearly_never_takes_over() -> None:
    assert make(INTENTION).probability(AGREED) <= 0.02
    c = smallest_c(0.2, 0.3, 0.02)
    nearly = INTENTION + np.array([0.3, 0.0, 0.0, 0.0], np.float32)
    at_smallest = make(nearly, replace(CONFIG, c=c, sigma=0.2 * c))
    assert 0.01 < at_smallest.probability(AGREED) <= 0.021
    assert make(INTENTION, replace(CONFIG, c=c, sigma=0.2 * c)).probability(AGREED) < 1e-3


def test_it_reacts_late_and_holds_at_least_the_minimum() -> None:
    operator = make(OPPOSITE)
    decisions = [operator.decide(AGREED, tick * 0.1).intervening for tick in range(3)]
    assert decisions == [False, False, True], 'two ticks of reaction'
    operator.mental_model.expected = torch.from_numpy(INTENTION)  # now the robot would do fine
    held = [operator.decide(AGREED, tick * 0.1).intervening for tick in range(3, 30)]
    assert held.index(False) == 9, 'ten ticks in all'
    assert not any(held[9:])


def test_it_keeps_control_as_long_as_the_robot_would_do_wrong() -> None:
    operator = make(OPPOSITE)
    decisions = [operator.decide(AGREED, tick * 0.1).intervening for tick in range(100)]
    assert all(decisions[2:])


def test_a_seed_gives_the_same_behaviour() -> None:
    unsure = replace(CONFIG, c=15.0, sigma=10.0)

    def behaviour(seed: int) -> list[bool]:
        operator = make(INTENTION, unsure)
        operator.reset(seed)
        return [operator.decide(AGREED, tick * 0.1).intervening for tick in range(200)]

    assert behaviour(1) == behaviour(1)
    assert behaviour(1) != behaviour(2)


def test_as_a_human_of_a_rollout_it_acts_only_in_control() -> None:
    watched: list[Array] = []

    def robot(stacked: Array) -> Array:
        watched.append(stacked)
        return INTENTION

    human = SimulatedHuman(make(OPPOSITE, replace(CONFIG, hand_noise=0.0)), rate_hz=10.0, robot=robot)
    human.reset(0)
    actions = [human.act(AGREED[-7:], AGREED) for _ in range(3)]
    assert actions[:2] == [None, None]
    np.testing.assert_allclose(actions[2], INTENTION)
    assert len(watched) == 2, 'it watches the robot, and not itself'


def test_by_watching_it_learns_what_the_robot_does() -> None:
    torch.manual_seed(0)
    model = GaussianPolicy(Architecture(input_dim=28, action_dim=4, hidden=(32,)))
    model.set_normaliser(torch.from_numpy(AGREED)[None], std_floor=0.01)
    operator = Operator(CONFIG, model, ExpertConfig(), history=HISTORY)
    assert operator.probability(AGREED) > 0.5
    for _ in range(300):
        operator.watch(AGREED, INTENTION)
    assert operator.probability(AGREED) < 0.05
    assert operator.probability(stack(0.001, off_centre=0.01)) > 0.5, 'what it expects elsewhere is still not what it would do'


def test_it_survives_the_disk_and_names_damage(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = GaussianPolicy(Architecture(input_dim=28, action_dim=4, hidden=(8,)))
    operator = Operator(CONFIG, model, ExpertConfig(speed=0.3), history=HISTORY)
    save_operator(operator, tmp_path)
    loaded = load_operator(tmp_path, seed=3)
    assert loaded.config == CONFIG
    assert loaded.expert_config == operator.expert_config
    assert loaded.probability(AGREED) == operator.probability(AGREED)
    (tmp_path / MENTAL_MODEL_FILE).write_bytes(b'broken')
    with pytest.raises(SimError, match=r'holds no simulated operator \(.*mile prepare'):
        load_operator(tmp_path)
