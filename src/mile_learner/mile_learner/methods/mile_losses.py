"""MILE (Korkmaz & Bıyık 2025), Eqs. 2 to 5, with the closed form of the intervention probability where there is one.

Continuous actions:

    J1 = mean BCE(p(ν=1|s), ν)                           trains the policy θ and the mental model ξ
    J2 = mean −ln π_θ(a_h|s) over the steps with ν = 1   trains the policy θ
    J  = λ J1 + (1 − λ) J2

Eq. 4 divides J2 by N, which in J1 is the number of all steps: action_mean=all. The authors' code divides by the number of steps with ν = 1,
and so does this by default, action_mean=interventions. With a share r of those the former is the latter with λ / (λ + (1 − λ) r) in the
place of λ, 0.8 for 0.5 and a quarter, and all of J times λ + (1 − λ) r.

Discrete actions: J = mean cross-entropy over |A| + 1 classes, each action by the human and "no intervention" (Eq. 3; the text's other
sentence, "a_r otherwise", contradicts that class and is not followed). With ln p̂(a_h) = ln p(ν=1|s) + ln p(a_h|ν=1, s) the cross-entropy
is J1 + J2, J2 being divided by all steps, so that here too J = λ J1 + (1 − λ) J2: half of it at λ = 0.5, which Adam does not notice.

In the code `continuous_model` and `discrete_model` say what p(ν|s) and the likelihood of an action are, `step_weights` what each step
counts for, and `mile_losses` adds up. For Gaussian policies, as published, the default, `mile_objective.objective` takes the place of
`continuous_model`: the same sum and gradient in one pass. The other is that in readable form, and used for all variants that it lacks.

variant=as_published, the default, is all of the above. variant=as_released is the authors' code where it differs (USC-Lira/mile-code):

* J2 takes a_h from N(p μ, p s) with p = p(ν=1|s): the variable is scaled, not the density, and J2 trains ξ, too, through p;
  ln(p s) is clamped to [−20, 2], and p in J1 to [1e-7, 1 − 1e-7];
* the mental model starts from random weights (its warm start is loaded and dropped);
* a fifth of the steps, drawn anew in each round, is left out of the training; gradients are not clipped;
* discrete: π(a|s) in the place of ln π(a|s) in Φ, and no σ.
  Its batch is 1024, its learning rate 1e-4 (options of their own). Not followed: Adam's moments live through all rounds there; 1000 samples
  instead of the integral.

mental_model says what the human expects of the robot, π̂:

* learned: a network trained by J1, from the bundle's mental model on (as published);
* bc_frozen: the bundle's mental model as it is: that of the run's beginning, a clone of the initial policy;
* snapshot: the policy that training starts from, hence the one that flew last, as it is (the first author's later code);
* none: π̂ = π. For Gaussians p is then the same everywhere, and J2 alone teaches;
* noted: π̂ = N(a_r, exp(log_std_min)²), squashed if the policy is, discrete: certainly a_r, with the robot action noted at the very step.
  Nothing in J ties a learned π̂ to what the robot does: J1 alone can move it along with the policy, and then the steps without an
  intervention no longer hold the policy in place.

Three more departures that may be chosen:

* decisions=onset: Eq. 2 is about the decision to take over. A person who has taken over keeps control for a while, also where robot and
  human agree again; counted as ν = 1 there, J1 drives the policy away from actions that are right.
* std_gradient=false: J1 can lower its loss by widening or narrowing the policy, which changes no action.
* robot_weight=w: w J3 is added, J3 = mean −ln π_θ(a_r|s) over the steps with ν = 0 (their sum over all steps, where J2 has that): what
  nobody objected to is imitated. With w = 1 − λ this is IWR (discrete: BC on all) with J1 beside it, to measure what J1 adds.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mile_learner.categorical import Categorical
from mile_learner.config import Config, option
from mile_learner.intervention import enough_nodes
from mile_learner.methods.base import InterventionData
from mile_learner.methods.mile_objective import objective
from mile_learner.mixture import Mixture
from mile_learner.network import Policy, joined
from mile_learner.policy import Gaussian
from mile_learner.squashed import Squashed

Continuous = Gaussian | Squashed | Mixture
RELEASED_P = 1e-7
RELEASED_LOG_STD = (-20.0, 2.0)


@dataclass(frozen=True)
class MileConfig(Config):
    """Options of MILE; learning rate and epochs by default those of Table I, WidowX Peg Insertion."""

    learning_rate: float = option(1e-5, doc='step size of Adam', gt=0.0, le=1.0)
    epochs: int = option(500, doc='passes over the data', ge=1)
    batch_size: int = option(256, doc='steps per gradient step', ge=1)
    intervention_weight: float = option(0.5, doc='lambda: the weight of J1; that of J2 is 1 - lambda', ge=0.0, le=1.0)
    action_mean: str = option(
        'interventions',
        doc='what J2 is divided by: the number of steps with nu = 1, or of all steps, as Eq. 4 is printed; discrete actions: always all',
        choices=('interventions', 'all'),
    )
    variant: str = option('as_published', doc="the paper's losses, or those of the authors' code", choices=('as_published', 'as_released'))
    mental_model: str = option(
        'learned',
        doc='what the human expects of the robot: a network trained by J1; the initial one, a clone of the initial policy, kept as it is; '
        'the policy that flew last; what the policy itself does; or the robot action noted at each step',
        choices=('learned', 'bc_frozen', 'snapshot', 'none', 'noted'),
    )
    discrete_form: str = option(
        'product',
        doc='discrete actions: the class of a_h as the product pi(a_h|s) p(nu=1|s) of Eq. 2, or as the exact joint of Eq. 1',
        choices=('product', 'joint'),
    )
    decisions: str = option(
        'all',
        doc='where J1 counts nu = 1: at every step of a takeover, or only at its onset, when the human decided',
        choices=('all', 'onset'),
    )
    std_gradient: bool = option(True, doc='whether J1 may move the standard deviation of the policy')
    robot_weight: float = option(0.0, doc='the weight of imitating a_r where nobody intervened (J3); 0: as published', ge=0.0, le=10.0)
    grad_clip: float = option(10.0, doc='largest norm of the gradient', gt=0.0)
    nodes: int = option(
        0, doc='quadrature nodes of the intervention probability, gaussian policies; 0: as many as sigma needs', ge=0, le=64
    )


@dataclass(frozen=True)
class Batch:
    """B steps.

    Attributes:
        inputs: stacked observations, (B, H*d).
        robot_actions: a_r, (B, A); 0 in demonstrations, where there is none.
        human_actions: a_h, (B, A); read only where ν = 1.
        intervening: ν, (B,).
        decided: where J1 counts, (B,).
    """

    inputs: Tensor
    robot_actions: Tensor
    human_actions: Tensor
    intervening: Tensor
    decided: Tensor

    @classmethod
    def of(cls, data: InterventionData, decisions: str) -> Batch:
        """All steps of the data. In a demonstration nobody decides whether to intervene: J1 does not count there, J2 does."""
        return cls(
            inputs=torch.as_tensor(data.stacked, dtype=torch.float32),
            robot_actions=torch.as_tensor(np.nan_to_num(data.robot_action), dtype=torch.float32),
            human_actions=torch.as_tensor(np.nan_to_num(data.human_action), dtype=torch.float32),
            intervening=torch.as_tensor(data.intervening),
            decided=torch.as_tensor(data.decided(decisions)),
        )

    def take(self, rows: Tensor) -> Batch:
        """The steps at `rows`, an index or mask tensor."""
        return Batch(*(values[rows] for values in self._tensors()))

    def minibatches(self, size: int, generator: torch.Generator) -> Iterator[Batch]:
        """A random partition into batches of `size` (the last may be smaller), views of one shuffled copy."""
        shuffled = self.take(torch.randperm(len(self.inputs), generator=generator))
        return itertools.starmap(Batch, zip(*(values.split(size) for values in shuffled._tensors()), strict=True))

    def _tensors(self) -> list[Tensor]:
        return [getattr(self, field.name) for field in dataclasses.fields(self)]


@dataclass(frozen=True)
class Losses:
    """Of B steps; all but `total` without gradient.

    Attributes:
        total: J; of several batches together their mean, weighed by their sizes.
        log_decision: ln p(ν|s) of the ν of the data, (B,).
        action_nll: −ln of a_h given ν = 1, where ν = 1, (B,).
        intervening: ν, (B,).
        decided: where J1 counts, (B,).
        averaged: the steps whose number J2 is divided by, (B,).
        human, expected: π and π̂.
    """

    total: Tensor
    log_decision: Tensor
    action_nll: Tensor
    intervening: Tensor
    decided: Tensor
    averaged: Tensor
    human: Continuous | Categorical
    expected: Continuous | Categorical

    @property
    def intervention(self) -> Tensor:
        """J1."""
        return -self.log_decision[self.decided].sum() / self.decided.sum().clamp_min(1)

    @property
    def action(self) -> Tensor:
        """J2, zero where no step has ν = 1."""
        return self.action_nll[self.intervening].sum() / self.averaged.sum().clamp_min(1)

    @property
    def probability(self) -> Tensor:
        """p(ν=1|s), (B,)."""
        likelihood = self.log_decision.exp()
        return torch.where(self.intervening, likelihood, 1 - likelihood)

    @staticmethod
    def together(batches: Sequence[Losses]) -> Losses:
        """Of all steps of some batches."""

        def of_all(name: str) -> Any:
            parts = [getattr(losses, name) for losses in batches]
            return torch.cat(parts) if isinstance(parts[0], Tensor) else joined(parts)

        rest = {field.name: of_all(field.name) for field in dataclasses.fields(Losses) if field.name != 'total'}
        shares = [losses.total.detach() * len(losses.intervening) for losses in batches]
        return Losses(total=torch.stack(shares).sum() / len(rest['intervening']), **rest)


@torch.no_grad()
def summary(batches: Sequence[Losses]) -> dict[str, float]:
    """The numbers worth watching, of all batches of an epoch; at its end, as each costs as much for a batch as for all.

    Among them are the shortcuts of J1: how wide the policy is (mean log-std, or entropy) and how far from the mental model.
    """
    losses = Losses.together(batches)
    human: Any = losses.human
    expected: Any = losses.expected
    if isinstance(human, Categorical):
        distance = (expected.log_probs.exp() - human.log_probs.exp()).abs().sum(dim=-1) / 2
        watched = {'entropy': human.entropy(), 'mental_distance': distance}
    else:
        watched = {'log_std': human.log_std, 'mental_distance': (expected.mean - human.mean).abs()}
    return {
        'loss': losses.total.item(),
        'intervention_loss': losses.intervention.item(),
        'action_loss': losses.action.item(),
        'predicted_rate': losses.probability.mean().item(),
        **{name: values.mean().item() for name, values in watched.items()},
    }


def mile_losses(policy: Policy, mental_model: Policy, batch: Batch, *, c: float, sigma: float, config: MileConfig) -> Losses:
    """J and its parts on one batch."""
    human = policy(batch.inputs)
    expected = expected_robot(human, policy, mental_model, batch, config)
    nu, actions = batch.intervening, batch.human_actions
    if config.robot_weight > 0:
        actions = torch.where(nu.unsqueeze(-1), actions, batch.robot_actions)
    over_all = isinstance(human, Categorical) or config.action_mean == 'all'
    weights = step_weights(batch, config, over_all=over_all)
    if isinstance(human, Gaussian) and config.variant == 'as_published':
        nodes = config.nodes or enough_nodes(sigma)
        total, log_decision, action_nll = objective(
            human, expected, actions, nu, weights, c, sigma, nodes, std_gradient=config.std_gradient
        )
    else:
        model = discrete_model if isinstance(human, Categorical) else continuous_model
        log_decision, action_nll = model(human, expected, actions, nu, c, sigma, config)
        total = torch.dot(action_nll.to(weights[1].dtype), weights[1]) - torch.dot(log_decision, weights[0])
    return Losses(
        total=total,
        log_decision=log_decision.detach(),
        action_nll=action_nll.detach(),
        intervening=nu,
        decided=batch.decided,
        averaged=torch.ones_like(nu) if over_all else nu,
        human=type(human)(*(part.detach() for part in human)),
        expected=type(expected)(*(part.detach() for part in expected)),
    )


def step_weights(batch: Batch, config: MileConfig, *, over_all: bool) -> tuple[Tensor, Tensor]:
    """What −ln p(ν|s) (float64) and −ln of the action of each step count for in J, (B,) each: λ J1, and (1 − λ) J2 + w J3.

    With `over_all` J2 and J3 are divided by the number of all steps, else each by that of its own.
    """
    nu, size = batch.intervening, len(batch.intervening)
    decisions, taken = int(batch.decided.sum()), int(nu.sum())
    j2, j3 = (size, size) if over_all else (max(taken, 1), max(size - taken, 1))
    of_human, of_robot = (1 - config.intervention_weight) / j2, config.robot_weight / j3
    return (
        batch.decided.double().mul_(config.intervention_weight / max(decisions, 1)),
        nu.to(batch.inputs.dtype).mul_(of_human - of_robot).add_(of_robot),
    )


def expected_robot(human: Continuous | Categorical, policy: Policy, mental_model: Policy, batch: Batch, config: MileConfig) -> Any:
    """π̂ of the batch, of the same class as `human`, which is π."""
    if config.mental_model == 'none':
        return human if isinstance(human, Categorical) else _deciding(human, config)
    if config.mental_model != 'noted':
        return mental_model(batch.inputs)
    if isinstance(human, Categorical):
        return Categorical.certain(batch.robot_actions, policy.architecture.action_dim)
    return human.around(batch.robot_actions, policy.architecture.log_std_min)


def _deciding(human: Continuous, config: MileConfig) -> Any:
    """π where it is in p(ν|s)."""
    return human if config.std_gradient else human._replace(log_std=human.log_std.detach())


def continuous_model(
    human: Continuous, expected: Continuous, actions: Tensor, nu: Tensor, c: float, sigma: float, config: MileConfig
) -> tuple[Tensor, Tensor]:
    """ln p(ν|s) by Eq. 2, and −ln π(a|s) (Eq. 4), a_h as released, Gaussian only: N(p μ, p s); (B,) each.

    With the options that `objective` takes, its sum and gradient are the same, and sooner there.
    """
    nodes = {'nodes': config.nodes or enough_nodes(sigma)} if isinstance(human, Gaussian) else {}
    log_p, log_not_p = _deciding(human, config).log_intervention_probability(expected, c, sigma, **nodes)
    log_decision = torch.where(nu, log_p, log_not_p)
    acting = human
    if config.variant == 'as_released':
        log_p = torch.where(nu, log_decision, 0.0).unsqueeze(-1)
        acting = Gaussian(log_p.exp() * human.mean, (log_p + human.log_std).clamp(*RELEASED_LOG_STD))
        log_decision = log_decision.clamp(math.log(RELEASED_P), math.log1p(-RELEASED_P))
    return log_decision, -acting.log_prob(actions)


def discrete_model(
    human: Categorical, expected: Categorical, actions: Tensor, nu: Tensor, c: float, sigma: float, config: MileConfig
) -> tuple[Tensor, Tensor]:
    """ln p(ν|s), and −ln of a_h given ν = 1 or of a_r by π, (B,) each: the classes of Eq. 3, taken apart into whether and what."""
    joint, released = config.discrete_form == 'joint', config.variant == 'as_released'
    classes = human.log_classes(expected, c, sigma, joint=joint, released=released)
    log_p = torch.logsumexp(classes[:, :-1], dim=-1)
    chosen = classes.gather(-1, actions.long()).squeeze(-1)
    return torch.where(nu, log_p, classes[:, -1]), torch.where(nu, log_p - chosen, -human.log_prob(actions))
