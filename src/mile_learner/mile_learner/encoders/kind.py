"""What an encoder is before its weights are loaded; importing it loads nothing heavy."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mile_learner.errors import LearnerError

if TYPE_CHECKING:
    from torch import nn

    from mile_learner.encoders.encoder import Encoder

BACKENDS = ('torch', 'openvino')


@dataclass(frozen=True)
class EncoderKind:
    """What an encoder is before its weights are loaded.

    Attributes:
        name: as in an observation layout.
        features: how many numbers it makes of an image.
        build: loads the weights and returns the network, (B, 3, 224, 224) RGB in [0, 255] -> (B, features); raises LearnerError where a
            package or the weights are missing.
        reference: the same function, if possible by other code.
        untrained: the same network without weights, to measure its speed.
    """

    name: str
    features: int
    build: Callable[[], nn.Module]
    reference: Callable[[], nn.Module]
    untrained: Callable[[], nn.Module]

    @property
    def entry(self) -> str:
        """Its entry in an observation layout (mile_learner.layout)."""
        return f'{self.name}:{self.features}'

    def open(self, backend: str = 'auto') -> Encoder:
        """Load it. `auto` takes OpenVINO where it is installed; the results agree within 1e-3.

        Raises:
            LearnerError: a package or the weights are missing; says which, and where they come from.
        """
        from mile_learner.encoders.encoder import Encoder

        backend = chosen_backend(backend)
        require('torchvision', self.name)
        return Encoder(self, self.build(), backend)


def chosen_backend(backend: str = 'auto') -> str:
    """The backend of this name, that `auto` stands for here.

    Raises:
        LearnerError: there is none of this name, or it is not installed.
    """
    if backend == 'auto':
        return BACKENDS[importlib.util.find_spec('openvino') is not None]
    if backend not in BACKENDS:
        msg = f'encoder backend: got {backend!r}, expected auto, {" or ".join(BACKENDS)}'
        raise LearnerError(msg)
    require(backend, 'backend')
    return backend


def require(package: str, encoder: str) -> None:
    """Make sure that a package can be imported.

    Raises:
        LearnerError: it cannot.
    """
    if importlib.util.find_spec(package) is None:
        msg = f'encoder {encoder}: Python package {package!r} is not installed; requirements/vision.in names what encoders need'
        raise LearnerError(msg)
