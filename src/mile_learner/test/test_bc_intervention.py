"""BC-intervention: one network with two heads, what each head learns, and from which steps."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from mile_learner.bundle import Bundle, Manifest
from mile_learner.categorical import CategoricalPolicy
from mile_learner.classifier import InterventionClassifier
from mile_learner.errors import LearnerError
from mile_learner.methods import METHODS
from mile_learner.methods.base import InterventionData
from mile_learner.methods.bc_intervention import initial_classifier
from mile_learner.policy import Architecture

QUICK = {'learning_rate': 1e-2, 'head_learning_rate': 1e-2, 'epochs': 40, 'batch_size': 32}


def _data(width: int = 4, action: float = 0.5, seed: int = 0) -> InterventionData:
    """The human takes over where the first entry of the observation is positive."""
    rng = np.random.default_rng(seed)
    stacked = rng.normal(size=(512, 12)).astype(np.float32)
    intervening = stacked[:, 0] > 0
    human = np.full((512, width), np.nan, np.float32)
    human[intervening] = action
    return InterventionData(
        stacked=stacked,
        next_stacked=stacked,
        robot_action=np.zeros((512, width), np.float32),
        human_action=human,
        intervening=intervening,
        episode=np.zeros(512, dtype=int),
        step=np.arange(512),
        iteration=np.ones(512, dtype=int),
        done=np.zeros(512, dtype=bool),
        success=np.ones(512, dtype=bool),
        demonstration=np.zeros(512, dtype=bool),
    )


def _fit(data: InterventionData, start: Bundle, **options: float) -> Bundle:
    config = dataclasses.replace(METHODS['bc_intervention'].configure('toy'), **(QUICK | options))
    return METHODS['bc_intervention'].fit(data, start, config=config, seed=0)


def test_it_predicts_interventions_on_new_states_and_does_what_the_human_did(make_bundle: Callable[..., Bundle]) -> None:
    trained, new = _fit(_data(), make_bundle()), _data(seed=1)
    action, p = trained.act(new.stacked)
    assert ((p > 0.5) == new.intervening).mean() > 0.85
    assert np.abs(action[new.intervening] - 0.5).mean() < 0.15


def test_a_demonstration_does_not_teach_when_to_intervene(make_bundle: Callable[..., Bundle]) -> None:
    data = _data()
    shown = np.flatnonzero(~data.intervening)[:128]
    data.stacked[shown, 1] += 6.0  # easy to tell from the rest
    data.intervening[shown], data.human_action[shown], data.demonstration[shown] = True, 0.5, True
    trained = _fit(data, make_bundle())
    assert (trained.act(data.stacked[shown])[1] < 0.5).mean() > 0.8


def test_steps_without_an_intervention_teach_the_policy_through_the_common_features_alone(make_bundle: Callable[..., Bundle]) -> None:
    data = _data()
    moved = dataclasses.replace(data, stacked=np.where(data.intervening[:, None], data.stacked, data.stacked - 1.0))

    def weights(data: InterventionData, weight: float) -> dict[str, torch.Tensor]:
        return _fit(data, make_bundle(), intervention_weight=weight).policy.state_dict()

    apart, common = ([weights(d, weight) for d in (data, moved)] for weight in (0.0, 0.5))
    assert all(torch.equal(apart[0][key], apart[1][key]) for key in apart[0])
    assert not torch.equal(common[0]['body.0.weight'], common[1]['body.0.weight'])


def test_the_head_has_a_step_size_of_its_own(make_bundle: Callable[..., Bundle]) -> None:
    data, start = _data(), make_bundle()
    new = initial_classifier(start, 0)

    def moved(**rates: float) -> tuple[float, float]:
        trained = _fit(data, start, epochs=2, **rates).mental_model
        assert isinstance(trained, InterventionClassifier)
        head = max(
            (now - then).abs().max().item() for now, then in zip(trained.body[-1].parameters(), new.body[-1].parameters(), strict=True)
        )
        features = (trained.body[0].weight - start.policy.body[0].weight).abs().max().item()
        return head, features

    head, features = moved(head_learning_rate=1e-9, learning_rate=1e-2)
    assert head < 1e-6 < 1e-2 < features
    head, features = moved(head_learning_rate=1e-2, learning_rate=1e-9)
    assert features < 1e-6 < 1e-2 < head


def test_the_next_round_goes_on_with_the_head_and_bundles_come_back(tmp_path: Path, make_bundle: Callable[..., Bundle]) -> None:
    first = _fit(_data(), make_bundle())
    first.save(tmp_path / 'v001')
    loaded = Bundle.load(tmp_path / 'v001')
    assert isinstance(loaded.mental_model, InterventionClassifier)
    np.testing.assert_array_equal(loaded.act(_data().stacked)[1], first.act(_data().stacked)[1])
    again = _fit(_data(), loaded, epochs=1, head_learning_rate=1e-9, learning_rate=1e-9)
    np.testing.assert_allclose(again.act(_data().stacked)[1], first.act(_data().stacked)[1], atol=1e-4)


def test_discrete_actions() -> None:
    torch.manual_seed(0)
    architecture = Architecture(input_dim=12, action_dim=3, hidden=(16,), distribution='categorical')
    manifest = Manifest('v000', 'toy', ('x', 'y', 'z'), 4, architecture, None, 1.0, 1.0, 'test')
    trained, data = _fit(_data(width=1, action=2.0), Bundle(CategoricalPolicy(architecture), None, manifest)), _data()
    action, p = trained.act(data.stacked)
    assert (action[data.intervening] == 2.0).all()
    assert ((p > 0.5) == data.intervening).mean() > 0.85


def test_it_is_among_the_predictors_and_refuses_data_without_interventions(make_bundle: Callable[..., Bundle]) -> None:
    assert METHODS['bc_intervention'].predicts
    with pytest.raises(LearnerError, match='without an intervention'):
        _fit(_data().take(~_data().intervening), make_bundle())
