"""RLIF: which steps are penalised and kept, how batches are mixed, and that both backbones learn to avoid interventions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from mile_learner.bundle import Bundle, Manifest
from mile_learner.categorical import CategoricalPolicy
from mile_learner.errors import LearnerError
from mile_learner.methods import METHODS
from mile_learner.methods.base import InterventionData
from mile_learner.methods.checkpoint import checkpointing
from mile_learner.methods.rlif import Critics, RlifConfig, clipped_entropy, drawn, relabelled, rewards_of, rlpd
from mile_learner.methods.training import TrainingCancelled
from mile_learner.policy import Architecture, Gaussian, GaussianPolicy
from mile_learner.squashed import SquashedPolicy

QUICK = RlifConfig(learning_rate=1e-2, batch_size=32, epochs=12, critics=3, target_rate=0.05)


def _data(*episodes: str, robot: np.ndarray | None = None, ends: bool = False) -> InterventionData:
    """Episodes as text: '.' the robot, 'I' an intervention, 'D' a demonstration. With `ends` every step is the last that counts."""
    text = ''.join(episodes)
    intervening = np.array([letter in 'ID' for letter in text])
    robot = np.zeros((len(text), 4), np.float32) if robot is None else robot
    return InterventionData(
        stacked=np.zeros((len(text), 12), np.float32),
        next_stacked=np.zeros((len(text), 12), np.float32),
        robot_action=robot,
        human_action=np.where(intervening[:, None], 0.0, np.nan).astype(np.float32).repeat(robot.shape[1], axis=1),
        intervening=intervening,
        episode=np.repeat(np.arange(len(episodes)), [len(episode) for episode in episodes]),
        step=np.concatenate([np.arange(len(episode)) for episode in episodes]),
        iteration=np.ones(len(text), dtype=int),
        done=np.full(len(text), ends),
        success=np.ones(len(text), dtype=bool),
        demonstration=np.array([letter == 'D' for letter in text]),
    )


def _penalised(*episodes: str) -> str:
    return ''.join('-' if reward else '0' for reward in rewards_of(_data(*episodes)))


def test_the_step_before_every_onset_is_penalised_and_nothing_else() -> None:
    assert _penalised('...II..I.') == '00-000-00'
    assert _penalised('..', 'II.I') == '00' + '00-0', 'nobody did anything before the first step of an episode'
    assert _penalised('.DDD') == '0000', 'a demonstration is no complaint'
    assert set(np.unique(rewards_of(_data('..I')))) == {-1.0, 0.0}


def test_what_is_kept_of_an_intervention() -> None:
    data = dataclasses.replace(_data('..III..II.', 'DD'), stacked=np.arange(12, dtype=np.float32)[:, None])
    assert len(relabelled(data, 'all').rewards) == 12
    kept = relabelled(data, 'as_released')
    assert kept.inputs.flatten().tolist() == [0, 1, 4, 5, 6, 8, 10, 11], 'of an intervention the last step, of an episode not the last'
    assert kept.rewards.tolist() == [0, -1, 0, 0, -1, 0, 0, 0]
    assert kept.prior.tolist() == [False] * 6 + [True] * 2


def test_half_of_a_batch_is_from_demonstrations_if_there_are_any() -> None:
    g = torch.Generator().manual_seed(0)
    prior = torch.tensor([True, True] + [False] * 30)
    assert prior[drawn(prior, 64, 0.5, g)].sum() == 32
    assert not prior[drawn(prior, 64, 0.0, g)].any()
    assert len(drawn(torch.zeros(5, dtype=torch.bool), 64, 0.5, g)) == 64
    assert len(drawn(torch.ones(5, dtype=torch.bool), 64, 0.5, g)) == 64


def test_critics_differ_clip_their_actions_and_normalise_their_layers() -> None:
    torch.manual_seed(0)
    policy = GaussianPolicy(Architecture(input_dim=12, action_dim=4, hidden=(16, 16)))
    critics = Critics(policy, 3)
    inputs, actions = torch.randn(5, 12), torch.full((5, 4), 3.0)
    values = critics(inputs, actions)
    assert values.shape == (3, 5)
    assert not torch.allclose(values[0], values[1])
    assert torch.equal(values, critics(inputs, torch.ones(5, 4)))
    assert torch.equal(values[[2, 0]], critics(inputs, actions, [2, 0]))
    assert all(isinstance(network[place], torch.nn.LayerNorm) for network in critics.networks for place in (1, 4))


@pytest.mark.parametrize(('mean', 'std'), [(0.0, 0.1), (0.4, 0.8), (-1.5, 0.5), (3.0, 0.3), (0.0, 20.0)])
def test_entropy_is_that_of_the_clipped_action(mean: float, std: float) -> None:
    of = Gaussian(torch.full((1, 2), mean, dtype=torch.float64), torch.full((1, 2), std, dtype=torch.float64).log())
    x = torch.linspace(-1, 1, 200_001, dtype=torch.float64)
    normal = torch.distributions.Normal(torch.tensor(mean, dtype=torch.float64), std)
    ends = torch.stack([normal.cdf(torch.tensor(-1.0)), 1 - normal.cdf(torch.tensor(1.0))]).clamp_min(1e-300)
    by_sums = torch.trapezoid(-normal.log_prob(x).exp() * normal.log_prob(x), x) - (ends * ends.log()).sum()
    assert clipped_entropy(of).item() == pytest.approx(2 * by_sums.item(), abs=1e-6)
    assert clipped_entropy(of).item() < 2 * 1.4, 'bounded, however wide the policy is'


def test_entropy_has_a_finite_gradient_far_outside() -> None:
    mean, log_std = (torch.full((1, 1), value, requires_grad=True) for value in (30.0, -2.0))
    for gradient in torch.autograd.grad(clipped_entropy(Gaussian(mean, log_std)).sum(), (mean, log_std)):
        assert torch.isfinite(gradient).all()


def _manifest(architecture: Architecture) -> Manifest:
    return Manifest('v000', 'toy', ('x', 'y', 'z'), 4, architecture, None, 1.0, 1.0, 'test')


def test_rlpd_moves_away_from_actions_that_are_intervened_on(make_bundle: Callable[..., Bundle]) -> None:
    rng = np.random.default_rng(0)
    robot = rng.uniform(-1, 1, (256, 4)).astype(np.float32)
    robot[1::2] = 0.0
    complaint = robot[:, 0] > 0
    data = _data(*[f'.{"I" if complaint[i] else "."}' for i in range(0, 256, 2)], robot=robot, ends=True)
    start = make_bundle()
    trained = METHODS['rlif'].fit(data, start, config=QUICK, seed=0)
    before, after = (bundle.policy(torch.as_tensor(data.stacked[:1])).mean[0, 0].item() for bundle in (start, trained))
    assert after < min(before, 0.0) - 0.1
    assert trained.manifest.metrics['penalised_steps'] == complaint[::2].sum()


def _chain(times: int, robot: np.ndarray) -> InterventionData:
    """Episodes of '..I' through three states, one-hot in the last inputs, whose last step ends them; the human acts as the robot would."""
    data = _data(*['..I'] * times, robot=robot)
    stacked, following = (np.zeros((3 * times, 12), np.float32) for _ in range(2))
    stacked[np.arange(3 * times), 9 + np.arange(3 * times) % 3] = 1.0
    following[:-1] = stacked[1:]
    human = np.where(data.intervening[:, None], robot, np.nan).astype(np.float32)
    return dataclasses.replace(data, stacked=stacked, next_stacked=following, human_action=human, done=np.arange(3 * times) % 3 == 2)


def test_dqn_values_are_discounted_along_the_way() -> None:
    torch.manual_seed(0)
    architecture = Architecture(input_dim=12, action_dim=1, hidden=(32,), distribution='categorical')
    start = Bundle(CategoricalPolicy(architecture), None, _manifest(architecture))
    config = dataclasses.replace(QUICK, discount=0.5, epochs=100, target_rate=0.1)
    data = _chain(20, np.zeros((60, 1), np.float32))
    trained = METHODS['rlif'].fit(data, start, config=config, seed=0)
    with torch.no_grad():
        values = trained.policy.outputs(torch.as_tensor(data.stacked[:3]))[:, 0].tolist()
    assert values == pytest.approx([-0.5, -1.0, 0.0], abs=0.05)


def test_critics_values_are_discounted_along_the_way(make_bundle: Callable[..., Bundle]) -> None:
    config = dataclasses.replace(QUICK, discount=0.5, epochs=60, target_rate=0.1, learning_rate=3e-3)
    robot = np.random.default_rng(0).uniform(-1, 1, (180, 4)).astype(np.float32)
    data = _chain(60, robot)
    start = make_bundle()
    trained = METHODS['rlif'].fit(data, start, config=config, seed=0)
    critics = Critics(start.policy, QUICK.critics)
    with torch.no_grad():
        for number, parameter in enumerate(critics.parameters()):
            parameter.copy_(trained.learner_state[f'parameter/0/{number}'])
        values = critics(torch.as_tensor(data.stacked), torch.as_tensor(data.executed_action)).mean(dim=0).reshape(-1, 3).mean(dim=0)
    assert values.tolist() == pytest.approx([-0.5, -1.0, 0.0], abs=0.1)


def test_the_target_is_the_smaller_of_two_target_critics(make_bundle: Callable[..., Bundle]) -> None:
    policy = make_bundle().policy
    assert isinstance(policy, GaussianPolicy)
    config = dataclasses.replace(QUICK, critics=2, discount=0.5)
    update, state = rlpd(policy, config, torch.Generator().manual_seed(0))
    with torch.no_grad():  # the critics say 0, their targets -2 and 3, whatever they see
        for parameter in state.optimizers[0].param_groups[0]['params']:
            parameter.zero_()
        for name, follower in state.tensors.items():
            follower.zero_()
            if follower.shape == (1,):
                follower.fill_(-2.0 if name.startswith('networks.0') else 3.0)
    done = dataclasses.replace(_data('....'), done=np.array([False, True, False, True]))
    batch = relabelled(done, 'all')
    assert update(batch.take(torch.tensor([0, 2])), False)['critic_loss'] == pytest.approx((0.5 * -2) ** 2)
    update, state = rlpd(policy, config, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for parameter in state.optimizers[0].param_groups[0]['params']:
            parameter.zero_()
    assert update(batch.take(torch.tensor([1, 3])), False)['critic_loss'] == 0.0, 'nothing is to come after the end'


def test_dqn_learns_values_avoids_the_action_that_is_intervened_on_and_can_be_resumed(tmp_path: Path) -> None:
    torch.manual_seed(0)
    architecture = Architecture(input_dim=12, action_dim=3, hidden=(16,), distribution='categorical')
    policy = CategoricalPolicy(architecture)
    robot = np.tile(np.array([[0], [1], [1], [1], [2], [2]], np.float32), (20, 1))
    data = _data(*['.I', '..', '.I'] * 20, robot=robot, ends=True)
    start = Bundle(policy, None, _manifest(architecture))
    trained = METHODS['rlif'].fit(data, start, config=QUICK, seed=0)
    with checkpointing(tmp_path / 'c', 'key', interval_s=0.0):
        with pytest.raises(TrainingCancelled):
            METHODS['rlif'].fit(data, start, config=QUICK, seed=0, progress=lambda epoch, *_: epoch < 5)
        resumed = METHODS['rlif'].fit(data, start, config=QUICK, seed=0, progress=lambda epoch, *_: epoch >= 5)
    assert all(torch.equal(resumed.policy.state_dict()[name], value) for name, value in trained.policy.state_dict().items())
    values = trained.policy.outputs(torch.zeros(1, 12))[0].tolist()
    assert trained.act(np.zeros(12, np.float32))[0] == [1.0]
    assert values[1] == pytest.approx(0.0, abs=0.1)
    assert values[2] == pytest.approx(-1.0, abs=0.1)


def test_the_same_seed_gives_the_same_weights_and_leaves_the_start_alone(make_bundle: Callable[..., Bundle]) -> None:
    start, config = make_bundle(), dataclasses.replace(QUICK, epochs=3)
    before = {key: value.clone() for key, value in start.policy.state_dict().items()}
    one, same, other = (METHODS['rlif'].fit(_data('..I.', 'DD'), start, config=config, seed=seed).policy.state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not all(torch.equal(one[key], other[key]) for key in one)
    assert all(torch.equal(before[key], value) for key, value in start.policy.state_dict().items())


def _updates(bundle: Bundle) -> tuple[int, int]:
    """Of critics and actor, since they were new."""
    return int(bundle.learner_state['optimizer/0/0/step']), int(bundle.learner_state['optimizer/1/0/step'])


def test_a_version_goes_on_with_its_critics_as_often_as_suits_the_new_steps(make_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    first, both = _data('..I.' * 20), _data('..I.' * 20, '.I' * 20)
    one = METHODS['rlif'].fit(first, make_bundle(), config=QUICK, seed=1)
    assert _updates(one) == (12 * 3 * 4, 9 * 3), '80 steps are 3 batches of 32; a quarter of the first training is without the actor'
    two = METHODS['rlif'].fit(both, one, config=QUICK, seed=2)
    assert _updates(two) == (12 * 3 * 4 + 12 * 2 * 4, 9 * 3 + 12 * 2), '40 new steps are 2 batches; the actor learns at once'
    again = METHODS['rlif'].fit(both, two, config=QUICK, seed=3)
    assert _updates(again)[1] == _updates(two)[1] + 12 * 4, 'trained again on the same 120 steps, it goes through all of them'

    one.save(tmp_path / 'v001')
    read = METHODS['rlif'].fit(both, Bundle.load(tmp_path / 'v001'), config=QUICK, seed=2)
    for name, value in two.learner_state.items():
        assert torch.equal(value, read.learner_state[name]), name


def test_critics_of_another_size_begin_anew(make_bundle: Callable[..., Bundle]) -> None:
    one = METHODS['rlif'].fit(_data('..I.'), make_bundle(), config=QUICK, seed=1)
    two = METHODS['rlif'].fit(_data('..I.'), one, config=dataclasses.replace(QUICK, critics=2), seed=1)
    assert _updates(two) == _updates(one)


def test_table_i() -> None:
    def row(task: str) -> tuple[int, float, float, int]:
        config = METHODS['rlif'].configure(task)
        return config.batch_size, config.learning_rate, config.discount, config.updates_per_actor_update

    assert row('lunar_lander') == (64, 5e-4, 0.99, 4)
    assert {row(task) for task in ('button_press', 'drawer_open', 'peg_insert')} == {(256, 3e-4, 0.99, 4)}


@pytest.mark.parametrize('episodes', [('....', 'DD'), ('II..', 'I...')])
def test_without_a_reward_all_stays_as_it_is(make_bundle: Callable[..., Bundle], episodes: tuple[str, ...]) -> None:
    start = make_bundle()
    same = METHODS['rlif'].fit(_data(*episodes), start, config=QUICK, seed=0)
    assert all(torch.equal(same.policy.state_dict()[name], value) for name, value in start.policy.state_dict().items())
    assert same.manifest.metrics == {'penalised_steps': 0}
    assert same.manifest.method == 'rlif'


def test_refusals_and_cancelling(make_bundle: Callable[..., Bundle]) -> None:
    squashed = Architecture(input_dim=12, action_dim=4, hidden=(8,), distribution='squashed')
    with pytest.raises(LearnerError, match='got a squashed policy, expected a gaussian'):
        METHODS['rlif'].fit(_data('..I'), Bundle(SquashedPolicy(squashed), None, _manifest(squashed)), config=QUICK, seed=0)
    with pytest.raises(TrainingCancelled):
        METHODS['rlif'].fit(_data('..I'), make_bundle(), config=QUICK, seed=0, progress=lambda *_: False)
