"""The imitation baselines: which steps each learns from, with which weight and label, and that training follows."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mile_learner.bundle import Bundle, Manifest
from mile_learner.categorical import CategoricalPolicy
from mile_learner.errors import LearnerError
from mile_learner.methods import METHODS
from mile_learner.methods.base import InterventionData
from mile_learner.methods.mile_losses import Batch, MileConfig, mile_losses
from mile_learner.methods.sirius import DEMONSTRATION, INTERVENTION, PRE_INTERVENTION, ROBOT, SiriusConfig, classes_of
from mile_learner.methods.training import TrainingCancelled
from mile_learner.methods.weighted_cloning import WeightedCloning, class_weights
from mile_learner.policy import Architecture

BASELINES = {name: method for name, method in METHODS.items() if isinstance(method, WeightedCloning)}
QUICK = {'learning_rate': 1e-2, 'epochs': 40, 'batch_size': 16}
TABLE_TASKS = ('lunar_lander', 'button_press', 'drawer_open', 'peg_insert', 'block_insertion')
ROBOT_ACTION, HUMAN_ACTION, ORACLE_ACTION = -0.5, 0.5, 0.8


def _data(
    *episodes: str, actions: tuple[float, float, float] = (ROBOT_ACTION, HUMAN_ACTION, ORACLE_ACTION), width: int = 4
) -> InterventionData:
    """Episodes as text: '.' the robot, 'I' an intervention, 'D' a demonstration; every actor always does the same."""
    text = ''.join(episodes)
    robot, human, oracle = (np.full((len(text), width), action, np.float32) for action in actions)
    intervening = np.array([letter in 'ID' for letter in text])
    human[~intervening] = np.nan
    stacked = np.random.default_rng(0).normal(size=(len(text), 12)).astype(np.float32)
    return InterventionData(
        stacked=stacked,
        next_stacked=stacked,
        robot_action=robot,
        human_action=human,
        intervening=intervening,
        episode=np.repeat(np.arange(len(episodes)), [len(episode) for episode in episodes]),
        step=np.concatenate([np.arange(len(episode)) for episode in episodes]),
        iteration=np.ones(len(text), dtype=int),
        done=np.zeros(len(text), dtype=bool),
        success=np.ones(len(text), dtype=bool),
        demonstration=np.array([letter == 'D' for letter in text]),
        oracle_action=oracle,
    )


SEQUENCE = _data('....II..', '..I.', 'DDDD')


def _weights(name: str, data: InterventionData) -> np.ndarray:
    method = BASELINES[name]
    return method.weights(data, method.configure('block_insertion'))


def _fit(name: str, data: InterventionData, start: Bundle, seed: int = 0) -> Bundle:
    config = dataclasses.replace(METHODS[name].configure('toy'), **QUICK)
    return METHODS[name].fit(data, start, config=config, seed=seed)


def test_all_baselines_are_in_the_registry() -> None:
    assert set(BASELINES) == {'bc_interventions', 'bc_all', 'hg_dagger', 'iwr', 'sirius', 'dagger'}
    assert all(method.name == name for name, method in BASELINES.items())


@pytest.mark.parametrize('name', ['bc_interventions', 'hg_dagger'])
def test_these_learn_from_the_human_controlled_steps_alone(name: str) -> None:
    np.testing.assert_array_equal(_weights(name, SEQUENCE), [float(letter in 'ID') for letter in '....II....I.DDDD'])
    np.testing.assert_array_equal(BASELINES[name].labels(SEQUENCE)[SEQUENCE.intervening], HUMAN_ACTION)


@pytest.mark.parametrize('name', ['bc_all', 'iwr', 'sirius'])
def test_these_imitate_whoever_acted(name: str) -> None:
    by_hand = np.where(SEQUENCE.intervening, HUMAN_ACTION, ROBOT_ACTION)
    np.testing.assert_array_equal(BASELINES[name].labels(SEQUENCE), np.repeat(by_hand[:, None], 4, axis=1).astype(np.float32))


def test_bc_all_and_dagger_count_every_step_once_and_differ_in_the_labels() -> None:
    for name in ('bc_all', 'dagger'):
        np.testing.assert_array_equal(_weights(name, SEQUENCE), 1.0)
    np.testing.assert_array_equal(BASELINES['dagger'].labels(SEQUENCE), np.float32(ORACLE_ACTION))


def test_iwr_weighs_an_intervention_as_the_paper_and_demonstrations_as_the_rest() -> None:
    w = _weights('iwr', SEQUENCE)
    n, n_i = 16, 3
    rows = SEQUENCE.intervening & ~SEQUENCE.demonstration
    np.testing.assert_allclose(w[rows] / w[0], (n - n_i) / n_i)
    np.testing.assert_allclose(w[~rows], w[0])
    assert w[rows].sum() / w.sum() == pytest.approx(0.5)


def test_sirius_classes() -> None:
    letters = {ROBOT: 'r', PRE_INTERVENTION: 'p', INTERVENTION: 'i', DEMONSTRATION: 'd'}

    def seen(*episodes: str, before: int) -> str:
        return ''.join(letters[int(k)] for k in classes_of(_data(*episodes), before))

    assert seen('....II..', '..I.', 'DDDD', before=3) == 'rpppiirr' + 'ppir' + 'dddd'
    assert seen('I.I', before=15) == 'ipi', 'an intervention stays one, also shortly before the next'
    assert seen('....', 'I...', before=2) == 'rrrrirrr', 'the episode before is not blamed'
    assert seen('.' * 20 + 'I', before=SiriusConfig().pre_intervention_steps) == 'r' * 5 + 'p' * 15 + 'i'


def test_sirius_counts_steps_and_not_rows() -> None:
    data = _data('.' * 8 + 'I').take(np.array([0, 1, 6, 7, 8]))
    assert classes_of(data, 3).tolist() == [ROBOT, ROBOT, PRE_INTERVENTION, PRE_INTERVENTION, INTERVENTION]


def test_sirius_gives_every_class_its_share() -> None:
    data = _data('.' * 60 + 'I' * 10, 'D' * 30)
    classes, w = classes_of(data, 15), _weights('sirius', data)
    shares = [w[classes == k].sum() / w.sum() for k in (ROBOT, PRE_INTERVENTION, INTERVENTION, DEMONSTRATION)]
    np.testing.assert_allclose(shares, [1 - 0.5 - 0.3 - 0.002, 0.002, 0.5, 0.3])


@pytest.mark.parametrize('name', ['iwr', 'sirius'])
@pytest.mark.parametrize('episodes', [('DDDD',), ('IIII',), ('....',), ('DDDDDDDD', '..I'), ('..I',)])
def test_missing_classes_leave_usable_weights(name: str, episodes: tuple[str, ...]) -> None:
    w = _weights(name, _data(*episodes))
    assert np.isfinite(w).all()
    assert (w >= 0).all()
    assert w.sum() > 0


@given(classes=st.lists(st.integers(0, 2), min_size=1, max_size=50), shares=st.tuples(*[st.floats(0.01, 1.0)] * 3))
def test_class_weights_give_the_shares_among_the_classes_that_exist(classes: list[int], shares: tuple[float, ...]) -> None:
    array = np.array(classes)
    w = class_weights(array, shares)
    there = sum(shares[k] for k in set(classes))
    for k in set(classes):
        assert w[array == k].sum() / w.sum() == pytest.approx(shares[k] / there)


@pytest.mark.parametrize(
    ('name', 'expected'),
    [('bc_interventions', HUMAN_ACTION), ('hg_dagger', HUMAN_ACTION), ('bc_all', -0.25), ('iwr', 0.0), ('dagger', ORACLE_ACTION)],
)
def test_training_moves_to_the_weighted_labels(name: str, expected: float, make_bundle: Callable[..., Bundle]) -> None:
    data = _data('...I' * 16)
    data.stacked[:] = 0.0
    action = _fit(name, data, make_bundle()).act(data.stacked[0])[0]
    np.testing.assert_allclose(action, expected, atol=0.12)


def test_sirius_does_not_imitate_what_led_to_an_intervention(make_bundle: Callable[..., Bundle]) -> None:
    data = _data(*['.' * 15 + 'I'] * 4)
    data.stacked[:] = 0.0
    sirius, cloned = (_fit(name, data, make_bundle()).act(data.stacked[0])[0] for name in ('sirius', 'bc_all'))
    assert (sirius > 0.35).all(), 'the human did 0.5'
    assert (cloned < -0.25).all(), 'the robot did -0.5 most of the time'


@pytest.mark.parametrize('name', BASELINES)
def test_the_same_seed_gives_the_same_weights_and_leaves_the_start_alone(name: str, make_bundle: Callable[..., Bundle]) -> None:
    start = make_bundle()
    before = {key: value.clone() for key, value in start.policy.state_dict().items()}
    one, same, other = (_fit(name, SEQUENCE, start, seed).policy.state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not all(torch.equal(one[key], other[key]) for key in one)
    assert all(torch.equal(before[key], value) for key, value in start.policy.state_dict().items())


@pytest.mark.parametrize('decisions', ['all', 'onset'])
def test_a_demonstration_is_no_decision_to_intervene(decisions: str, make_bundle: Callable[..., Bundle]) -> None:
    alone, both = _data('....II..'), _data('....II..', 'DDDD')
    both.robot_action[both.demonstration] = np.nan  # as in the bag of a demonstration
    start, config = make_bundle(), MileConfig(mental_model='noted', decisions=decisions)
    batches = [Batch.of(data, decisions) for data in (alone, both)]
    one, two = (mile_losses(start.policy, start.policy, batch, c=70.0, sigma=100.0, config=config) for batch in batches)
    assert two.intervention.item() == pytest.approx(one.intervention.item())
    assert two.action.item() != pytest.approx(one.action.item()), 'what the human does is learned from it'
    assert torch.isfinite(two.total)


def test_bc_interventions_and_hg_dagger_are_one_with_one_configuration(make_bundle: Callable[..., Bundle]) -> None:
    a, b = (_fit(name, SEQUENCE, make_bundle()).policy.state_dict() for name in ('bc_interventions', 'hg_dagger'))
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert METHODS['bc_interventions'].configure('peg_insert') != METHODS['hg_dagger'].configure('peg_insert')


@pytest.mark.parametrize('name', BASELINES)
def test_discrete_actions(name: str) -> None:
    torch.manual_seed(0)
    start = Bundle(CategoricalPolicy(_manifest().architecture), None, _manifest())
    data = _data('...I' * 4, actions=(1.0, 2.0, 3.0), width=1)
    trained = _fit(name, data, start)
    assert isinstance(trained.policy, CategoricalPolicy)
    expected = BASELINES[name].labels(data)[data.intervening]
    np.testing.assert_array_equal(trained.act(data.stacked[data.intervening])[0], expected)


def _manifest() -> Manifest:
    architecture = Architecture(input_dim=12, action_dim=4, hidden=(16,), distribution='categorical')
    return Manifest('v000', 'toy', ('x', 'y', 'z'), 4, architecture, None, 1.0, 1.0, 'test')


def test_table_i() -> None:
    rates = {name: [METHODS[name].configure(task).learning_rate for task in TABLE_TASKS] for name in ('hg_dagger', 'iwr', 'sirius')}
    assert rates == {
        'hg_dagger': [5e-6, 5e-5, 1e-4, 5e-6, 1e-5],
        'iwr': [5e-6, 5e-6, 1e-4, 1e-6, 1e-5],
        'sirius': [5e-6, 5e-6, 1e-4, 1e-6, 1e-5],
    }
    ours = [METHODS['bc_interventions'].configure(task).learning_rate for task in TABLE_TASKS]
    assert ours == [METHODS['mile'].configure(task).learning_rate for task in TABLE_TASKS] == [1e-5, 1e-4, 5e-4, 1e-4, 1e-5]
    for name in ('mile', 'hg_dagger', 'iwr', 'sirius'):
        epochs = [METHODS[name].configure(task).epochs for task in TABLE_TASKS]
        assert epochs == [400, 300, 300, 300, 500], (
            'of 20 iterations of one episode, also for button-press, which has none of its own there'
        )


def test_refusals_and_cancelling(make_bundle: Callable[..., Bundle]) -> None:
    for name in ('bc_interventions', 'hg_dagger'):
        with pytest.raises(LearnerError, match='learns from none'):
            _fit(name, _data('....'), make_bundle())
    with pytest.raises(LearnerError, match='without an oracle'):
        _fit('dagger', dataclasses.replace(SEQUENCE, oracle_action=None), make_bundle())
    with pytest.raises(LearnerError, match='not finite'):
        _fit('bc_all', dataclasses.replace(SEQUENCE, robot_action=np.full((16, 4), np.nan, np.float32)), make_bundle())
    method = METHODS['iwr']
    with pytest.raises(TrainingCancelled):
        method.fit(SEQUENCE, make_bundle(), config=method.configure('toy'), seed=0, progress=lambda *_: False)
