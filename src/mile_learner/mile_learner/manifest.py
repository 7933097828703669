"""Where a policy version comes from, as JSON beside its weights. Needs no torch, so that listing versions is quick."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from types import NoneType
from typing import Any

from mile_learner.architecture import Architecture
from mile_learner.config import ConfigError
from mile_learner.errors import LearnerError
from mile_learner.files import sha256_of
from mile_learner.plain_text import load_json

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
        iteration: which one of a deployment ended with its training; None for all others, as of an initial policy or one trained by hand.
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
            LearnerError: keys are missing or unknown, or a value is not of its type or not valid.
        """
        try:
            content = dict(values)
            content['observation_layout'] = tuple(content['observation_layout'])
            content['data'] = tuple(content['data'])
            content['architecture'] = Architecture.from_mapping(content['architecture'])
            mental = content['mental_architecture']
            content['mental_architecture'] = None if mental is None else Architecture.from_mapping(mental)
            manifest = cls(**content)
            manifest._check()
            return manifest
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            msg = f'{source}: is not a policy manifest ({str(error)[:160]}); it was not written by mile, or by another version of it'
            raise LearnerError(msg) from error

    def _check(self) -> None:
        for name, kinds in _KINDS.items():
            value = getattr(self, name)
            if not isinstance(value, kinds) or isinstance(value, bool):
                msg = f'{name}: got {value!r}, expected {" or ".join(kind.__name__ for kind in kinds)}'
                raise ConfigError(msg)
        if self.history < 1 or self.architecture.input_dim % self.history:
            msg = f'history: got {self.history}, expected >= 1 and a divisor of input_dim, {self.architecture.input_dim}'
            raise ConfigError(msg)
        if self.iteration is not None and self.iteration < 0:
            msg = f'iteration: got {self.iteration}, expected >= 0'
            raise ConfigError(msg)
        if not (math.isfinite(self.c) and math.isfinite(self.sigma) and self.sigma > 0):
            msg = f'c: got {self.c}, sigma: got {self.sigma}, expected finite numbers and sigma > 0'
            raise ConfigError(msg)
        texts = [*self.observation_layout, *self.weights.values(), *(one[key] for one in self.data for key in ('episode', 'sha256'))]
        if wrong := [text for text in texts if not isinstance(text, str)]:
            msg = f'observation_layout, weights, data: got {wrong[0]!r}, expected str'
            raise ConfigError(msg)


_KINDS: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(('version', 'task', 'method', 'created'), (str,)),
    **dict.fromkeys(('configuration', 'metrics', 'weights'), (dict,)),
    **dict.fromkeys(('history', 'seed'), (int,)),
    **dict.fromkeys(('c', 'sigma'), (int, float)),
    'parent': (str, NoneType),
    'iteration': (int, NoneType),
}
"""What JSON makes of the values of a manifest; bool is none of these."""


def read_manifest(folder: Path) -> Manifest:
    """Read a version's manifest alone.

    Raises:
        LearnerError: it is missing or not a manifest.
    """
    path = folder / MANIFEST_FILE
    try:
        values = load_json(path.read_text(encoding='utf-8'))
    except OSError as error:
        msg = f'{path}: cannot be read ({error.strerror}); expected the folder of a policy version'
        raise LearnerError(msg) from error
    except ValueError as error:
        msg = f'{path}: is not JSON ({error})'
        raise LearnerError(msg) from error
    return Manifest.from_mapping(values, source=str(path))


def verified(folder: Path, name: str, manifest: Manifest) -> Path:
    """The path of a file of weights, which is what the manifest says.

    Raises:
        LearnerError: it is missing, or was changed after training.
    """
    path = folder / name
    rollback = f'fall back to its parent ({manifest.parent}): mile policies RUN rollback'
    fall_back = rollback if manifest.parent else 'it has no parent; put back a copy of its folder'
    if not path.is_file():
        msg = f'{path}: is missing; the policy version is damaged, {fall_back}'
        raise LearnerError(msg)
    digest, wanted = sha256_of(path), manifest.weights.get(name, 'nothing')
    if digest != wanted:
        msg = f'{path}: SHA-256 is {digest[:12]}..., the manifest says {wanted[:12]}...; not loaded, {fall_back}'
        raise LearnerError(msg)
    return path


def verify_weights(folder: Path) -> None:
    """Whether every file of weights is as it was when the version was made.

    Raises:
        LearnerError: something is missing, damaged, or was changed after training.
    """
    manifest = read_manifest(folder)
    for name in manifest.weights:
        verified(folder, name, manifest)
