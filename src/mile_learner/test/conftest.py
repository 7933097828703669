"""What several tests of the learner need."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from mile_learner.bundle import Bundle, Manifest
from mile_learner.policy import Architecture, GaussianPolicy


def _make_bundle(seed: int = 0, *, mental: bool = True) -> Bundle:
    torch.manual_seed(seed)
    architecture = Architecture(input_dim=12, action_dim=4, hidden=(16, 16))
    policy, mental_model = GaussianPolicy(architecture), GaussianPolicy(architecture)
    policy.set_normaliser(torch.randn(100, 12) * 3 + 1, std_floor=1e-2)
    manifest = Manifest(
        version='v000',
        task='toy',
        observation_layout=('x', 'y', 'z'),
        history=4,
        architecture=architecture,
        mental_architecture=architecture if mental else None,
        c=5.0,
        sigma=3.0,
        method='behaviour_cloning',
    )
    return Bundle(policy, mental_model if mental else None, manifest)


@pytest.fixture
def make_bundle() -> Callable[..., Bundle]:
    """Makes small random bundles: make_bundle(seed=0, mental=True)."""
    return _make_bundle
