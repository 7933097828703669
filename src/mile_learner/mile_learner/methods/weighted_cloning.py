"""What the imitation baselines share: behaviour cloning of labelled steps, each with its weight, from a given policy.

    L(θ) = − Σ_i w_i ln π_θ(y_i|s_i) / Σ_i w_i

The weights act by sampling: every step of a batch is drawn with replacement with P(i) = w_i / Σ w, which is L in expectation. An epoch
draws as many steps as the data hold, whatever the weights, so that all methods (MILE too) take equally many gradient steps per epoch.
"""

from __future__ import annotations

import abc
import copy
import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from mile_learner.bundle import Bundle
from mile_learner.config import Config, option
from mile_learner.errors import LearnerError
from mile_learner.methods.base import InterventionData
from mile_learner.methods.checkpoint import TrainingState, epochs
from mile_learner.methods.training import Report, TrainingCancelled, adam, descend, for_task
from mile_learner.network import Policy
from mile_learner.step import Array

Weights = NDArray[np.float64]


@dataclass(frozen=True)
class WeightedCloningConfig(Config):
    """Options of the imitation baselines; learning rate and epochs by default those of Table I, WidowX Peg Insertion."""

    learning_rate: float = option(1e-5, doc='step size of Adam', gt=0.0, le=1.0)
    epochs: int = option(500, doc='times as many steps are drawn as the data hold', ge=1)
    batch_size: int = option(256, doc='steps per gradient step', ge=1)
    grad_clip: float = option(10.0, doc='largest norm of the gradient', gt=0.0)


class WeightedCloning(abc.ABC):
    """A method that is its weights and labels; the rest is here.

    Attributes:
        name: in the registry.
        learning_rates: by task, where they differ from the default.
        config_type: of its options.
        discrete: they take discrete actions as well.
    """

    name: ClassVar[str]
    learning_rates: ClassVar[Mapping[str, float]]
    config_type: ClassVar[type[WeightedCloningConfig]] = WeightedCloningConfig
    discrete: ClassVar[bool] = True

    @abc.abstractmethod
    def weights(self, data: InterventionData, config: Any) -> Weights:
        """w of every step, (N,), not negative; only their ratios matter."""

    def labels(self, data: InterventionData) -> Array:
        """y of every step, (N, A): the executed action, a_h where nu = 1 and a_r elsewhere."""
        return data.executed_action

    def configure(self, task: str) -> WeightedCloningConfig:
        """The defaults for a task."""
        return for_task(self.config_type(), task, self.learning_rates)

    def fit(self, data: InterventionData, start: Bundle, *, config: Any, seed: int, progress: Report | None = None) -> Bundle:
        """Train a copy of the policy of `start`; the mental model, c and sigma stay as they are.

        Raises:
            LearnerError: no step has a weight, or a label is not finite.
            TrainingCancelled: `progress` asked to stop.
        """
        weights, labels = self.weights(data, config), self.labels(data)
        used = weights > 0
        if not used.any():
            msg = f'{self.name}: got {len(data)} steps of which it learns from none, expected at least one with an intervention'
            raise LearnerError(msg)
        if not np.isfinite(labels[used]).all():
            msg = f'{self.name}: got actions to imitate that are not finite; remove the episodes that hold them'
            raise LearnerError(msg)
        policy = copy.deepcopy(start.policy)
        loss = fit_weighted(policy, data.stacked, labels, weights, config=config, seed=seed, progress=progress)
        manifest = dataclasses.replace(
            start.manifest,
            method=self.name,
            configuration=config.to_mapping(),
            seed=seed,
            metrics={'action_loss': loss, 'imitated_steps': int(used.sum())},
        )
        return Bundle(policy.eval(), start.mental_model, manifest)


def class_weights(classes: NDArray[np.int64], shares: Sequence[float]) -> Weights:
    """w = P*(class) / P(class) of every step, (N,): every class k in `classes` (N,) gets `shares[k]` of the sampled steps.

    Where a class has no step, its share goes to the others in proportion.
    """
    counts = np.bincount(classes, minlength=len(shares))
    return np.asarray(shares, dtype=np.float64)[classes] * len(classes) / counts[classes]


def fit_weighted(
    policy: Policy,
    stacked: Array,
    labels: Array,
    weights: Weights,
    *,
    config: WeightedCloningConfig,
    seed: int,
    progress: Report | None = None,
) -> float:
    """Train `policy` in place on (stacked (N, H*d), labels (N, A), weights (N,)); returns the loss of the last epoch.

    Raises:
        TrainingCancelled: `progress` asked to stop.
    """
    inputs, actions = (torch.as_tensor(values, dtype=torch.float32) for values in (stacked, labels))
    chances = torch.as_tensor(weights)
    generator = torch.Generator().manual_seed(seed)
    optimizer = adam(policy.parameters(), config.learning_rate)
    mean_loss = math.nan
    for epoch in epochs(config.epochs, TrainingState([optimizer], generator)):
        total = 0.0
        for rows in torch.multinomial(chances, len(chances), replacement=True, generator=generator).split(config.batch_size):
            loss = -policy(inputs[rows]).log_prob(actions[rows]).mean()
            descend(optimizer, loss, config.grad_clip)
            total += loss.item() * len(rows)
        mean_loss = total / len(chances)
        if progress is not None and not progress(epoch + 1, config.epochs, {'action_loss': mean_loss}):
            raise TrainingCancelled
    return mean_loss
