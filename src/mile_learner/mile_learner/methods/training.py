"""What all methods share: what a task gives, minibatches, the update of the weights, progress, cancelling."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor

from mile_learner.config import Config

C = TypeVar('C', bound=Config)
Report = Callable[[int, int, Mapping[str, float]], bool]
"""Called after each epoch with (epoch from 1, epochs, losses); returns False to cancel."""
TASK_EPOCHS: Mapping[str, int] = {'lunar_lander': 400, 'button_press': 300, 'drawer_open': 300, 'peg_insert': 300}
"""Table I for 20 iterations of one episode, as MILE has it, also where there is one round, so that all methods take as many steps. Where
it gives MILE no epochs, they are those of its baselines (LunarLander; for 5 iterations of 3 episodes these have 1000 on Meta-World) or of
the other two tasks (button-press)."""


class TrainingCancelled(Exception):  # noqa: N818 - it is no error
    """Training was asked to stop; nothing was written."""


def for_task(default: C, task: str, learning_rates: Mapping[str, float]) -> C:
    """`default` with the learning rate and the epochs of a task, where these are given."""
    given: dict[str, Any] = {'learning_rate': learning_rates, 'epochs': TASK_EPOCHS}
    return dataclasses.replace(default, **{name: of[task] for name, of in given.items() if task in of})


def minibatches(count: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """A random partition of range(count) into index tensors of `size` (the last may be smaller)."""
    return iter(torch.randperm(count, generator=generator).split(size))


def adam(parameters: Iterable[Any], learning_rate: float) -> torch.optim.Adam:
    """Adam of parameters, or of groups of them, updating them all in one pass."""
    return torch.optim.Adam(parameters, lr=learning_rate, fused=True)


def descend(optimizer: torch.optim.Optimizer, loss: Tensor, grad_clip: float) -> Tensor:
    """One step of all parameters down the gradient of `loss` (), whose norm is bounded; returns the norm that it had, ()."""
    optimizer.zero_grad()
    loss.backward()
    parameters = [parameter for group in optimizer.param_groups for parameter in group['params']]
    norm = torch.nn.utils.clip_grad_norm_(parameters, grad_clip, foreach=True)
    optimizer.step()
    return norm
