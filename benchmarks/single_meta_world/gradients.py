"""How strongly J1 and J2 of MILE pull at the policy's actions, in the data of the first round.

python benchmarks/single_meta_world/gradients.py TASK ... > gradients.json

Per task, before and after 100 epochs of training: the sum over all steps of the norms of the gradients by the mean action, of J1 where
nobody intervened, of J1 where somebody did, and of J2. The preparations of seed 0 are those of `mile bench prepare`.
"""

import dataclasses
import json
import sys
from typing import Any

import torch

from mile_learner.bench.prepare import PrepareConfig, prepare
from mile_learner.bench.rollouts import to_data
from mile_learner.methods import METHODS
from mile_learner.methods.mile_losses import Batch, mile_losses

HUMAN = 'as_published'


def pulls(task: str) -> dict[str, Any]:
    """The sums for one task, and c and sigma of its human."""
    prepared = prepare(task, 0, PrepareConfig())
    start = prepared.bundle(HUMAN)
    starts = prepared.starts['train'][: prepared.task.offline_episodes]
    data = to_data(prepared.task, prepared.play(starts, bundle=start, supervisor=prepared.human(HUMAN)), iteration=1, first=0)
    config = METHODS['mile'].configure(task)
    trained = METHODS['mile'].fit(data, start, config=dataclasses.replace(config, epochs=100), seed=0)
    batch, found = Batch.of(data, 'all'), {}
    for name, bundle in (('before', start), ('after', trained)):
        human = bundle.policy(batch.inputs)
        mean = human.mean.detach().requires_grad_()

        def policy(_, mean=mean, human=human):
            return human._replace(mean=mean, log_std=human.log_std.detach())

        losses = mile_losses(policy, bundle.mental_model, batch, c=start.manifest.c, sigma=start.manifest.sigma, config=config)
        by_j1 = torch.autograd.grad(losses.intervention, mean, retain_graph=True)[0].norm(dim=1)
        by_j2 = torch.autograd.grad(losses.action, mean)[0].norm(dim=1)
        alone = ~batch.intervening
        found[name] = {'j1_alone': by_j1[alone].sum().item(), 'j1_intervening': by_j1[~alone].sum().item(), 'j2': by_j2.sum().item()}
    return {**found, 'c': start.manifest.c, 'sigma': start.manifest.sigma}


json.dump({task: pulls(task) for task in sys.argv[1:]}, sys.stdout, indent=1)
