"""The simulated WidowX's block insertion, by its gymnasium id; the expert is the simulation package's own, imported by name."""

from __future__ import annotations

import importlib
from typing import Any

import gymnasium
import numpy as np

from mile_learner.bench.tasks import InitialRecipe, Task
from mile_learner.step import Array

SIMULATION = 'mile_sim'
HORIZON = 150


def make() -> gymnasium.Env[Any, Any]:
    """The environment; `reset(seed=n)` is its start state."""
    importlib.import_module(SIMULATION)
    environment: gymnasium.Env[Any, Any] = gymnasium.make('mile/BlockInsertion-v0', disable_env_checker=True)
    return environment


class BlockExpert:
    """The scripted expert; with a bias it believes the hole further from the middle of the table by that fraction."""

    def __init__(self, bias: float) -> None:
        module = importlib.import_module(f'{SIMULATION}.expert')
        self._expert: Any = module.Expert(module.ExpertConfig(scale_error=bias))

    def __call__(self, env: gymnasium.Env[Any, Any], observation: Array) -> Array:  # noqa: ARG002
        """The action it means, (4,)."""
        action: Array = self._expert.intention(observation)
        return np.clip(action, -1.0, 1.0)


TASK = Task(
    name='block_insertion',
    make=make,
    observation_layout=('ee_x', 'ee_y', 'ee_z', 'gripper', 'block_to_hole_x', 'block_to_hole_y', 'block_to_hole_z'),
    action_dim=4,
    discrete=False,
    horizon=HORIZON,
    expert=BlockExpert,
    initial=InitialRecipe(guess=0.07, limit=0.4, longest=100),
    cdf_ratio=100 / 70,
)
