"""Behaviour cloning of a task's episodes: how initial policies, mental models and the policies of humans are made."""

from __future__ import annotations

import copy

import numpy as np
import torch

from mile_learner.bench.rollouts import Episode
from mile_learner.bench.tasks import Task
from mile_learner.bundle import Bundle, Manifest
from mile_learner.categorical import CategoricalPolicy
from mile_learner.history import stack_episode
from mile_learner.methods.behaviour_cloning import BehaviourCloningConfig, clone, clone_discrete
from mile_learner.policy import GaussianPolicy


def cloning_config(task: Task, epochs: int) -> BehaviourCloningConfig:
    """The options of a task's clones."""
    return BehaviourCloningConfig(epochs=epochs, hidden=task.hidden, std_floor=1e-2)


def clone_episodes(task: Task, episodes: list[Episode], epochs: int, seed: int, *, oracle: bool = False) -> Bundle:
    """A clone of what was executed, or of what the expert would have done; the mental model is a copy of the policy."""
    inputs = torch.from_numpy(np.concatenate([stack_episode(e.observations[:-1], task.history) for e in episodes]))
    labels = [e.oracle_action if oracle else e.executed_action for e in episodes]
    numbers = torch.from_numpy(np.repeat(np.arange(len(episodes)), [len(e.reward) for e in episodes]))
    config = cloning_config(task, epochs)
    actions = torch.from_numpy(np.concatenate(labels))
    policy: GaussianPolicy | CategoricalPolicy
    if task.discrete:
        policy, _ = clone_discrete(inputs, actions, numbers, config, count=task.action_dim, seed=seed)
    else:
        policy, _ = clone(inputs, actions, numbers, config, seed=seed)
    manifest = Manifest(
        version='v000',
        task=task.name,
        observation_layout=task.observation_layout,
        history=task.history,
        architecture=policy.architecture,
        mental_architecture=policy.architecture,
        c=1.0,
        sigma=1.0,
        method='behaviour_cloning',
    )
    return Bundle(policy, copy.deepcopy(policy), manifest)
