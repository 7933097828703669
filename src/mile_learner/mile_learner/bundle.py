"""A policy version on disk: weights as safetensors, everything else as JSON; opening one executes nothing.

policies/v003/policy.safetensors  mental_model.safetensors  learner_state.safetensors  manifest.json

The last two sets of weights are there where the method that made the version has them.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np
import safetensors
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from mile_learner.architecture import Architecture
from mile_learner.categorical import CategoricalPolicy
from mile_learner.classifier import InterventionClassifier
from mile_learner.errors import LearnerError
from mile_learner.files import remedy, sha256_of, sync_folder, write_synced
from mile_learner.manifest import MANIFEST_FILE as MANIFEST_FILE
from mile_learner.manifest import Manifest as Manifest
from mile_learner.manifest import now as now
from mile_learner.manifest import read_manifest as read_manifest
from mile_learner.manifest import verified
from mile_learner.mixture import MixturePolicy
from mile_learner.network import Distribution, Network, Policy
from mile_learner.policy import GaussianPolicy
from mile_learner.squashed import SquashedPolicy
from mile_learner.step import Array

N = TypeVar('N', bound=Network)
POLICY_FILE = 'policy.safetensors'
MENTAL_MODEL_FILE = 'mental_model.safetensors'
LEARNER_STATE_FILE = 'learner_state.safetensors'
POLICIES: Mapping[str, Callable[[Architecture], Policy]] = {
    kind.distribution: kind for kind in (GaussianPolicy, SquashedPolicy, MixturePolicy, CategoricalPolicy)
}
MENTAL_MODELS: Mapping[str, Callable[[Architecture], Policy | InterventionClassifier]] = {**POLICIES, 'bernoulli': InterventionClassifier}
"""By the distribution that an architecture names."""


class Bundle:
    """A policy, its mental model, and what is needed to run them.

    The policy is one of `POLICIES`. The mental model is of the same class, or an `InterventionClassifier` in its place, or None. A is the
    width of an action array: 1 for discrete actions, which are given by their number. `learner_state` is what else the method that made
    the version needs to train it further, e.g. the critics of RLIF; nothing else reads it.

    Raises:
        LearnerError: the mental model is a policy of another class.
    """

    def __init__(
        self,
        policy: Policy,
        mental_model: Policy | InterventionClassifier | None,
        manifest: Manifest,
        learner_state: Mapping[str, Tensor] | None = None,
    ) -> None:
        if isinstance(mental_model, Policy) and mental_model.distribution != policy.distribution:
            msg = f'{manifest.version}: got a {mental_model.distribution} mental model, expected a {policy.distribution} one, as the policy'
            raise LearnerError(msg)
        self.policy = policy
        self.mental_model = mental_model
        self.manifest = manifest
        self.learner_state = learner_state or {}

    def with_manifest(self, manifest: Manifest) -> Bundle:
        """The same networks with another manifest."""
        return Bundle(self.policy, self.mental_model, manifest, self.learner_state)

    def act(self, stacked: Array) -> tuple[Array, Array]:
        """The robot action and p(ν=1|s): (H*d,) -> (A,) and (), or (B, H*d) -> (B, A) and (B,); p is NaN without a mental model.

        The action is the `mode` of the policy's distribution. A non-finite input gives a non-finite action, where actions are continuous.
        """
        with torch.inference_mode():
            inputs = torch.from_numpy(np.atleast_2d(np.asarray(stacked, dtype=np.float32)))
            chosen: Distribution = self.policy(inputs)
            action, p = chosen.mode(), self.log_intervention_probability(inputs, chosen)[0].exp().float()
        if np.ndim(stacked) == 1:
            return action[0].numpy(), p[0].numpy()
        return action.numpy(), p.numpy()

    def log_intervention_probability(self, inputs: Tensor, chosen: Distribution) -> tuple[Tensor, Tensor]:
        """ln p(ν=1|s) and ln p(ν=0|s) for inputs (B, H*d) and what the policy said of them, (B,) each; NaN without a mental model."""
        if self.mental_model is None:
            nothing = torch.full((len(inputs),), torch.nan)
            return nothing, nothing
        expected = self.mental_model(inputs)
        if isinstance(self.mental_model, InterventionClassifier):
            log_p, log_not_p = expected
            return log_p, log_not_p
        return chosen.log_intervention_probability(expected, self.manifest.c, self.manifest.sigma)

    def save(self, folder: Path) -> Manifest:
        """Write a new version folder in one step, and return the manifest with the weights' hashes.

        Raises:
            LearnerError: the folder exists, for a version is never overwritten; or the disk is full, and nothing is left behind.
        """
        if folder.exists():
            msg = f'{folder}: exists; a policy version is never overwritten, take the next free name'
            raise LearnerError(msg)
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = folder.with_name(f'.{folder.name}.{os.getpid()}')
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            temporary.mkdir()
            tensors: dict[str, Mapping[str, Tensor]] = {
                POLICY_FILE: self.policy.state_dict(),
                MENTAL_MODEL_FILE: {} if self.mental_model is None else self.mental_model.state_dict(),
                LEARNER_STATE_FILE: self.learner_state,
            }
            weights = {}
            for name, named in tensors.items():
                if named:
                    save_file(dict(named), temporary / name)
                    weights[name] = sha256_of(temporary / name)
            manifest = dataclasses.replace(self.manifest, version=folder.name, weights=weights)
            text = json.dumps(manifest.to_mapping(), indent=2, allow_nan=False) + '\n'
            write_synced(temporary / MANIFEST_FILE, text.encode())
            sync_folder(temporary)
            temporary.rename(folder)
        except (OSError, safetensors.SafetensorError) as error:
            msg = f'{folder}: cannot be written ({error}); nothing of it is left behind; {remedy(error)}, then train again'
            raise LearnerError(msg) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        sync_folder(folder.parent)
        self.manifest = manifest
        return manifest

    @classmethod
    def load(cls, folder: Path) -> Bundle:
        """Read a version folder, verifying the weights' hashes.

        Raises:
            LearnerError: something is missing, damaged, or was changed after training.
        """
        manifest = read_manifest(folder)
        policy = _load_weights(POLICIES, folder, POLICY_FILE, manifest, manifest.architecture)
        mental = None
        if manifest.mental_architecture is not None:
            mental = _load_weights(MENTAL_MODELS, folder, MENTAL_MODEL_FILE, manifest, manifest.mental_architecture)
        state = _tensors(verified(folder, LEARNER_STATE_FILE, manifest)) if LEARNER_STATE_FILE in manifest.weights else None
        return cls(policy, mental, manifest, state)


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except safetensors.SafetensorError as error:
        msg = f'{path}: is not a file of safetensors ({" ".join(str(error).split())[:120]})'
        raise LearnerError(msg) from error


def _load_weights(
    known: Mapping[str, Callable[[Architecture], N]], folder: Path, name: str, manifest: Manifest, architecture: Architecture
) -> N:
    if architecture.distribution not in known:
        msg = f'{folder / MANIFEST_FILE}: {name} has distribution {architecture.distribution!r}, expected one of {", ".join(known)}'
        raise LearnerError(msg)
    path = verified(folder, name, manifest)
    widths = (architecture.input_dim, *architecture.hidden, architecture.action_dim)
    claimed = 4 * sum(inputs * outputs for inputs, outputs in pairwise(widths))
    if claimed > path.stat().st_size:
        msg = f'{path}: has {path.stat().st_size} bytes, the architecture in the manifest claims {claimed} or more; not loaded'
        raise LearnerError(msg)
    module = known[architecture.distribution](architecture)
    try:
        module.load_state_dict(_tensors(path))
    except RuntimeError as error:
        msg = f'{path}: does not fit the architecture in the manifest ({" ".join(str(error).split())[:120]})'
        raise LearnerError(msg) from error
    module.eval()
    return module
