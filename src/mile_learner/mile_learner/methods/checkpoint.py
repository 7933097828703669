"""Training that was killed goes on from its last checkpoint, to the very weights that it would have reached uncut.

A loop that runs over `epochs(...)` instead of `range(...)` is resumable: its parameters, its optimizer's state and its random generator
are all there is to it. Checkpoints are safetensors (no pickle), replaced atomically, and carry a key: one that was made from other data,
options or weights is passed over. Outside of `checkpointing` nothing is written.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

import safetensors
import torch
from safetensors.torch import save
from torch import Tensor

from mile_learner.files import write_atomically

INTERVAL_S = 5.0


class Checkpoint:
    """The state of one training, on disk.

    Args:
        path: of its file.
        key: what the training is made from.
        interval_s: time between two writes [s].
    """

    def __init__(self, path: Path, key: str, interval_s: float) -> None:
        self._path, self._key, self._interval_s = path, key, interval_s
        self._written = time.monotonic()

    def restore(self, optimizer: torch.optim.Optimizer, generator: torch.Generator) -> int:
        """Bring parameters, optimizer and generator to where they were; how many epochs are done, 0 if there is nothing to use."""
        try:
            with safetensors.safe_open(self._path, framework='pt') as file:
                if (file.metadata() or {}).get('key') != self._key:
                    return 0
                saved = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
                epoch = int(file.metadata()['epoch'])
        except (OSError, safetensors.SafetensorError):
            return 0
        state: dict[int, dict[str, Tensor]] = {}
        for number, parameter in enumerate(_parameters(optimizer)):
            parameter.data.copy_(saved.pop(f'parameter.{number}'))
        generator.set_state(saved.pop('generator'))
        for name, value in saved.items():
            _, number, entry = name.split('.')
            state.setdefault(int(number), {})[entry] = value
        optimizer.load_state_dict({'state': state, 'param_groups': optimizer.state_dict()['param_groups']})
        return epoch

    def save(self, epoch: int, optimizer: torch.optim.Optimizer, generator: torch.Generator) -> None:
        """Write the state after `epoch` epochs, if the last write is long enough ago."""
        if time.monotonic() - self._written < self._interval_s:
            return
        tensors = {'generator': generator.get_state()}
        tensors |= {f'parameter.{number}': parameter.detach() for number, parameter in enumerate(_parameters(optimizer))}
        for number, entries in optimizer.state_dict()['state'].items():
            tensors |= {f'optimizer.{number}.{entry}': value for entry, value in entries.items()}
        write_atomically(self._path, save(tensors, metadata={'key': self._key, 'epoch': str(epoch)}))
        self._written = time.monotonic()


_CURRENT: ContextVar[Checkpoint | None] = ContextVar('checkpoint', default=None)


@contextlib.contextmanager
def checkpointing(path: Path, key: str, *, interval_s: float = INTERVAL_S) -> Iterator[None]:
    """What trains within keeps its state in `path`; whoever calls removes that once the result is whole."""
    token = _CURRENT.set(Checkpoint(path, key, interval_s))
    try:
        yield
    finally:
        _CURRENT.reset(token)


def epochs(total: int, optimizer: torch.optim.Optimizer, generator: torch.Generator) -> Iterator[int]:
    """The epochs that are still to be done, from 0; the last one is always done anew, so that its losses are known."""
    checkpoint = _CURRENT.get()
    for epoch in range(checkpoint.restore(optimizer, generator) if checkpoint is not None else 0, total):
        yield epoch
        if checkpoint is not None and epoch + 1 < total:
            checkpoint.save(epoch + 1, optimizer, generator)


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group['params']]
