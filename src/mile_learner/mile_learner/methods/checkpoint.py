"""Training that was killed goes on from its last checkpoint, to the very weights that it would have reached uncut.

A loop that runs over `epochs(...)` instead of `range(...)` is resumable: what it tells of itself there is all there is to it. Checkpoints
are safetensors (no pickle), replaced atomically, and carry a key: one that was made from other data, options or weights is passed over.
Outside of `checkpointing` nothing is written.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

import safetensors
import torch
from safetensors.torch import save
from torch import Tensor

from mile_learner.files import write_atomically

INTERVAL_S = 5.0


@dataclass(frozen=True)
class TrainingState:
    """Everything that a training changes.

    Attributes:
        optimizers: with the parameters that they update.
        generator: of every random number that is drawn.
        tensors: what else there is, e.g. target networks; changed in place only.
    """

    optimizers: Sequence[torch.optim.Optimizer]
    generator: torch.Generator
    tensors: Mapping[str, Tensor] = field(default_factory=dict)

    def to_tensors(self) -> dict[str, Tensor]:
        """All of it, by name."""
        named = {'generator': self.generator.get_state()}
        named |= {f'tensor/{name}': tensor.detach() for name, tensor in self.tensors.items()}
        for which, optimizer in enumerate(self.optimizers):
            named |= {f'parameter/{which}/{number}': parameter.detach() for number, parameter in enumerate(_parameters(optimizer))}
            for number, entries in optimizer.state_dict()['state'].items():
                named |= {f'optimizer/{which}/{number}/{entry}': value for entry, value in entries.items()}
        return named

    def fits(self, named: Mapping[str, Tensor]) -> bool:
        """Whether this is the state of such a training: its tensors and parameters have the same names and shapes."""

        def shapes(of: Mapping[str, Tensor]) -> dict[str, torch.Size]:
            return {name: value.shape for name, value in of.items() if name.startswith(('tensor/', 'parameter/'))}

        return shapes(self.to_tensors()) == shapes(named)

    def restore(self, named: Mapping[str, Tensor]) -> None:
        """Bring all of it to where it was; `named` stays as it is."""
        self.generator.set_state(named['generator'])
        with torch.no_grad():
            for name, tensor in self.tensors.items():
                tensor.copy_(named[f'tensor/{name}'])
        for which, optimizer in enumerate(self.optimizers):
            for number, parameter in enumerate(_parameters(optimizer)):
                parameter.data.copy_(named[f'parameter/{which}/{number}'])
            state: dict[int, dict[str, Tensor]] = {}
            for name, value in named.items():
                kind, *place = name.split('/')
                if kind == 'optimizer' and place[0] == str(which):
                    state.setdefault(int(place[1]), {})[place[2]] = value.clone()  # Adam would change it in place
            optimizer.load_state_dict({'state': state, 'param_groups': optimizer.state_dict()['param_groups']})


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

    def restore(self, state: TrainingState) -> int:
        """Bring `state` to where it was; how many epochs are done, 0 if there is nothing to use."""
        try:
            with safetensors.safe_open(self._path, framework='pt') as file:
                if (file.metadata() or {}).get('key') != self._key:
                    return 0
                saved = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
                epoch = int(file.metadata()['epoch'])
        except (OSError, safetensors.SafetensorError):
            return 0
        state.restore(saved)
        return epoch

    def save(self, epoch: int, state: TrainingState) -> None:
        """Write the state after `epoch` epochs, if the last write is long enough ago."""
        if time.monotonic() - self._written < self._interval_s:
            return
        write_atomically(self._path, save(state.to_tensors(), metadata={'key': self._key, 'epoch': str(epoch)}))
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


def epochs(total: int, state: TrainingState) -> Iterator[int]:
    """The epochs that are still to be done, from 0; the last one is always done anew, so that its losses are known."""
    checkpoint = _CURRENT.get()
    for epoch in range(checkpoint.restore(state) if checkpoint is not None else 0, total):
        yield epoch
        if checkpoint is not None and epoch + 1 < total:
            checkpoint.save(epoch + 1, state)


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group['params']]
