"""One update of RLIF by hand: with critics that say the same of everything, what is left is entropy, temperature and the target of DQN."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from mile_learner.categorical import CategoricalPolicy
from mile_learner.methods.rlif import RlifConfig, Transitions, Update, clipped_entropy, dqn, rlpd
from mile_learner.policy import Architecture, GaussianPolicy

STATES = torch.zeros(8, 12)
NARROW, WIDER = -20.0, -3.367
"""Of the log-std before the sigmoid: log-std is -2 and -1.9, the entropy of four actions -2.3 and -1.9 nats."""


def batch(actions: int) -> Transitions:
    """Eight steps without a reward, none the last."""
    nothing = torch.zeros(8)
    return Transitions(STATES, torch.zeros(8, actions), nothing, STATES, nothing, nothing.bool())


def policy_of(raw_log_std: float) -> GaussianPolicy:
    """Means 0, the same std everywhere."""
    torch.manual_seed(0)
    policy = GaussianPolicy(Architecture(input_dim=12, action_dim=4, hidden=(8,)))
    last = policy.body[-1]
    assert isinstance(last, torch.nn.Linear)
    with torch.no_grad():
        last.weight.zero_()
        last.bias[:4], last.bias[4:] = 0.0, raw_log_std
    return policy


def update_of(policy: GaussianPolicy, values: tuple[float, float] = (0.0, 0.0), **options: Any) -> Update:
    """Two critics that say these values, whatever they see, and so do their targets."""
    update, state = rlpd(policy, RlifConfig(critics=2, **options), torch.Generator().manual_seed(0))
    critics = state.optimizers[0].param_groups[0]['params']
    with torch.no_grad():
        for parameters in (critics, list(state.tensors.values())):
            for parameter in parameters:
                parameter.zero_()
            for bias, value in zip([one for one in parameters if one.shape == (1,)], values, strict=True):
                bias.fill_(value)
    return update


def entropy_of(policy: GaussianPolicy) -> float:
    with torch.no_grad():
        return clipped_entropy(policy(STATES)).mean().item()


def test_where_critics_say_nothing_the_actor_widens() -> None:
    policy = policy_of(WIDER)
    update, before = update_of(policy, learning_rate=1e-2), entropy_of(policy)
    for _ in range(5):
        update(batch(4), True)
    assert entropy_of(policy) > before + 0.01


def test_the_actor_is_judged_by_the_mean_of_all_critics_and_its_entropy() -> None:
    policy = policy_of(WIDER)
    entropy = entropy_of(policy)
    losses = update_of(policy, (1.0, 3.0), temperature=0.5, learning_rate=1e-9)(batch(4), True)
    assert losses['value'] == pytest.approx(2.0, abs=1e-5)
    assert losses['entropy'] == pytest.approx(entropy)
    assert losses['actor_loss'] == pytest.approx(-(0.5 * entropy + 2.0), abs=1e-5)


@pytest.mark.parametrize(('raw_log_std', 'rises'), [(NARROW, True), (WIDER, False)])
def test_the_temperature_rises_while_the_entropy_is_below_half_a_nat_per_action(raw_log_std: float, *, rises: bool) -> None:
    policy = policy_of(raw_log_std)
    assert (entropy_of(policy) < -4 / 2) is rises
    assert abs(entropy_of(policy) + 4 / 2) < 0.4
    assert (update_of(policy)(batch(4), True)['temperature'] > 1.0) is rises


def test_the_target_of_dqn_is_what_the_target_says_of_the_action_that_the_policy_prefers() -> None:
    policy = CategoricalPolicy(Architecture(input_dim=12, action_dim=3, hidden=(8,), distribution='categorical'))
    update, state = dqn(policy, RlifConfig(discount=0.5), torch.Generator().manual_seed(0))
    prefers_1, prefers_2 = (0.0, 1.0, 0.5), (0.0, 5.0, 9.0)
    with torch.no_grad():
        for parameters, values in ((dict(policy.named_parameters()), prefers_1), (state.tensors, prefers_2)):
            weight, bias = list(parameters.values())[-2:]
            weight.zero_()
            bias.copy_(torch.tensor(values))
    error = 0.5 * 5.0 - 0.0
    assert update(batch(1), False)['critic_loss'] == pytest.approx(error - 0.5), 'smooth L1 of what action 0 is said to be worth'
