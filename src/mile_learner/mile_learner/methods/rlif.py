"""RLIF (Luo et al. 2023, arXiv 2311.12996): interventions as the reward of off-policy reinforcement learning.

    r = −1 on the transition just before the human takes over, 0 on every other

Nothing is imitated: the policy learns to avoid what makes people take over. Baseline (iii) of the MILE paper (Section V; hyper-parameters
in its Table I). Backbones as there (Appendix D):

* continuous actions: RLPD (Ball et al. 2023), that is SAC (Haarnoja et al. 2018) with an ensemble of critics with layer normalisation, of
  which two, drawn anew each time, make the target by their minimum; several critic updates per update of actor and temperature; no entropy
  in the target; target entropy −|A|/2; batches half of prior data, half of online data. Prior data are the demonstrations; without any, all
  is online.
* discrete actions: DQN with a double target (van Hasselt et al. 2016). The Q-network is the policy's own, its scores read as values, so
  that the greedy policy begins as the initial one.

What differs from the original: the policies of this package are not squashed, so that critics see actions clipped to [-1, 1], as the
robot does (beyond which they give the actor no gradient), and entropy is that of the clipped action (that of the Gaussian grows with its
width for ever, and the policy with it); episodes are collected with the mode, not with draws;
critics have the policy's layers (two of 256 by default, three in RLPD), and gradients are bounded, as for every method here; and all
steps of an iteration are there before training begins (the original updates after each), so that an update per logged step is `epochs`
equal to `batch_size`. The temperature begins at RLPD's 1 and comes down slowly: after a few thousand updates the policy is still
near the largest entropy (metrics `entropy` and `temperature`; the target is −|A|/2). A version keeps critics, targets,
temperature and the moments of Adam (`Bundle.learner_state`): trained further it goes on with them, as often as suits the steps that came
since, drawn from all. New critics learn alone at first, for `critic_head_start` of the time. `stored` says which steps
are kept: all (the paper's Algorithm 1), or as in its code, which keeps a step when it knows that the next is the robot's or an onset: of
an intervention the last, and of an episode never the last.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mile_learner.bundle import Bundle
from mile_learner.config import Config, option
from mile_learner.errors import LearnerError
from mile_learner.methods.base import InterventionData
from mile_learner.methods.checkpoint import TrainingState, epochs
from mile_learner.methods.training import Report, TrainingCancelled, adam, descend
from mile_learner.network import Network
from mile_learner.policy import Gaussian, GaussianPolicy
from mile_learner.step import Array

Update = Callable[['Transitions', bool], dict[str, float]]
"""One update of the critics, and of the actor too if the flag says so; returns the losses."""

STEPS = 'steps'
"""In the learner state: how many it was trained on."""


@dataclass(frozen=True)
class RlifConfig(Config):
    """Options of RLIF; batch, learning rate, discount and UTD ratio by default those of Table I, Meta-World."""

    learning_rate: float = option(3e-4, doc='step size of Adam, of actor, critics and temperature', gt=0.0, le=1.0)
    batch_size: int = option(256, doc='transitions per gradient step', ge=2)
    epochs: int = option(256, doc='passes over the new data by the actor; batch_size of them make one actor update per logged step', ge=1)
    updates_per_actor_update: int = option(4, doc='UTD ratio: critic updates per update of the actor; discrete: per step, as often', ge=1)
    discount: float = option(0.99, doc='gamma, per step', ge=0.0, lt=1.0)
    target_rate: float = option(0.005, doc='tau: how far target networks move per critic update', gt=0.0, le=1.0)
    critics: int = option(10, doc='size of the ensemble', ge=2)
    temperature: float = option(1.0, doc='of the entropy, to begin with (RLPD: 1); continuous actions', gt=0.0)
    prior_share: float = option(0.5, doc='of every batch from demonstrations, if there are any', ge=0.0, le=1.0)
    critic_head_start: float = option(0.25, doc='of the first training in which only the critics learn; continuous actions', ge=0.0, lt=1.0)
    stored: str = option('all', doc="which steps are kept: all, or those that its authors' code keeps", choices=('all', 'as_released'))
    grad_clip: float = option(10.0, doc='largest norm of the gradient', gt=0.0)


@dataclass(frozen=True)
class Transitions:
    """B transitions: inputs (B, H*d), actions (B, A), rewards (B,), next_inputs (B, H*d), done (B,), prior (B,): from a demonstration."""

    inputs: Tensor
    actions: Tensor
    rewards: Tensor
    next_inputs: Tensor
    done: Tensor
    prior: Tensor

    def take(self, rows: Tensor) -> Transitions:
        """The transitions at `rows`, an index or mask tensor."""
        return Transitions(*(getattr(self, field.name)[rows] for field in dataclasses.fields(self)))


class Rlif:
    """Avoid what makes people take over."""

    discrete: ClassVar[bool] = True

    def configure(self, task: str) -> RlifConfig:
        """The defaults for a task: Table I, row RLIF."""
        return RlifConfig(learning_rate=5e-4, batch_size=64, epochs=64) if task == 'lunar_lander' else RlifConfig()

    def fit(self, data: InterventionData, start: Bundle, *, config: RlifConfig, seed: int, progress: Report | None = None) -> Bundle:
        """Train a copy of the policy of `start`; the mental model, c and sigma stay as they are.

        Where no step is followed by an intervention there is no reward, and all stays as it is; the metric `penalised_steps` is 0 then.

        Raises:
            LearnerError: a policy of another class than Gaussian or categorical.
            TrainingCancelled: `progress` asked to stop.
        """
        if start.policy.distribution not in ('gaussian', 'categorical'):
            msg = f'rlif: got a {start.policy.distribution} policy, expected a gaussian or, for discrete actions, a categorical one'
            raise LearnerError(msg)
        everything = relabelled(data, config.stored)
        penalised = int((everything.rewards < 0).sum())
        manifest = dataclasses.replace(start.manifest, method='rlif', configuration=config.to_mapping(), seed=seed)
        if not penalised:
            return start.with_manifest(dataclasses.replace(manifest, metrics={'penalised_steps': 0}))
        torch.manual_seed(seed)
        policy = copy.deepcopy(start.policy)
        generator = torch.Generator().manual_seed(seed)
        update, state = rlpd(policy, config, generator) if isinstance(policy, GaussianPolicy) else dqn(policy, config, generator)
        goes_on = state.fits(start.learner_state)
        if goes_on:
            state.restore({**start.learner_state, 'generator': generator.get_state()})
        steps = len(everything.inputs)
        new = steps - int(start.learner_state[STEPS]) if goes_on else steps
        per_epoch = math.ceil((new if new > 0 else steps) / config.batch_size)
        losses: dict[str, float] = {}
        for epoch in epochs(config.epochs, state):
            head_start = not goes_on and epoch < config.critic_head_start * config.epochs
            for _ in range(per_epoch):
                for critic_update in range(config.updates_per_actor_update):
                    last = critic_update == config.updates_per_actor_update - 1
                    rows = drawn(everything.prior, config.batch_size, config.prior_share, generator)
                    losses |= update(everything.take(rows), last and not head_start)
            if progress is not None and not progress(epoch + 1, config.epochs, losses):
                raise TrainingCancelled
        manifest = dataclasses.replace(manifest, metrics=losses | {'penalised_steps': penalised})
        return Bundle(policy.eval(), start.mental_model, manifest, {**state.to_tensors(), STEPS: torch.tensor(steps)})


def rewards_of(data: InterventionData) -> Array:
    """−1 on the step of the same episode directly before every onset, else 0, (N,); demonstrations have no onset."""
    reward = np.zeros(len(data), np.float32)
    reward[np.flatnonzero(data.onset & data.follows & ~data.demonstration) - 1] = -1.0
    return reward


def relabelled(data: InterventionData, stored: str) -> Transitions:
    """The replay buffer: executed actions with the reward of interventions; demonstrations whole."""
    kept = np.ones(len(data), dtype=bool)
    if stored == 'as_released':
        kept[-1:] = False
        kept[:-1] = (data.episode[1:] == data.episode[:-1]) & (data.onset | ~data.intervening)[1:]
        kept |= data.demonstration
    inputs, actions, rewards, next_inputs, done = (
        torch.as_tensor(column[kept], dtype=torch.float32)
        for column in (data.stacked, data.executed_action, rewards_of(data), data.next_stacked, data.done.astype(np.float32))
    )
    return Transitions(inputs, actions, rewards, next_inputs, done, prior=torch.as_tensor(data.demonstration[kept]))


def drawn(prior: Tensor, size: int, share: float, generator: torch.Generator) -> Tensor:
    """Numbers of `size` transitions, `share` of them where `prior` (N,) is true; all from one kind where there is no other."""
    kinds = [rows.nonzero().squeeze(-1) for rows in (prior, ~prior)]
    first = round(size * share) if all(len(rows) for rows in kinds) else size * bool(len(kinds[0]))
    counts = (first, size - first)
    return torch.cat(
        [rows[torch.randint(len(rows), (count,), generator=generator)] for rows, count in zip(kinds, counts, strict=True) if count]
    )


class Critics(nn.Module):
    """An ensemble of Q(s, a) with layer normalisation; inputs are normalised as the policy's, actions clipped to [-1, 1]."""

    def __init__(self, policy: Network, count: int) -> None:
        super().__init__()
        size = policy.architecture
        self._see = policy.normalised
        self.networks = nn.ModuleList(_critic(size.input_dim + size.action_dim, size.hidden) for _ in range(count))

    def forward(self, inputs: Tensor, actions: Tensor, which: Sequence[int] | None = None) -> Tensor:
        """Values (E, B) by all critics, or by those of the numbers `which`, for inputs (B, H*d) and actions (B, A)."""
        joined = torch.cat([self._see(inputs), actions.clamp(-1.0, 1.0)], dim=-1)
        numbers = range(len(self.networks)) if which is None else which
        return torch.stack([self.networks[number](joined).squeeze(-1) for number in numbers])


