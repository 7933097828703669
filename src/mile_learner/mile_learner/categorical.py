"""Policies over a few discrete actions: the same network with a softmax, for LunarLander (paper, Section V).

A discrete action is a float32 array of width 1 that holds the action's number, so that data, rollouts and bundles have one shape.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from mile_learner.bundle import MENTAL_MODEL_FILE, POLICY_FILE, Bundle, Manifest, read_manifest
from mile_learner.errors import LearnerError
from mile_learner.files import sha256_of
from mile_learner.intervention import discrete_log_classes
from mile_learner.methods.behaviour_cloning import BehaviourCloningConfig
from mile_learner.methods.training import minibatches
from mile_learner.policy import INPUT_CLAMP, Architecture, GaussianPolicy
from mile_learner.step import Array


class CategoricalPolicy(nn.Module):
    """ln π(a|s) of the actions 0 .. A - 1; in the architecture `action_dim` is A, and the log-std range has no meaning."""

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
        self.body = nn.Sequential(*layers, nn.Linear(width, architecture.action_dim))

    def set_normaliser(self, inputs: Tensor, *, std_floor: float) -> None:
        """Take mean and standard deviation of `inputs` (N, input_dim); `std_floor` keeps constant columns from exploding."""
        self.input_mean.copy_(inputs.mean(dim=0))
        self.input_std.copy_(inputs.std(dim=0, correction=0).clamp_min(std_floor))

    def forward(self, inputs: Tensor) -> Tensor:
        """Log-probabilities, (B, input_dim) -> (B, A)."""
        z = ((inputs - self.input_mean) / self.input_std).clamp(-INPUT_CLAMP, INPUT_CLAMP)
        return functional.log_softmax(self.body(z), dim=-1)


class CategoricalBundle(Bundle):
    """A bundle whose policy and mental model are categorical; acts with the most probable action."""

    def __init__(self, policy: CategoricalPolicy, mental_model: CategoricalPolicy | None, manifest: Manifest) -> None:
        super().__init__(cast(GaussianPolicy, policy), cast('GaussianPolicy | None', mental_model), manifest)

    def act(self, stacked: Array) -> tuple[Array, Array]:
        """The robot action's number and p(ν=1|s): (H*d,) -> (1,) and (), or (B, H*d) -> (B, 1) and (B,).

        p is NaN without a mental model.
        """
        with torch.inference_mode():
            inputs = torch.from_numpy(np.atleast_2d(np.asarray(stacked, dtype=np.float32)))
            log_policy = self.policy(inputs)
            if self.mental_model is None:
                p = torch.full((len(inputs),), torch.nan)
            else:
                classes = discrete_log_classes(log_policy, self.mental_model(inputs), self.manifest.c, self.manifest.sigma)
                p = -torch.expm1(classes[:, -1])
            action = log_policy.argmax(dim=-1, keepdim=True).float()
        if np.ndim(stacked) == 1:
            return action[0].numpy(), p[0].numpy()
        return action.numpy(), p.numpy()

    @classmethod
    def load(cls, folder: Path) -> CategoricalBundle:
        """Read a version folder, verifying the weights' hashes.

        Raises:
            LearnerError: something is missing, damaged, or was changed after training.
        """
        manifest = read_manifest(folder)
        modules: list[CategoricalPolicy | None] = []
        for name, architecture in ((POLICY_FILE, manifest.architecture), (MENTAL_MODEL_FILE, manifest.mental_architecture)):
            if architecture is None:
                modules.append(None)
                continue
            if not (folder / name).is_file() or sha256_of(folder / name) != manifest.weights.get(name):
                msg = f'{folder / name}: is missing, or is not what the manifest says; the policy version is damaged'
                raise LearnerError(msg)
            module = CategoricalPolicy(architecture)
            module.load_state_dict(load_file(folder / name))
            modules.append(module.eval())
        policy, mental_model = modules
        assert policy is not None
        return cls(policy, mental_model, manifest)


def clone_categorical(inputs: Tensor, actions: Tensor, config: BehaviourCloningConfig, *, count: int, seed: int) -> CategoricalPolicy:
    """Behaviour cloning: cross-entropy of the actions' numbers (N, 1) given inputs (N, H*d), for `config.epochs` passes.

    Args:
        inputs: stacked observations.
        actions: numbers of the actions, float.
        config: learning rate, epochs, batch size, widths.
        count: number of actions A.
        seed: of initial weights and order.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    policy = CategoricalPolicy(Architecture(input_dim=inputs.shape[1], action_dim=count, hidden=config.hidden))
    policy.set_normaliser(inputs, std_floor=config.std_floor)
    optimizer = torch.optim.Adam(policy.parameters(), lr=config.learning_rate)
    labels = actions.squeeze(-1).long()
    for _ in range(config.epochs):
        for rows in minibatches(len(inputs), config.batch_size, generator):
            loss = functional.nll_loss(policy(inputs[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(policy.parameters(), config.grad_clip)
            optimizer.step()
    return policy.eval()
