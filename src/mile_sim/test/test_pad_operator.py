"""The operator with a pad: what the arbiter's own mapping reads from it, when it lets go, and how it keeps time."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from mile_learner.policy import Architecture, GaussianPolicy
from mile_learner.step import Array
from mile_sim.expert import Expert, ExpertConfig
from mile_sim.fixed_role import FixedRole
from mile_sim.operator import Operator, OperatorConfig
from mile_sim.pad_operator import PadOperator
from mile_teleop.pad import Button, PadConfig, PadMapping

PAD = PadMapping(PadConfig.from_yaml(Path(__file__).parents[3] / 'config' / 'pad_ps3.yaml'))
SEEN = np.array([0.27, 0.02, 0.15, 0.028, 0.01, -0.02, -0.05], np.float32)


def make(speed: float = 1.0, **changes: float) -> PadOperator:
    """An operator that wants to take over everywhere."""
    torch.manual_seed(0)
    values = {'c': -1000.0, 'sigma': 1.0, 'reaction_s': 0.2, 'hand_noise': 0.0} | changes
    operator = Operator(
        OperatorConfig.from_mapping(values),
        GaussianPolicy(Architecture(input_dim=28, action_dim=4, hidden=(8,))),
        ExpertConfig(),
        history=4,
    )
    return PadOperator(operator, PAD, observation_dim=7, period_s=0.1, speed=speed, seed=0)


def taken_over_at(pad: PadOperator, until: float, step: float = 0.01) -> float | None:
    """When the takeover button goes down first."""
    for now in np.arange(1000.0, 1000.0 + until, step):
        if Button.TAKEOVER in PAD.read(*pad.press(SEEN, float(now))).held:
            return float(now) - 1000.0
    return None


def test_the_mapping_reads_the_experts_action() -> None:
    pad = make()
    pad.on_status('episode')
    assert taken_over_at(pad, 1.0) is not None
    read = PAD.read(*pad.press(SEEN, 1001.0))
    expected = Expert().intention(SEEN)
    np.testing.assert_allclose(read.motion, expected[:3], atol=1e-6)
    assert read.gripper == -1
    assert read.held == {Button.TAKEOVER, Button.GRIPPER_CLOSE}


@pytest.mark.parametrize('speed', [1.0, 4.0])
def test_its_reaction_is_timed_in_task_time(speed: float) -> None:
    pad = make(speed)
    pad.on_status('episode')
    assert taken_over_at(pad, 2.0) == pytest.approx(0.2 / speed, abs=0.03)


def nothing_runs(pad: PadOperator) -> Array | None:
    pad.on_status('')
    return SEEN


def nothing_is_seen(_: PadOperator) -> Array | None:
    return None


@pytest.mark.parametrize('happening', [nothing_runs, nothing_is_seen])
def test_it_lets_go(happening: Callable[[PadOperator], Array | None]) -> None:
    pad = make()
    at_rest = PAD.press((0.0, 0.0, 0.0, 0.0))
    assert pad.press(SEEN, 999.0) == at_rest
    pad.on_status('episode')
    assert taken_over_at(pad, 1.0) is not None
    assert pad.press(happening(pad), 1001.0) == at_rest


@pytest.mark.parametrize('in_control', [False, True])
def test_asked_for_a_press_it_presses_whether_or_not_the_button_is_down(in_control: bool) -> None:
    pad = make() if in_control else make(c=1000.0)
    pad.on_status('episode')
    assert (taken_over_at(pad, 1.0) is not None) == in_control
    pad.on_status('episode', press_asked=True)
    held = [Button.TAKEOVER in PAD.read(*pad.press(SEEN, 1001.0 + 0.02 * number)).held for number in range(4)]
    assert (False, True) in set(itertools.pairwise([in_control, *held])), 'it goes down'
    pad.on_status('episode')
    assert (Button.TAKEOVER in PAD.read(*pad.press(SEEN, 1001.1)).held) == in_control


def test_each_episode_has_its_own_randomness_and_the_same_one_again() -> None:
    def takeover(episode: str) -> float | None:
        pad = make(c=250.0, sigma=200.0)
        pad.on_status(episode)
        return taken_over_at(pad, 5.0)

    assert takeover('a') == takeover('a')
    assert len({takeover(name) for name in 'abcdef'}) > 1


def test_it_learns_only_from_ticks_on_which_the_robot_acted() -> None:
    pad = make()
    pad.on_status('episode')
    model = pad._operator.mental_model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    action = np.array([0.5, 0.5, 0.5, -1.0], np.float32)
    for _ in range(30):
        pad.on_step(SEEN, action, robot_acted=False)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    for _ in range(30):
        pad.on_step(SEEN, action, robot_acted=True)
    assert not all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize('driving', [True, False])
def test_a_fixed_role_is_played_from_the_first_look_to_the_end_of_the_episode(driving: bool) -> None:
    pad = PadOperator(FixedRole(ExpertConfig(), history=4, driving=driving), PAD, observation_dim=7, period_s=0.1, speed=1.0, seed=0)
    assert not PAD.read(*pad.press(SEEN, 999.0)).held
    pad.on_status('episode')
    for now in (1000.0, 1000.03, 1007.0):
        read = PAD.read(*pad.press(SEEN, now))
        assert read.held == ({Button.TAKEOVER, Button.GRIPPER_CLOSE} if driving else set())
        np.testing.assert_allclose(read.motion, Expert().intention(SEEN)[:3] if driving else 0.0, atol=1e-6)
    pad.on_status('')
    assert not PAD.read(*pad.press(SEEN, 1008.0)).held
