"""A policy version on disk: weights as safetensors, everything else as JSON; opening one executes nothing.

policies/v003/policy.safetensors  mental_model.safetensors  manifest.json
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch
from safetensors.torch import load_file, save_file

from mile_learner.config import ConfigError
from mile_learner.errors import LearnerError
from mile_learner.files import sha256_of, sync_folder, write_synced
from mile_learner.intervention import discrepancy, log_intervention_probability
from mile_learner.policy import Architecture, GaussianPolicy
from mile_learner.step import Array

POLICY_FILE = 'policy.safetensors'
MENTAL_MODEL_FILE = 'mental_model.safetensors'
MANIFEST_FILE = 'manifest.json'


def now() -> str:
    """The time in UTC, ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec='seconds')


@dataclass(frozen=True)
class Manifest:
    """Where a policy version comes from and how to run it.

    Attributes:
        version: name of its folder, e.g. v003.
        task: name of the task.
        observation_layout: names of the observation entries before stacking.
        history: observations stacked.
        architecture: of the policy.
        mental_architecture: of the mental model; None where there is none.
        c: cost of intervening [nats].
        sigma: scale of the intervention model's CDF [nats].
        method: what trained it.
        parent: version whose weights it started from; None for an initial policy.
        iteration: the last iteration whose episodes it was trained on; None for an initial policy.
        configuration: of the method.
        seed: of the training.
        data: {'episode': id, 'sha256': content hash} per bag.
        metrics: what training measured.
        created: when, ISO 8601 in UTC.
        weights: SHA-256 per weight file.
    """

    version: str
    task: str
    observation_layout: tuple[str, ...]
    history: int
    architecture: Architecture
    mental_architecture: Architecture | None
    c: float
    sigma: float
    method: str
    parent: str | None = None
    iteration: int | None = None
    configuration: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    data: tuple[Mapping[str, str], ...] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    created: str = field(default_factory=now)
    weights: Mapping[str, str] = field(default_factory=dict)

    def to_mapping(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], *, source: str) -> Manifest:
        """Rebuild from JSON.

        Raises:
            LearnerError: keys are missing or unknown, or an architecture is not valid.
        """
        content = dict(values)
        try:
            content['observation_layout'] = tuple(content['observation_layout'])
            content['data'] = tuple(content['data'])
            content['architecture'] = Architecture.from_mapping(content['architecture'])
            mental = content['mental_architecture']
            content['mental_architecture'] = None if mental is None else Architecture.from_mapping(mental)
            return cls(**content)
        except (KeyError, TypeError, ConfigError) as error:
            msg = f'{source}: is not a policy manifest ({error}); the folder was not written by mile, or by another version of it'
            raise LearnerError(msg) from error


class Bundle:
    """A policy, its mental model, and what is needed to run them."""

    def __init__(self, policy: GaussianPolicy, mental_model: GaussianPolicy | None, manifest: Manifest) -> None:
        self.policy = policy
        self.mental_model = mental_model
        self.manifest = manifest

    def act(self, stacked: Array) -> tuple[Array, Array]:
        """The robot action and p(ν=1|s): (H*d,) -> (4,) and (), or (B, H*d) -> (B, 4) and (B,); p is NaN without a mental model.

        The action is the mean, clipped to [-1, 1]. A non-finite input gives a non-finite action.
        """
        with torch.inference_mode():
            inputs = torch.from_numpy(np.atleast_2d(np.asarray(stacked, dtype=np.float32)))
            mean, log_std = self.policy(inputs)
            if self.mental_model is None:
                p = torch.full((len(inputs),), torch.nan)
            else:
                m = discrepancy(mean, log_std, *self.mental_model(inputs))
                p = log_intervention_probability(m, mean.shape[-1], self.manifest.c, self.manifest.sigma)[0].exp().float()
            action = mean.clamp(-1.0, 1.0)
        if np.ndim(stacked) == 1:
            return action[0].numpy(), p[0].numpy()
        return action.numpy(), p.numpy()

    def save(self, folder: Path) -> Manifest:
        """Write a new version folder in one step, and return the manifest with the weights' hashes.

        Raises:
            LearnerError: the folder exists; a version is never overwritten.
        """
        if folder.exists():
            msg = f'{folder}: exists; a policy version is never overwritten, take the next free name'
            raise LearnerError(msg)
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = folder.with_name(f'.{folder.name}.{os.getpid()}')
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        try:
            modules = {POLICY_FILE: self.policy, MENTAL_MODEL_FILE: self.mental_model}
            for name, module in modules.items():
                if module is not None:
                    save_file(module.state_dict(), temporary / name)
            weights = {name: sha256_of(temporary / name) for name, module in modules.items() if module is not None}
            manifest = dataclasses.replace(self.manifest, version=folder.name, weights=weights)
            text = json.dumps(manifest.to_mapping(), indent=2, allow_nan=False) + '\n'
            write_synced(temporary / MANIFEST_FILE, text.encode())
            sync_folder(temporary)
            temporary.rename(folder)
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
        policy = _load_module(folder, POLICY_FILE, manifest, manifest.architecture)
        mental = None
        if manifest.mental_architecture is not None:
            mental = _load_module(folder, MENTAL_MODEL_FILE, manifest, manifest.mental_architecture)
        return cls(policy, mental, manifest)


def read_manifest(folder: Path) -> Manifest:
    """Read a version's manifest alone.

    Raises:
        LearnerError: it is missing or not a manifest.
    """
    path = folder / MANIFEST_FILE
    try:
        values = json.loads(path.read_text(encoding='utf-8'))
    except OSError as error:
        msg = f'{path}: cannot be read ({error.strerror}); expected the folder of a policy version'
        raise LearnerError(msg) from error
    except ValueError as error:
        msg = f'{path}: is not JSON ({error})'
        raise LearnerError(msg) from error
    return Manifest.from_mapping(values, source=str(path))


def _load_module(folder: Path, name: str, manifest: Manifest, architecture: Architecture) -> GaussianPolicy:
    path = folder / name
    if not path.is_file():
        msg = f'{path}: is missing; the policy version is damaged, fall back to its parent ({manifest.parent})'
        raise LearnerError(msg)
    digest = sha256_of(path)
    if digest != manifest.weights.get(name):
        msg = f'{path}: SHA-256 is {digest[:12]}..., the manifest says {manifest.weights.get(name, "nothing")[:12]}...; not loaded'
        raise LearnerError(msg)
    module = GaussianPolicy(architecture)
    try:
        module.load_state_dict(load_file(path))
    except (safetensors.SafetensorError, RuntimeError) as error:
        msg = f'{path}: does not fit the architecture in the manifest ({" ".join(str(error).split())[:120]})'
        raise LearnerError(msg) from error
    module.eval()
    return module
