"""Which encoders can be used on this machine, and whether what runs them is right."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mile_learner.encoders.encoder import Encoder, Image
from mile_learner.encoders.kind import EncoderKind
from mile_learner.errors import LearnerError

TOLERANCE = 1e-3
"""Largest difference of a feature, relative to the largest feature where that is more than 1."""


@dataclass(frozen=True)
class Finding:
    """One encoder.

    Attributes:
        encoder: its name.
        usable: whether it loads and agrees with its reference.
        features: how many numbers it makes of an image.
        backend: what runs it; empty if nothing does.
        difference: from the same weights run by torch, see `difference`; None if it does not load.
        detail: why it cannot be used.
    """

    encoder: str
    usable: bool
    features: int
    backend: str
    difference: float | None
    detail: str


def sample_image() -> Image:
    """Smooth colours under noise, (480, 640, 3); the same everywhere."""
    y, x = np.mgrid[0:480, 0:640] / 480.0
    smooth = np.stack([np.sin(5 * x), np.cos(4 * y), np.sin(3 * (x + y))], axis=-1)
    noise = np.random.default_rng(0).normal(0.0, 0.1, smooth.shape)
    return np.clip(127.5 * (1.0 + smooth + noise), 0, 255).astype(np.uint8)


def difference(encoder: Encoder, reference: Encoder) -> float:
    """Largest difference of a feature of `sample_image`, relative to the largest feature where that is more than 1."""
    image = sample_image()
    features, expected = encoder.encode(image), reference.encode(image)
    if features.shape != expected.shape or not np.isfinite(features).all():
        return float('inf')
    return float(np.abs(features - expected).max() / max(1.0, float(np.abs(expected).max())))


def check(kinds: Iterable[EncoderKind]) -> list[Finding]:
    """Open every encoder; one that cannot be opened is a finding."""
    return [_check(kind) for kind in kinds]


def _check(kind: EncoderKind) -> Finding:
    try:
        encoder = kind.open()
        reference = Encoder(kind, kind.reference(), 'torch')
    except LearnerError as error:
        return Finding(kind.name, False, kind.features, '', None, str(error))
    apart = difference(encoder, reference)
    fault = '' if apart <= TOLERANCE else f'differs from torch by {apart:.1e}, expected at most {TOLERANCE:.0e}; use the backend torch'
    return Finding(kind.name, not fault, kind.features, encoder.backend, apart, fault)
