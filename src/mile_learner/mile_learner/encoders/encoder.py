"""One encoder: how its network is built, how an image is prepared for it, and what runs it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mile_learner.encoders.kind import EncoderKind
from mile_learner.errors import LearnerError
from mile_learner.step import Array

if TYPE_CHECKING:
    import torch
    from torch import nn

Image = NDArray[np.uint8]
RESIZED, CROPPED = 256, 224
"""Shorter side after resizing, and side of the square that is cut out of the middle [pixel]."""
THREADS = 2
"""Of OpenVINO; a control loop runs beside it."""


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
