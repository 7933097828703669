"""Policy, history stack and policy version folder."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from mile_learner.bundle import LEARNER_STATE_FILE, MANIFEST_FILE, POLICY_FILE, Bundle, read_manifest
from mile_learner.errors import LearnerError
from mile_learner.files import sha256_of
from mile_learner.history import HistoryStack, stack_episode
from mile_learner.intervention import intervention_probability
from mile_learner.policy import Architecture, GaussianPolicy, negative_log_likelihood

MakeBundle = Callable[..., Bundle]


@given(length=st.integers(1, 12), n=st.integers(1, 6), dim=st.integers(1, 3))
def test_stacking_an_episode_equals_pushing_its_steps(length: int, n: int, dim: int) -> None:
    observations = np.arange(length * dim, dtype=np.float32).reshape(length, dim)
    stack = HistoryStack(n, dim)
    for _ in range(2):  # the second round proves that reset forgets
        stack.reset()
        pushed = np.stack([stack.push(row) for row in observations])
        assert np.array_equal(pushed, stack_episode(observations, n))
    assert np.array_equal(pushed[0], np.tile(observations[0], n))
    assert np.array_equal(pushed[-1, -dim:], observations[-1])


def test_a_wrong_observation_length_is_refused() -> None:
    with pytest.raises(LearnerError, match=r'got shape \(2,\), expected \(3,\)'):
        HistoryStack(4, 3).push(np.zeros(2, dtype=np.float32))


def test_log_std_stays_in_its_range_and_keeps_a_gradient_at_the_floor() -> None:
    policy = GaussianPolicy(Architecture(input_dim=3, action_dim=2, hidden=(8,)))
    last = policy.body[-1]
    assert isinstance(last, torch.nn.Linear)
    with torch.no_grad():
        last.bias[2:] = torch.tensor([-8.0, 8.0])
    _, log_std = policy(torch.randn(50, 3))
    assert log_std.min() >= -2.0
    assert log_std.max() <= 1.0
    (gradient,) = torch.autograd.grad(log_std[:, 0].sum(), last.bias)
    assert gradient[2] > 0


def test_normaliser_survives_constant_columns_and_far_states() -> None:
    policy = GaussianPolicy(Architecture(input_dim=2, action_dim=1, hidden=(8,)))
    policy.set_normaliser(torch.tensor([[1.0, 0.0], [1.0, 2.0]]), std_floor=0.01)
    assert policy.input_std[0].item() == pytest.approx(0.01)
    far, farther = policy(torch.tensor([[1e6, 1e6], [1e9, 1e9]]))[0]
    assert torch.equal(far, farther)


def test_negative_log_likelihood_is_that_of_scipy() -> None:
    mean, log_std, actions = torch.randn(3, 5, 4).unbind()
    expected = -np.sum(norm.logpdf(actions.numpy(), mean.numpy(), log_std.exp().numpy()), axis=-1)
    assert np.allclose(negative_log_likelihood(mean, log_std, actions).numpy(), expected, rtol=1e-4)
    doubles = [x[:3].double().requires_grad_() for x in (mean, log_std, actions)]
    assert torch.autograd.gradcheck(negative_log_likelihood, doubles)


def test_bundle_comes_back_as_it_was_saved(tmp_path: Path, make_bundle: MakeBundle) -> None:
    bundle = make_bundle()
    saved = bundle.save(tmp_path / 'v007')
    loaded = Bundle.load(tmp_path / 'v007')
    assert loaded.manifest == saved
    assert saved.version == 'v007'
    x = np.random.default_rng(0).normal(size=(6, 12)).astype(np.float32)
    for one, other in zip(bundle.act(x), loaded.act(x), strict=True):
        assert np.array_equal(one, other)
    assert sorted(p.name for p in tmp_path.iterdir()) == ['v007']
    assert loaded.learner_state == {}


def test_what_a_method_needs_to_go_on_is_kept_and_protected(tmp_path: Path, make_bundle: MakeBundle) -> None:
    bundle = make_bundle()
    bundle.learner_state = {'critic': torch.arange(3.0)}
    bundle.with_manifest(dataclasses.replace(bundle.manifest, c=2.0)).save(tmp_path / 'v001')
    assert Bundle.load(tmp_path / 'v001').learner_state['critic'].tolist() == [0.0, 1.0, 2.0]
    (tmp_path / 'v001' / LEARNER_STATE_FILE).write_bytes(b'other')
    with pytest.raises(LearnerError, match=f'{LEARNER_STATE_FILE}: SHA-256'):
        Bundle.load(tmp_path / 'v001')
    manifest = json.loads((tmp_path / 'v001' / MANIFEST_FILE).read_text())
    manifest['weights'][LEARNER_STATE_FILE] = sha256_of(tmp_path / 'v001' / LEARNER_STATE_FILE)
    (tmp_path / 'v001' / MANIFEST_FILE).write_text(json.dumps(manifest))
    with pytest.raises(LearnerError, match=f'{LEARNER_STATE_FILE}: is not a file of safetensors'):
        Bundle.load(tmp_path / 'v001')


def test_act_clips_and_reports_the_probability_of_the_model(make_bundle: MakeBundle) -> None:
    bundle = make_bundle()
    assert bundle.mental_model is not None
    x = 30 * np.random.default_rng(1).normal(size=(20, 12)).astype(np.float32)
    action, p = bundle.act(x)
    assert np.abs(action).max() <= 1.0
    inputs = torch.from_numpy(x)
    with torch.no_grad():
        (mean, log_std), (mental_mean, mental_log_std) = bundle.policy(inputs), bundle.mental_model(inputs)
        expected = intervention_probability(mean, log_std, mental_mean, mental_log_std, 5.0, 3.0)
    assert np.allclose(p, expected.numpy(), atol=1e-6)
    single_action, single_p = bundle.act(x[3])
    assert np.allclose(single_action, action[3], atol=1e-6)
    assert single_p == pytest.approx(p[3], abs=1e-6)


def test_act_without_mental_model_and_with_a_lost_observation(make_bundle: MakeBundle) -> None:
    bundle = make_bundle(mental=False)
    assert math.isnan(bundle.act(np.zeros(12, dtype=np.float32))[1])
    assert np.isnan(bundle.act(np.full(12, np.nan, dtype=np.float32))[0]).all()


def test_a_version_is_never_overwritten(tmp_path: Path, make_bundle: MakeBundle) -> None:
    bundle = make_bundle()
    bundle.save(tmp_path / 'v000')
    with pytest.raises(LearnerError, match='never overwritten'):
        bundle.save(tmp_path / 'v000')


def test_a_failed_save_leaves_nothing(tmp_path: Path, make_bundle: MakeBundle) -> None:
    bundle = make_bundle()
    bundle.manifest = dataclasses.replace(bundle.manifest, metrics={'loss': math.nan})
    with pytest.raises(ValueError, match='JSON'):
        bundle.save(tmp_path / 'v000')
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('damage', ['weights', 'missing', 'manifest', 'key', 'c', 'sigma', 'architecture'])
def test_damage_is_named_in_one_line(tmp_path: Path, damage: str, make_bundle: MakeBundle) -> None:
    folder = tmp_path / 'v000'
    make_bundle().save(folder)
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    if damage == 'weights':
        content = bytearray((folder / POLICY_FILE).read_bytes())
        content[-1] ^= 1
        (folder / POLICY_FILE).write_bytes(content)
    elif damage == 'missing':
        (folder / POLICY_FILE).unlink()
    elif damage == 'manifest':
        (folder / MANIFEST_FILE).write_text('{')
    elif damage == 'key':
        del manifest['task']
        (folder / MANIFEST_FILE).write_text(json.dumps(manifest))
    elif damage in ('c', 'sigma'):
        manifest[damage] = {'c': math.nan, 'sigma': 0.0}[damage]
        (folder / MANIFEST_FILE).write_text(json.dumps(manifest))
    else:
        manifest['architecture']['hidden'] = [17]
        (folder / MANIFEST_FILE).write_text(json.dumps(manifest))
    with pytest.raises(LearnerError) as caught:
        Bundle.load(folder)
    assert str(folder) in str(caught.value)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    ('name', 'values'),
    [
        ('version', [math.nan, None]),
        ('task', [[], {}, math.nan]),
        ('observation_layout', [None, [1], 7]),
        ('history', [10**400, 0, -1, True, None, 'x', [], 1.5, 5]),
        ('architecture', [None, [], 'x']),
        ('mental_architecture', [3, []]),
        ('c', [10**400, True, None, 'x', [], math.inf]),
        ('sigma', [10**400, True, None, -1.0]),
        ('method', [None]),
        ('parent', [3]),
        ('iteration', [[], {}, -1, 1.5, True, 'x']),
        ('configuration', [None, True, 3, [], 'x']),
        ('seed', [None, 'x', 1.5]),
        ('data', [None, [3], [{}], [{'episode': 1, 'sha256': 'x'}]]),
        ('metrics', [None, []]),
        ('weights', [None, [], 'x', 1.5, {'policy.safetensors': 3}]),
    ],
)
def test_a_value_of_another_kind_is_named_in_one_line(tmp_path: Path, name: str, values: list[Any], make_bundle: MakeBundle) -> None:
    folder = tmp_path / 'v000'
    make_bundle().save(folder)
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    for value in values:
        (folder / MANIFEST_FILE).write_text(json.dumps(manifest | {name: value}))
        with pytest.raises(LearnerError, match='is not a policy manifest') as caught:
            read_manifest(folder)
        assert '\n' not in str(caught.value)
        assert len(str(caught.value)) < 400 + len(str(folder))
    (folder / MANIFEST_FILE).write_text('[3]')
    with pytest.raises(LearnerError, match='is not a policy manifest'):
        read_manifest(folder)


def test_manifest_of_no_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LearnerError, match='expected the folder of a policy version'):
        read_manifest(tmp_path)
