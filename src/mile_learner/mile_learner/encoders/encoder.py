"""One encoder: how its network is built, how an image is prepared for it, and what runs it."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mile_learner.errors import LearnerError
from mile_learner.step import Array

if TYPE_CHECKING:
    import torch
    from torch import nn

Image = NDArray[np.uint8]
BACKENDS = ('torch', 'openvino')
RESIZED, CROPPED = 256, 224
"""Shorter side after resizing, and side of the square that is cut out of the middle [pixel]."""
THREADS = 2
"""Of OpenVINO; a control loop runs beside it."""


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


class Encoder:
    """A loaded encoder."""

    def __init__(self, kind: EncoderKind, network: nn.Module, backend: str, threads: int = THREADS) -> None:
        """Run `network`, as `EncoderKind.build` returns it, by `backend`; `threads` are OpenVINO's, torch has its own setting."""
        from torchvision import transforms

        self.kind = kind
        self.backend = backend
        network.eval().requires_grad_(requires_grad=False)
        self._run = _openvino(network, threads) if backend == 'openvino' else _torch(network)
        self._transform = transforms.Compose([transforms.Resize(RESIZED), transforms.CenterCrop(CROPPED), transforms.PILToTensor()])

    def encode(self, image: Image) -> Array:
        """Features of one image: (H, W, 3) RGB -> (features,)."""
        features: Array = self.run(self.prepare(image))[0]
        return features

    def prepare(self, image: Image) -> torch.Tensor:
        """Resized and cropped: (H, W, 3) RGB -> (1, 3, 224, 224) in [0, 255]."""
        from PIL import Image as Pillow

        prepared: torch.Tensor = self._transform(Pillow.fromarray(image))
        return prepared.float()[None]

    def run(self, images: torch.Tensor) -> Array:
        """Features of prepared images: (1, 3, 224, 224) -> (1, features)."""
        return self._run(images)


def require(package: str, encoder: str) -> None:
    """Make sure that a package can be imported.

    Raises:
        LearnerError: it cannot.
    """
    if importlib.util.find_spec(package) is None:
        msg = f'encoder {encoder}: Python package {package!r} is not installed; requirements/vision.in names what encoders need'
        raise LearnerError(msg)


def decode_image(data: bytes) -> Image:
    """A compressed image (JPEG, PNG) as (H, W, 3) RGB.

    Raises:
        LearnerError: the bytes are no such image.
    """
    import cv2

    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if image is None:
        msg = f'image: got {len(data)} bytes that are no JPEG or PNG'
        raise LearnerError(msg)
    return np.ascontiguousarray(image[:, :, ::-1])


def _torch(network: nn.Module) -> Callable[[torch.Tensor], Array]:
    import torch

    def run(images: torch.Tensor) -> Array:
        with torch.inference_mode():
            features: Array = network(images).numpy()
        return features

    return run


def _openvino(network: nn.Module, threads: int) -> Callable[[torch.Tensor], Array]:
    import openvino
    import torch

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of torch, about the tracing that OpenVINO uses
        model = openvino.convert_model(network, example_input=torch.zeros(1, 3, CROPPED, CROPPED))
    # Full precision: where the processor could do less, OpenVINO would.
    options = {'INFERENCE_PRECISION_HINT': 'f32', 'PERFORMANCE_HINT': 'LATENCY', 'INFERENCE_NUM_THREADS': threads}
    compiled = openvino.compile_model(model, 'CPU', options)
    return lambda images: np.array(compiled(images.numpy())[0], np.float32)
