"""Simulated humans: the probability of Eq. 2, hold, reaction and hysteresis, floors, and independence of batching and of the learner."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mile_learner.bench.calibration import FLOOR_FREE, HumanParts, agreement_floor, make_human, sigma_for
from mile_learner.bench.human_config import CONTINUOUS_KNOBS, DISCRETE_KNOBS, GATES, KNOBS, HumanConfig, check_effect, parse_human
from mile_learner.bench.humans import (
    DelayedGate,
    Hold,
    HoldingGate,
    HumanPolicy,
    ProbitGate,
    SimulatedHuman,
    Situation,
    ValueGate,
    distance,
)
from mile_learner.bench.suites import SUITES, cells_of
from mile_learner.bench.tasks import Task, get_task
from mile_learner.bundle import Bundle, Manifest
from mile_learner.categorical import CategoricalPolicy
from mile_learner.config import ConfigError
from mile_learner.errors import LearnerError
from mile_learner.intervention import intervention_probability_sampled
from mile_learner.policy import Architecture, GaussianPolicy
from mile_learner.step import Array

CONTINUOUS, DISCRETE = 'block_insertion', 'lunar_lander'


def _bundle(task: Task, seed: int = 0) -> Bundle:
    torch.manual_seed(seed)
    kind = CategoricalPolicy if task.discrete else GaussianPolicy
    architecture = Architecture(input_dim=task.input_dim, action_dim=task.action_dim, hidden=(8,), distribution=kind.distribution)
    policy = kind(architecture).eval()
    manifest = Manifest('v000', task.name, task.observation_layout, task.history, architecture, None, 1.0, 1.0, 'test')
    return Bundle(policy, None, manifest)


def _situation(task: Task, n: int, seed: int = 0) -> Situation:
    rng = np.random.default_rng(seed)
    width = task.action_width
    draw = rng.integers(0, task.action_dim, (2, n, width)) if task.discrete else rng.uniform(-1, 1, (2, n, width))
    robot, expert = draw.astype(np.float32)
    return Situation(np.arange(n), rng.normal(size=(n, task.input_dim)).astype(np.float32), robot, expert, rng.uniform(size=n))


def test_probit_gate_is_equation_2() -> None:
    task = get_task(CONTINUOUS)
    now, mental = _situation(task, 6), _bundle(task)
    gate = ProbitGate(mental, HumanPolicy(0.3, None), c=6.0, sigma=4.0)
    mean = torch.from_numpy(now.expert_action).double()
    with torch.no_grad():
        expected = [x.double() for x in mental.policy(torch.from_numpy(now.stacked))]
    log_std = torch.full_like(mean, np.log(0.3))
    generator = torch.Generator().manual_seed(0)
    sampled = intervention_probability_sampled(mean, log_std, *expected, 6.0, 4.0, samples=100_000, generator=generator)
    np.testing.assert_allclose(gate.probability(now.stacked, now.expert_action), sampled.numpy(), atol=0.01)


def test_probit_gate_of_discrete_actions_is_equation_2() -> None:
    task = get_task(DISCRETE)
    now, mental, human = _situation(task, 5), _bundle(task, 1), _bundle(task, 2)
    with torch.no_grad():
        pi = human.policy(torch.from_numpy(now.stacked)).log_probs.double().exp().numpy()
        expected = mental.policy(torch.from_numpy(now.stacked)).log_probs.double().exp().numpy()
    z = (np.log(pi) - (expected * np.log(pi)).sum(axis=1, keepdims=True) - 0.3) / 0.2
    by_hand = (pi * torch.special.ndtr(torch.from_numpy(z)).numpy()).sum(axis=1)
    gate = ProbitGate(mental, HumanPolicy(0.1, human), c=0.3, sigma=0.2)
    np.testing.assert_allclose(gate.probability(now.stacked, now.expert_action), by_hand, rtol=1e-4)


def test_probit_gates_do_not_look_at_the_robot() -> None:
    task = get_task(CONTINUOUS)
    now, gate = _situation(task, 50), ProbitGate(_bundle(task), HumanPolicy(0.3, None), c=6.0, sigma=4.0)
    other = Situation(now.rows, now.stacked, -now.robot_action, now.expert_action, now.uniform)
    np.testing.assert_array_equal(gate.decide(now), gate.decide(other))
    assert 0 < gate.decide(now).mean() < 1


@pytest.mark.parametrize('name', [CONTINUOUS, DISCRETE, 'peg_insert'])
@pytest.mark.parametrize('c', [3.0, 10.0, 100.0])
def test_floors(name: str, c: float) -> None:
    task = get_task(name)
    free, published = HumanConfig(gate='floor_free', rate=0.25), HumanConfig(gate='as_published', rate=0.25)
    assert agreement_floor(task, c, sigma_for(task, free, c)) <= FLOOR_FREE
    assert agreement_floor(task, c, sigma_for(task, published, c)) <= 0.125
    assert sigma_for(task, free, c) <= sigma_for(task, published, c) <= task.cdf_ratio * c


def test_value_gate_holds_after_its_decision_and_slips_at_random() -> None:
    rng = np.random.default_rng(0)
    gate = ValueGate(HumanPolicy(0.1, None).log_ratio, threshold=10.0, certainty=0.95, hold=4)
    expert = np.zeros((1, 2), np.float32)
    taken: dict[bool, list[bool]] = {}
    for worse in (True, False):
        robot = np.full((1, 2), 0.5 if worse else 0.0, np.float32)
        gate.begin(1)
        decisions = [
            gate.decide(Situation(np.array([0]), np.zeros((1, 1), np.float32), robot, expert, rng.uniform(size=1)))[0] for _ in range(4000)
        ]
        taken[worse] = decisions
    assert np.mean(taken[True]) == pytest.approx(4 * 0.95 / (4 * 0.95 + 0.05), abs=0.02)
    assert np.mean(taken[False]) == pytest.approx(4 * 0.05 / (4 * 0.05 + 0.95), abs=0.04)
    assert _runs(taken[False])[:-1]
    assert all(length % 4 == 0 for length in _runs(taken[False])[:-1])


@pytest.mark.parametrize('name', [CONTINUOUS, DISCRETE])
def test_q_threshold_judges_by_the_values_of_an_expert_that_has_them(name: str) -> None:
    given_task = get_task(name)
    width = len(given_task.observation_layout)

    def value(observation: Array, action: Array) -> Array:
        assert observation.shape == (len(action), width)
        return -np.abs(action[:, 0] - observation[:, 0])

    task = dataclasses.replace(given_task, value=lambda: value)
    now = _situation(task, 200)
    present = now.stacked[:, -width:]
    worse = value(present, now.expert_action) - value(present, now.robot_action) > 0.5
    assert 0 < worse.sum() < len(worse)
    human = make_human(task, HumanConfig(gate='q_threshold', certainty=1.0), HumanParts(_bundle(task), None), 0.5, seed=0)
    human.begin(range(200))
    taken, _ = human.decide(now.rows, now.stacked, now.robot_action, now.expert_action)
    np.testing.assert_array_equal(taken, worse)


def _runs(decisions: list[bool]) -> list[int]:
    """Lengths of the runs of True."""
    lengths, length = [], 0
    for decision in [*decisions, False]:
        if decision:
            length += 1
        elif length:
            lengths.append(length)
            length = 0
    return lengths


def _delayed(off: list[float], *, reaction: int, minimum_hold: int) -> list[bool]:
    """A delayed human without memory, dial 1, watching a robot that is off by these distances."""
    gate = DelayedGate(Hold(reaction=reaction, minimum=minimum_hold), threshold=1.0, memory=0.0, worth=distance)
    gate.begin(1)
    zero = np.zeros((1, 1), np.float32)
    return [bool(gate.decide(Situation(np.array([0]), zero, np.array([[x]], np.float32), zero, np.zeros(1)))[0]) for x in off]


def test_delayed_human_reacts_late_holds_and_lets_go_below_half_the_dial() -> None:
    off = [0.0] * 3 + [2.0] * 6 + [0.7] * 4 + [0.1] * 4
    taken = _delayed(off, reaction=2, minimum_hold=3)
    onset, release = taken.index(True), len(taken) - taken[::-1].index(True)
    assert onset == 3 + 1 + 2, 'seen one step after it happened, acted upon two steps later'
    assert release == 3 + 6 + 4 + 1, 'stays while the robot is off by more than half the dial'


@settings(max_examples=60, deadline=None)
@given(
    off=st.lists(st.floats(0, 3, width=32), min_size=1, max_size=80),
    reaction=st.integers(0, 5),
    minimum_hold=st.integers(1, 8),
)
def test_delayed_human_properties(off: list[float], reaction: int, minimum_hold: int) -> None:
    taken = _delayed(off, reaction=reaction, minimum_hold=minimum_hold)
    finished = _runs(taken) if not taken[-1] else _runs(taken)[:-1]
    assert all(length >= minimum_hold for length in finished)
    onsets = [i for i, now in enumerate(taken) if now and (i == 0 or not taken[i - 1])]
    for onset in onsets:
        assert onset >= reaction + 1
        assert off[onset - reaction - 1] > 1.0, 'a takeover is caused by what was seen before the reaction time'


def test_probability_at_a_lower_cost_is_that_of_a_smaller_c_and_sigma() -> None:
    task = get_task(CONTINUOUS)
    now, mental, human = _situation(task, 20), _bundle(task), HumanPolicy(0.3, None)
    cheap = ProbitGate(mental, human, c=6.0, sigma=4.0).probability(now.stacked, now.expert_action, cost=0.5)
    np.testing.assert_allclose(cheap, ProbitGate(mental, human, c=3.0, sigma=2.0).probability(now.stacked, now.expert_action), rtol=1e-5)
    assert (cheap > ProbitGate(mental, human, c=6.0, sigma=4.0).probability(now.stacked, now.expert_action)).all()


def test_holding_human_takes_control_late_and_keeps_it_while_it_would_at_a_lower_cost() -> None:
    task = get_task(CONTINUOUS)
    mental, stacked = _bundle(task), np.zeros((1, task.input_dim), np.float32)
    with torch.no_grad():
        expected, log_std = (x.numpy() for x in mental.policy(torch.from_numpy(stacked)))
    near, far = expected, expected + 10.0
    probit = ProbitGate(mental, HumanPolicy(float(np.exp(log_std).max()), None), c=6.0, sigma=0.5)
    gate = HoldingGate(probit, Hold(reaction=2, minimum=5), cost=0.7, release=0.1)
    assert probit.probability(stacked, far)[0] > 0.99
    assert probit.probability(stacked, near, cost=0.7)[0] < 0.1
    gate.begin(1)
    meant = [near] * 3 + [far] * 10 + [near] * 5
    taken = [bool(gate.decide(Situation(np.array([0]), stacked, near, action, np.array([0.5])))[0]) for action in meant]
    assert taken == [False] * 5 + [True] * 8 + [False] * 5
    gate.begin(1)
    meant = [far] + [near] * 10
    taken = [bool(gate.decide(Situation(np.array([0]), stacked, near, action, np.array([0.5])))[0]) for action in meant]
    assert taken == [False] * 2 + [True] * 5 + [False] * 4, 'what was decided is carried out, and for the least time'


@pytest.mark.parametrize('gate', GATES)
def test_decisions_do_not_depend_on_who_else_is_in_the_batch(gate: str) -> None:
    task = get_task(CONTINUOUS)
    config, parts = HumanConfig(gate=gate, rate=0.25), HumanParts(_bundle(task), None)
    together, alone = make_human(task, config, parts, 5.0, seed=3), make_human(task, config, parts, 5.0, seed=3)
    starts = [11, 12, 13]
    together.begin(starts)
    steps = [_situation(task, 3, seed) for seed in range(40)]
    all_rows = [together.decide(s.rows, s.stacked, s.robot_action, s.expert_action) for s in steps]
    alone.begin([12])
    for s, (taken, action) in zip(steps, all_rows, strict=True):
        one = alone.decide(np.array([0]), s.stacked[1:2], s.robot_action[1:2], s.expert_action[1:2])
        assert one[0][0] == taken[1]
        np.testing.assert_array_equal(one[1][0], action[1])


def test_the_hand_is_noisy_and_stays_in_range() -> None:
    human = SimulatedHuman(
        ValueGate(HumanPolicy(0.1, None).log_ratio, threshold=1.0, certainty=0.95, hold=1), std=0.2, slip=0.0, actions=None, seed=0
    )
    human.begin([0])
    meant = np.array([[0.0, 1.0]], np.float32)
    actions = np.stack([human.decide(np.array([0]), meant, meant, meant)[1][0] for _ in range(2000)])
    assert actions[:, 0].std() == pytest.approx(0.2, abs=0.02)
    assert actions.max() == 1.0
    assert (actions[:, 1] == 1.0).mean() == pytest.approx(0.5, abs=0.05)


def test_a_bias_moves_the_hand_alone_and_is_clipped() -> None:
    task = get_task(CONTINUOUS)
    parts, now = HumanParts(_bundle(task), None), _situation(task, 300)
    humans = [make_human(task, parse_human(text), parts, 5.0, seed=3) for text in ('as_published', 'as_published[bias=0.4]')]
    for human in humans:
        human.begin(range(300))
    (taken, without), (again, biased) = (human.decide(now.rows, now.stacked, now.robot_action, now.expert_action) for human in humans)
    np.testing.assert_array_equal(taken, again)
    inside = np.abs(without) < 0.6
    np.testing.assert_allclose((biased - without)[inside], 0.4, atol=1e-6)
    assert biased.max() == 1.0
    assert (biased >= without).all()


def test_a_human_is_named_by_its_gate_and_knobs() -> None:
    named = parse_human('delayed[reaction=5, std=3e-1]', 0.25)
    assert named == HumanConfig(gate='delayed', rate=0.25, reaction=5, std=0.3)
    assert parse_human('holding[rate=0.1]', 0.25).rate == 0.1
    fields = {field.name for field in dataclasses.fields(HumanConfig)}
    assert {knob for knobs in KNOBS.values() for knob in knobs} == fields - {'gate'}, 'every knob can be set for some gate'


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('delayed[hold=5]', r"delayed\[hold=5\]: knob: got 'hold', expected one of rate, std, bias, slip, reaction, minimum_hold, memory$"),
        ('delayed[reaction]', 'expected "name" or "name'),
        ('delayed[std={]', 'expected "name" or "name'),
        ('nobody[std=0.3]', "human: got 'nobody', expected one of as_published"),
        ('as_published[std=2]', 'std: got 2.0, expected > 0.0 and <= 1.0'),
        ('as_published[bias=-1.5]', 'bias: got -1.5, expected >= -1.0'),
        ('as_published[bias=much]', "bias: got 'much', expected float"),
    ],
)
def test_humans_that_are_refused(text: str, words: str) -> None:
    with pytest.raises((LearnerError, ConfigError), match=words) as refusal:
        parse_human(text)
    assert '\n' not in str(refusal.value)


@pytest.mark.parametrize(
    ('human', 'task', 'told'),
    [
        ('as_published[bias=0.2]', DISCRETE, 'got bias, which makes no difference on lunar_lander, whose actions are discrete'),
        ('delayed[std=0.3,memory=0.5]', DISCRETE, 'got std, which makes no difference on lunar_lander, whose actions are discrete'),
        ('holding[slip=0.2]', CONTINUOUS, 'got slip, which makes no difference on block_insertion, whose actions are continuous'),
    ],
)
def test_a_knob_that_makes_no_difference_is_refused(human: str, task: str, told: str) -> None:
    other = CONTINUOUS if task == DISCRETE else DISCRETE
    check_effect(human, get_task(other))
    for refuses in (
        lambda: check_effect(human, get_task(task)),
        lambda: cells_of(SUITES['single'], tasks=[other, task], humans=['delayed', human], methods=['iwr'], seeds=[0]),
    ):
        with pytest.raises(LearnerError, match=re.escape(f'{human}: {told}')) as refusal:
            refuses()
        assert '\n' not in str(refusal.value)


@pytest.mark.parametrize(('task', 'knobs'), [(CONTINUOUS, DISCRETE_KNOBS), (DISCRETE, CONTINUOUS_KNOBS)])
def test_what_is_refused_really_makes_no_difference(task: str, knobs: tuple[str, ...]) -> None:
    """And nothing else of the hand is."""
    found = get_task(task)
    now, parts = _situation(found, 100), HumanParts(_bundle(found), _bundle(found, 1) if found.discrete else None)

    def decided(**given: float) -> list[Array]:
        human = make_human(found, HumanConfig(gate='q_threshold', **given), parts, 0.5, seed=0)
        human.begin(range(100))
        return list(human.decide(now.rows, now.stacked, now.robot_action, now.expert_action))

    for knob in (*CONTINUOUS_KNOBS, *DISCRETE_KNOBS):
        same = all(np.array_equal(one, other) for one, other in zip(decided(), decided(**{knob: 0.7}), strict=True))
        assert same == (knob in knobs), knob


def test_a_discrete_hand_slips_as_often_as_it_says() -> None:
    human = SimulatedHuman(
        ValueGate(HumanPolicy(0.1, _bundle(get_task(DISCRETE))).log_ratio, threshold=1.0, certainty=0.95, hold=1),
        std=0.1,
        slip=0.3,
        actions=4,
        seed=0,
    )
    human.begin([0])
    meant, stacked = np.array([[2.0]], np.float32), np.zeros((1, get_task(DISCRETE).input_dim), np.float32)
    actions = np.array([human.decide(np.array([0]), stacked, meant, meant)[1][0, 0] for _ in range(2000)])
    assert (actions != 2).mean() == pytest.approx(0.3, abs=0.04)
    assert set(actions) == {0.0, 1.0, 2.0, 3.0}
