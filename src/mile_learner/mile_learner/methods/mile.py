"""MILE (Korkmaz & Bıyık 2025): its training. Equations, variants and options are in `mile_losses`."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Mapping
from statistics import fmean
from typing import ClassVar

import torch

from mile_learner.bundle import POLICIES, Bundle
from mile_learner.errors import LearnerError
from mile_learner.methods.base import InterventionData
from mile_learner.methods.checkpoint import TrainingState, epochs
from mile_learner.methods.mile_losses import Batch, Losses, MileConfig, mile_losses, summary
from mile_learner.methods.training import Report, TrainingCancelled, adam, descend, for_task
from mile_learner.network import Policy

RELEASED_SHARE = 0.8
"""Of the steps that a round of the authors' code trains on."""
LEARNING_RATES: Mapping[str, float] = {'button_press': 1e-4, 'drawer_open': 5e-4, 'peg_insert': 1e-4}
"""Table I, row MILE, where that differs from the default."""


class Mile:
    """The method as the registry knows it."""

    name: ClassVar[str] = 'mile'
    discrete: ClassVar[bool] = True
    uses_c: ClassVar[bool] = True

    def configure(self, task: str) -> MileConfig:
        """The defaults for a task."""
        return for_task(MileConfig(), task, LEARNING_RATES)

    def fit(self, data: InterventionData, start: Bundle, *, config: MileConfig, seed: int, progress: Report | None = None) -> Bundle:
        """Train a copy of the policy and the mental model of `start` on all steps.

        Raises:
            LearnerError: no mental model where one is needed, no intervention in the data, or an option that the class of the policy lacks.
            TrainingCancelled: `progress` asked to stop.
        """
        if not data.intervening.any():
            msg = f'got {len(data)} steps without an intervention, expected at least one; MILE learns from interventions'
            raise LearnerError(msg)
        kind = start.manifest.architecture.distribution
        if config.variant == 'as_released' and kind not in ('gaussian', 'categorical'):
            msg = f'variant: got as_released, expected as_published; the released likelihood is of gaussian policies, this one is {kind}'
            raise LearnerError(msg)
        policy = copy.deepcopy(start.policy)
        mental_model = initial_mental_model(start, config, seed).requires_grad_(config.mental_model == 'learned')
        c, sigma = start.manifest.c, start.manifest.sigma
        steps, grad_clip = Batch.of(data, config.decisions), config.grad_clip
        generator = torch.Generator().manual_seed(seed)
        if config.variant == 'as_released':
            steps = steps.take(torch.randperm(len(data), generator=generator)[: max(round(RELEASED_SHARE * len(data)), 1)])
            grad_clip = math.inf
        parameters = [*policy.parameters(), *(mental_model.parameters() if config.mental_model == 'learned' else ())]
        optimizer = adam(parameters, config.learning_rate)
        metrics: dict[str, float] = {}
        for epoch in epochs(config.epochs, TrainingState([optimizer], generator)):
            done: list[Losses] = []
            norms: list[float] = []
            for batch in steps.minibatches(config.batch_size, generator):
                losses = mile_losses(policy, mental_model, batch, c=c, sigma=sigma, config=config)
                norms.append(descend(optimizer, losses.total, grad_clip).item())
                done.append(losses)
            metrics = {**summary(done), 'gradient_norm': fmean(norms)}
            if progress is not None and not progress(epoch + 1, config.epochs, metrics):
                raise TrainingCancelled
        if config.mental_model == 'none':
            mental_model = copy.deepcopy(policy)
        manifest = dataclasses.replace(
            start.manifest,
            mental_architecture=mental_model.architecture,
            method=self.name,
            configuration=config.to_mapping(),
            seed=seed,
            metrics=metrics,
        )
        return Bundle(policy.eval(), mental_model.requires_grad_(True).eval(), manifest)


def initial_mental_model(start: Bundle, config: MileConfig, seed: int) -> Policy:
    """The mental model to begin with.

    Raises:
        LearnerError: the bundle has none, or a classifier in its place.
    """
    if config.mental_model in ('snapshot', 'none', 'noted'):
        return copy.deepcopy(start.policy)
    if start.mental_model is None:
        msg = f'{start.manifest.version}: has no mental model, which MILE needs; `mile deploy` learns one from three episodes that it shows'
        raise LearnerError(msg)
    if not isinstance(start.mental_model, Policy):
        msg = (
            f'{start.manifest.version}: has a classifier for a mental model, expected a policy; train from a version made by another method'
        )
        raise LearnerError(msg)
    model = copy.deepcopy(start.mental_model)
    first = start.manifest.configuration.get('variant') != 'as_released'
    if config.variant == 'as_released' and config.mental_model == 'learned' and first:
        torch.manual_seed(seed)
        model.body = POLICIES[model.architecture.distribution](model.architecture).body
    return model
