"""BC-intervention, a baseline of MILE "where the model estimates human's interventions with only a neural network".

The paper (Korkmaz & Bıyık 2025, Section V) says no more of it. Here it is one network with two heads, on features that both train:

    J = λ mean BCE(σ(f(s)), ν) + (1 − λ) mean −ln π_θ(a_h|s) over the steps with ν = 1

that is J of MILE (Eqs. 4 and 5), but p(ν=1|s) is a logistic head f in the place of Eq. 2: no mental model, no cost, nothing that ties the
decision to intervene to the actions. Were the features apart, its policy would be that of `bc_interventions`, and the steps without an
intervention would teach it nothing. Learning rates and epochs are those of MILE; the head, which begins at random, has one of its own.

It is also the neural-network classifier in the prediction of interventions (Fig. 7, left). In a bundle the classifier takes the mental
model's place.
"""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from mile_learner.architecture import Architecture
from mile_learner.bundle import Bundle
from mile_learner.classifier import InterventionClassifier
from mile_learner.config import option
from mile_learner.errors import LearnerError
from mile_learner.methods.base import InterventionData
from mile_learner.methods.checkpoint import TrainingState, epochs
from mile_learner.methods.mile import LEARNING_RATES
from mile_learner.methods.training import Report, TrainingCancelled, adam, descend, for_task, minibatches
from mile_learner.methods.weighted_cloning import WeightedCloningConfig


@dataclass(frozen=True)
class BcInterventionConfig(WeightedCloningConfig):
    """Options of BC-intervention."""

    intervention_weight: float = option(0.5, doc='lambda: the weight of the classification; 1 - lambda: of the cloning', ge=0.0, le=1.0)
    head_learning_rate: float = option(1e-3, doc="step size of Adam for the classifier's last layer", gt=0.0, le=1.0)


class BcIntervention:
    """Cloning of the human and classification of nu, on common features."""

    discrete: ClassVar[bool] = True
    predicts: ClassVar[bool] = True

    def configure(self, task: str) -> BcInterventionConfig:
        """The defaults for a task: the learning rates of MILE."""
        return for_task(BcInterventionConfig(), task, LEARNING_RATES)

    def fit(
        self, data: InterventionData, start: Bundle, *, config: BcInterventionConfig, seed: int, progress: Report | None = None
    ) -> Bundle:
        """Train a copy of the policy of `start`, and a classifier on its features: a new one, or the one that `start` has.

        Raises:
            LearnerError: no intervention in the data.
            TrainingCancelled: `progress` asked to stop.
        """
        if not data.intervening.any():
            msg = f'bc_intervention: got {len(data)} steps without an intervention, expected at least one'
            raise LearnerError(msg)
        policy = copy.deepcopy(start.policy)
        classifier = initial_classifier(start, seed)
        classifier.body = nn.Sequential(*policy.body[:-1], classifier.body[-1])  # the same modules: one network while it is trained
        head = list(classifier.body[-1].parameters())
        groups = [{'params': policy.parameters(), 'lr': config.learning_rate}, {'params': head, 'lr': config.head_learning_rate}]
        optimizer = adam(groups, config.learning_rate)
        inputs = torch.as_tensor(data.stacked, dtype=torch.float32)
        human_action = torch.as_tensor(np.nan_to_num(data.human_action), dtype=torch.float32)
        intervening, decided = torch.as_tensor(data.intervening), torch.as_tensor(~data.demonstration)
        generator = torch.Generator().manual_seed(seed)
        metrics: dict[str, float] = {}
        for epoch in epochs(config.epochs, TrainingState([optimizer], generator)):
            metrics = {'intervention_loss': 0.0, 'action_loss': 0.0}
            for rows in minibatches(len(data), config.batch_size, generator):
                nu = intervening[rows]
                log_p, log_not_p = classifier(inputs[rows])
                j1 = -(torch.where(nu, log_p, log_not_p) * decided[rows]).sum() / decided[rows].sum().clamp_min(1)
                j2 = -(policy(inputs[rows]).log_prob(human_action[rows]) * nu).sum() / nu.sum().clamp_min(1)
                loss = config.intervention_weight * j1 + (1 - config.intervention_weight) * j2
                descend(optimizer, loss, config.grad_clip)
                metrics['intervention_loss'] += j1.item() * len(rows) / len(data)
                metrics['action_loss'] += j2.item() * len(rows) / len(data)
            if progress is not None and not progress(epoch + 1, config.epochs, metrics):
                raise TrainingCancelled
        manifest = dataclasses.replace(
            start.manifest,
            mental_architecture=classifier.architecture,
            method='bc_intervention',
            configuration=config.to_mapping(),
            seed=seed,
            metrics=metrics,
        )
        return Bundle(policy.eval(), copy.deepcopy(classifier).eval(), manifest)


def initial_classifier(start: Bundle, seed: int) -> InterventionClassifier:
    """The classifier of the bundle, or one with random weights and the normaliser of the bundle's policy."""
    if isinstance(start.mental_model, InterventionClassifier):
        return copy.deepcopy(start.mental_model)
    torch.manual_seed(seed)
    size = start.policy.architecture
    classifier = InterventionClassifier(
        Architecture(input_dim=size.input_dim, action_dim=1, hidden=size.hidden, distribution=InterventionClassifier.distribution)
    )
    classifier.input_mean.copy_(start.policy.input_mean)
    classifier.input_std.copy_(start.policy.input_std)
    return classifier
