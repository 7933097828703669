"""The network behind every policy, mental model and classifier: an MLP over stacked observations.

Inputs are normalised and clamped, so that a state far away from the data stays within the range in which the network was trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from mile_learner.architecture import Architecture
from mile_learner.errors import LearnerError
from mile_learner.intervention import Gains

INPUT_CLAMP = 10.0

torch.set_num_threads(1)  # these networks are so small that further threads only spin, and take the cores of the control loop


class Network(nn.Module):
    """Layers, normaliser and architecture; what the outputs mean is for the subclass to say.

    Attributes:
        distribution: the name in an architecture that stands for this class.
    """

    distribution: ClassVar[str]
    input_mean: Tensor
    input_std: Tensor

    def __init__(self, architecture: Architecture, outputs: int) -> None:
        """A network with random weights and `outputs` outputs.

        Raises:
            LearnerError: the architecture is of another class of networks.
        """
        super().__init__()
        if architecture.distribution != self.distribution:
            msg = (
                f'{type(self).__name__}: got an architecture of distribution {architecture.distribution!r}, expected {self.distribution!r}'
            )
            raise LearnerError(msg)
        self.architecture = architecture
        self.register_buffer('input_mean', torch.zeros(architecture.input_dim))
        self.register_buffer('input_std', torch.ones(architecture.input_dim))
        layers: list[nn.Module] = []
        width = architecture.input_dim
        for hidden in architecture.hidden:
            layers += [nn.Linear(width, hidden), nn.ReLU()]
            width = hidden
        self.body = nn.Sequential(*layers, nn.Linear(width, outputs))

    def set_normaliser(self, inputs: Tensor, *, std_floor: float) -> None:
        """Take mean and standard deviation of `inputs` (N, input_dim); `std_floor` keeps constant columns from exploding."""
        self.input_mean.copy_(inputs.mean(dim=0))
        self.input_std.copy_(inputs.std(dim=0, correction=0).clamp_min(std_floor))

    def outputs(self, inputs: Tensor) -> Tensor:
        """What the last layer gives, (B, input_dim) -> (B, outputs)."""
        result: Tensor = self.body(self.normalised(inputs))
        return result

    def normalised(self, inputs: Tensor) -> Tensor:
        """What the first layer sees of inputs (..., input_dim), of the same shape."""
        return ((inputs - self.input_mean) / self.input_std).clamp(-INPUT_CLAMP, INPUT_CLAMP)


class Distribution(Protocol):
    """π(·|s) of B states, as a policy's `forward` returns it; A is the width of an action array (1 for discrete actions)."""

    def mode(self) -> Tensor:
        """The action to execute, (B, A)."""
        ...

    def log_prob(self, actions: Tensor) -> Tensor:
        """ln π(a|s), (B, A) -> (B,)."""
        ...

    def gains(self, expected: Distribution) -> Gains:
        """What interventions would gain, if this is the human's policy and `expected` what they expect of the robot."""
        ...

    def log_intervention_probability(self, expected: Distribution, c: float, sigma: float) -> tuple[Tensor, Tensor]:
        """ln p(ν=1|s) and ln p(ν=0|s) (Eq. 2), (B,) each, if this is the human's policy and `expected` what they expect of the robot."""
        ...


def joined(parts: Sequence[Any]) -> Any:
    """One distribution, of one class, of the states of all parts."""
    return type(parts[0])(*map(torch.cat, zip(*parts, strict=True)))


class Policy(Network):
    """A network whose `forward` returns a `Distribution`; see `mile_learner.bundle.POLICIES`."""
