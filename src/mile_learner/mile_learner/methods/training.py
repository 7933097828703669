"""What all methods share: minibatches, progress, cancelling."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

Report = Callable[[int, int, Mapping[str, float]], bool]
"""Called after each epoch with (epoch from 1, epochs, losses); returns False to cancel."""


class TrainingCancelled(Exception):  # noqa: N818 - it is no error
    """Training was asked to stop; nothing was written."""


def minibatches(count: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """A random partition of range(count) into index tensors of `size` (the last may be smaller)."""
    return iter(torch.randperm(count, generator=generator).split(size))
