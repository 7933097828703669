"""What all methods share: minibatches, the update of the weights, progress, cancelling."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

Report = Callable[[int, int, Mapping[str, float]], bool]
"""Called after each epoch with (epoch from 1, epochs, losses); returns False to cancel."""


class TrainingCancelled(Exception):  # noqa: N818 - it is no error
    """Training was asked to stop; nothing was written."""


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
