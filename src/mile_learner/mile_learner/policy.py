"""The policy and mental-model class: a diagonal Gaussian over actions, with mean and log-std from one MLP.

The Gaussian is not squashed: actions are clipped to [-1, 1] where they are executed. A tanh would put infinite log-probabilities on the
saturated actions of a human, and break the closed form of the intervention model. The log-std has a floor, because it sets the scale of
every log-probability and with it the meaning of c and σ; inputs are normalised and clamped, so that a state far away from the data stays
within the range in which the network was trained.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from mile_learner.architecture import Architecture as Architecture

INPUT_CLAMP = 10.0

torch.set_num_threads(1)  # these networks are so small that further threads only spin, and take the cores of the control loop


class GaussianPolicy(nn.Module):
    """π(a|s) = N(μ(s), diag s(s)²) of stacked observations."""

    input_mean: Tensor
    input_std: Tensor

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.register_buffer('input_mean', torch.zeros(architecture.input_dim))
        self.register_buffer('input_std', torch.ones(architecture.input_dim))
        layers: list[nn.Module] = []
        width = architecture.input_dim
        for hidden in architecture.hidden:
            layers += [nn.Linear(width, hidden), nn.ReLU()]
            width = hidden
        self.body = nn.Sequential(*layers, nn.Linear(width, 2 * architecture.action_dim))

    def set_normaliser(self, inputs: Tensor, *, std_floor: float) -> None:
        """Take mean and standard deviation of `inputs` (N, input_dim); `std_floor` keeps constant columns from exploding."""
        self.input_mean.copy_(inputs.mean(dim=0))
        self.input_std.copy_(inputs.std(dim=0, correction=0).clamp_min(std_floor))

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-std, (B, input_dim) -> (B, action_dim) each."""
        z = ((inputs - self.input_mean) / self.input_std).clamp(-INPUT_CLAMP, INPUT_CLAMP)
        mean, raw = self.body(z).chunk(2, dim=-1)
        return mean, bounded(raw, self.architecture.log_std_min, self.architecture.log_std_max)


def bounded(raw: Tensor, low: float, high: float) -> Tensor:
    """Into (low, high) by a sigmoid: smooth, so that a log-std at its floor can still be raised by a gradient."""
    return low + (high - low) * torch.sigmoid(raw)


def negative_log_likelihood(mean: Tensor, log_std: Tensor, actions: Tensor) -> Tensor:
    """−ln N(actions; mean, exp(log_std)²) summed over action dimensions, (B, d) each -> (B,)."""
    z = (actions - mean) * torch.exp(-log_std)
    return (z.square() / 2 + log_std + math.log(2 * math.pi) / 2).sum(dim=-1)
