"""How strongly J1 and J2 of MILE pull at the policy's actions, in the data of the first round.

python benchmarks/single_meta_world/gradients.py TASK ... > gradients.json

Per task, before and after 100 epochs of training: the sum over all steps of the norms of the gradients by the mean action, of J1 where
nobody intervened, of J1 where somebody did, and of J2. The preparations of seed 0 are those of `mile bench prepare`.
"""

import dataclasses
import json
import sys
from typing import Any, cast

import torch

from mile_learner.bench.cells import collect
from mile_learner.bench.prepare import PrepareConfig, prepare
from mile_learner.bench.suites import SUITES, Cell
from mile_learner.methods.mile import Mile
from mile_learner.methods.mile_losses import Batch, mile_losses
from mile_learner.network import Policy

HUMAN = 'as_published'


def pulls(task: str) -> dict[str, Any]:
    """The sums for one task, and c and sigma of its human."""
    prepared = prepare(task, 0, PrepareConfig(), humans=[HUMAN])
    start = prepared.bundle(HUMAN)
    cell = Cell('single', task, HUMAN, 'mile', 0)
    data = collect(cell, SUITES[cell.suite], prepared, start, 1, lambda _: None)
    config = Mile().configure(task)
    trained = Mile().fit(data, start, config=dataclasses.replace(config, epochs=100), seed=0)
    batch, found = Batch.of(data, 'all'), {}
    for name, bundle in (('before', start), ('after', trained)):
        human, mental_model = bundle.policy(batch.inputs), cast('Policy', bundle.mental_model)
        mean = human.mean.detach().requires_grad_()
        detached = human._replace(mean=mean, log_std=human.log_std.detach())
        losses = mile_losses(
            cast('Policy', lambda _, output=detached: output),
            mental_model,
            batch,
            c=start.manifest.c,
            sigma=start.manifest.sigma,
            config=config,
        )
        by_j1 = torch.autograd.grad(losses.intervention, mean, retain_graph=True)[0].norm(dim=1)
        by_j2 = torch.autograd.grad(losses.action, mean)[0].norm(dim=1)
        alone = ~batch.intervening
        found[name] = {'j1_alone': by_j1[alone].sum().item(), 'j1_intervening': by_j1[~alone].sum().item(), 'j2': by_j2.sum().item()}
    return {**found, 'c': start.manifest.c, 'sigma': start.manifest.sigma}


json.dump({task: pulls(task) for task in sys.argv[1:]}, sys.stdout, indent=1)