def _critic(width: int, hidden: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for size in hidden:
        layers += [nn.Linear(width, size), nn.LayerNorm(size), nn.ReLU()]
        width = size
    return nn.Sequential(*layers, nn.Linear(width, 1))


def rlpd(policy: GaussianPolicy, config: RlifConfig, generator: torch.Generator) -> tuple[Update, TrainingState]:
    """The updates of SAC as in RLPD, of `policy` in place, and all that they change."""
    critics = Critics(policy, config.critics)
    target = Critics(policy, config.critics).requires_grad_(False)
    target.load_state_dict(critics.state_dict())
    weights, followers = dict(critics.named_parameters()), dict(target.named_parameters())
    log_temperature = torch.tensor(math.log(config.temperature), requires_grad=True)
    target_entropy = -policy.architecture.action_dim / 2
    critic_optimizer, actor_optimizer, temperature_optimizer = optimizers = [
        adam(parameters, config.learning_rate) for parameters in (list(weights.values()), list(policy.parameters()), [log_temperature])
    ]

    def sample(of: Gaussian) -> Tensor:
        noise = torch.randn(of.mean.shape, generator=generator)
        return of.mean + of.log_std.exp() * noise

    def update(batch: Transitions, actor_too: bool) -> dict[str, float]:
        with torch.no_grad():
            action = sample(policy(batch.next_inputs))
            two = torch.randperm(config.critics, generator=generator)[:2].tolist()
            value = target(batch.next_inputs, action, two).amin(dim=0)
            wanted = batch.rewards + config.discount * (1 - batch.done) * value
        critic_loss = (critics(batch.inputs, batch.actions) - wanted).square().mean(dim=1).sum()
        descend(critic_optimizer, critic_loss, config.grad_clip)
        _follow(followers, weights, config.target_rate)
        losses = {'critic_loss': critic_loss.item() / config.critics}
        if actor_too:
            chosen = policy(batch.inputs)
            action, entropy = sample(chosen), clipped_entropy(chosen)
            critics.requires_grad_(False)
            value = critics(batch.inputs, action).mean(dim=0)
            actor_loss = -(log_temperature.exp().detach() * entropy + value).mean()
            descend(actor_optimizer, actor_loss, config.grad_clip)
            critics.requires_grad_(True)
            descend(temperature_optimizer, log_temperature.exp() * (entropy.mean().item() - target_entropy), math.inf)
            losses |= {
                'actor_loss': actor_loss.item(),
                'value': value.mean().item(),
                'temperature': log_temperature.exp().item(),
                'entropy': entropy.mean().item(),
            }
        return losses

    return update, TrainingState(optimizers, generator, followers)


def clipped_entropy(of: Gaussian) -> Tensor:
    """Entropy [nats] of actions (B, d) that are clipped to [-1, 1], (B,): Σ over d of −∫ f ln f within, and −P ln P at either end."""
    std = of.log_std.exp()
    low, high = (-1.0 - of.mean) / std, (1.0 - of.mean) / std
    below, above = torch.special.log_ndtr(low), torch.special.log_ndtr(-high)
    ends = -below.exp() * below - above.exp() * above
    inside = 1.0 - below.exp() - above.exp()
    density_low, density_high = (torch.exp(-0.5 * z.square()) / math.sqrt(2 * math.pi) for z in (low, high))
    within = inside * (of.log_std + 0.5 * math.log(2 * math.pi)) + 0.5 * (inside + low * density_low - high * density_high)
    entropy: Tensor = (ends + within).sum(dim=-1)
    return entropy


def dqn(policy: Network, config: RlifConfig, generator: torch.Generator) -> tuple[Update, TrainingState]:
    """The updates of double DQN, and all that they change; the values are the outputs of `policy` itself, which is trained in place."""
    target = copy.deepcopy(policy)
    optimizer = adam(policy.parameters(), config.learning_rate)

    def update(batch: Transitions, actor_too: bool) -> dict[str, float]:  # noqa: ARG001 - there is no actor
        with torch.no_grad():
            best = policy.outputs(batch.next_inputs).argmax(dim=-1, keepdim=True)
            value = target.outputs(batch.next_inputs).gather(-1, best).squeeze(-1)
            wanted = batch.rewards + config.discount * (1 - batch.done) * value
        predicted = policy.outputs(batch.inputs).gather(-1, batch.actions.long()).squeeze(-1)
        loss = functional.smooth_l1_loss(predicted, wanted)
        descend(optimizer, loss, config.grad_clip)
        _follow(dict(target.named_parameters()), dict(policy.named_parameters()), config.target_rate)
        return {'critic_loss': loss.item(), 'value': predicted.mean().item()}

    return update, TrainingState([optimizer], generator, dict(target.named_parameters()))


def _follow(target: Mapping[str, Tensor], weights: Mapping[str, Tensor], rate: float) -> None:
    """Polyak averaging."""
    with torch.no_grad():
        for name, value in target.items():
            value.lerp_(weights[name], rate)
