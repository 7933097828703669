"""J in one pass is J from its parts, and its gradient theirs, also where the parts are tiny."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mile_learner.intervention import DEFAULT_NODES
from mile_learner.methods.mile_losses import MileConfig, continuous_model
from mile_learner.methods.mile_objective import objective
from mile_learner.policy import Gaussian

STEPS, DIM = 48, 4


def steps() -> tuple[tuple[Tensor, ...], Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Means and log-stds of a policy and of a mental model up to eight away from it, actions, nu, and weights, some of them zero."""
    generator = torch.Generator().manual_seed(6)
    parameters = [0.3 * torch.randn(STEPS, DIM, generator=generator, dtype=torch.float64) for _ in range(4)]
    parameters[2] += torch.tensor([0.0, 0.3, 1.0, 2.0, 4.0, 8.0], dtype=torch.float64).repeat(STEPS // 6).unsqueeze(-1)
    actions = torch.randn(STEPS, DIM, generator=generator, dtype=torch.float64)
    nu = torch.arange(STEPS) % 12 < 6
    weights = torch.rand(2, STEPS, generator=generator, dtype=torch.float64) * (torch.arange(STEPS) % 5 > 0)
    return tuple(values.requires_grad_() for values in parameters), actions, nu, (weights[0], weights[1])


@pytest.mark.parametrize('std_gradient', [False, True])
@pytest.mark.parametrize(('c', 'sigma'), [(6.0, 3.0), (70.0, 100.0), (1.0, 0.2)])
def test_one_pass_is_the_sum_of_the_parts_with_its_gradient(c: float, sigma: float, *, std_gradient: bool) -> None:
    parameters, actions, nu, weights = steps()
    human, expected = Gaussian(*parameters[:2]), Gaussian(*parameters[2:])
    config = MileConfig(nodes=DEFAULT_NODES, std_gradient=std_gradient)
    parts = continuous_model(human, expected, actions, nu, c, sigma, config)
    total, *values = objective(human, expected, actions, nu, weights, c, sigma, DEFAULT_NODES, std_gradient=std_gradient)
    by_hand = torch.dot(weights[1], parts[1]) - torch.dot(weights[0], parts[0])
    for one, other in zip((total, *values), (by_hand, *parts), strict=True):
        assert torch.allclose(one, other, rtol=1e-12)
    assert not any(value.requires_grad for value in values)
    for one, other in zip(*(torch.autograd.grad(3 * loss, parameters) for loss in (total, by_hand)), strict=True):
        assert torch.allclose(one, other, rtol=1e-6)


def test_its_gradient_is_that_of_differences() -> None:
    parameters, actions, nu, weights = steps()
    near = tuple(values.detach()[::6].clone().requires_grad_() for values in parameters)
    few = actions[::6], nu[::6], (weights[0][::6], weights[1][::6])
    assert torch.autograd.gradcheck(lambda *p: objective(Gaussian(*p[:2]), Gaussian(*p[2:]), *few, 6.0, 3.0, DEFAULT_NODES)[0], near)
