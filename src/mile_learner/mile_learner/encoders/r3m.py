"""R3M [1]: a ResNet-50 pretrained on Ego4D, the encoder of MILE's experiment on the real arm.

The checkpoint is that of the authors' package `r3m`: `torch.load(model.pt)['r3m']` holds `module.convnet.*`, a torchvision ResNet without
its last layer, and a language head that is left out. Where the package is installed its own network is used, else torchvision's; both take
images in [0, 255] and give the same features.

[1] Nair et al., "R3M: A Universal Visual Representation for Robot Manipulation", CoRL 2022.
"""

from __future__ import annotations

import importlib.util
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mile_learner.encoders.kind import EncoderKind
from mile_learner.errors import LearnerError

if TYPE_CHECKING:
    from torch import Tensor, nn

NAME = 'r3m'
FEATURES = 2048
WEIGHTS_VARIABLE = 'MILE_R3M_WEIGHTS'
SOURCE = "r3m_50 of facebookresearch/r3m on GitHub: its load_r3m('resnet50') downloads it to ~/.r3m/r3m_50/model.pt"
_PREFIX = 'module.convnet.'
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def weights_path() -> Path:
    """Where the checkpoint is looked for: $MILE_R3M_WEIGHTS, else where the authors' package puts it."""
    return Path(os.environ.get(WEIGHTS_VARIABLE) or '~/.r3m/r3m_50/model.pt').expanduser()


def build() -> nn.Module:
    """The network, (B, 3, 224, 224) in [0, 255] -> (B, 2048): the authors' own where their package is installed.

    Raises:
        LearnerError: no checkpoint, or not one of R3M with a ResNet-50.
    """
    weights = read_weights(weights_path())
    return _loaded(package_network() if importlib.util.find_spec('r3m') is not None else torchvision_network(), weights)


def reference() -> nn.Module:
    """The same by torchvision alone."""
    return _loaded(torchvision_network(), read_weights(weights_path()))


def _loaded(network: Any, weights: Mapping[str, Tensor]) -> nn.Module:
    try:
        network.convnet.load_state_dict(weights)
    except RuntimeError as error:
        msg = f'{weights_path()}: is no R3M with a ResNet-50 ({" ".join(str(error).split())[:120]}); take {SOURCE}'
        raise LearnerError(msg) from error
    loaded: nn.Module = network
    return loaded


def read_weights(path: Path) -> Mapping[str, Tensor]:
    """The ResNet's weights in a checkpoint of R3M, by torchvision's names; opening it executes nothing.

    Raises:
        LearnerError: no such file, or another kind of file.
    """
    import torch

    if not path.is_file():
        msg = f'encoder r3m: no weights at {path}; take {SOURCE}; put it there, or name its path in ${WEIGHTS_VARIABLE}'
        raise LearnerError(msg)
    try:
        states = torch.load(path, map_location='cpu', weights_only=True)['r3m']
        return {name.removeprefix(_PREFIX): value for name, value in states.items() if name.startswith(_PREFIX)}
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError, AttributeError) as error:
        msg = f"{path}: is no checkpoint of R3M, expected {{'r3m': {{'{_PREFIX}...': weights}}}} ({' '.join(str(error).split())[:80]})"
        raise LearnerError(msg) from error


def torchvision_network() -> nn.Module:
    """R3M's network and scaling, without weights, by torchvision alone."""
    import torch
    from torchvision import models, transforms

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convnet = models.resnet50(weights=None)
            self.convnet.fc = torch.nn.Identity()
            self.normlayer = transforms.Normalize(_MEAN, _STD)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            features: torch.Tensor = self.convnet(self.normlayer(images / 255.0))
            return features

    return Network()


def package_network() -> nn.Module:
    """The authors' own, without weights and without the language head."""
    from r3m import R3M

    network: nn.Module = R3M(device='cpu', lr=0.0, hidden_dim=1024, size=50, langweight=0.0)
    return network


KIND = EncoderKind(NAME, FEATURES, build, reference, torchvision_network)
