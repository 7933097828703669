"""Preparation: reproducible, resumable, whole or absent, in the band or refused."""

from pathlib import Path

import numpy as np
import pytest

from mile_learner.bundle import Bundle, read_manifest
from mile_sim.block_insertion import default_task
from mile_sim.errors import SimError
from mile_sim.operator import load_operator
from mile_sim.prepare import Preparation, PrepareConfig, mile_home, prepare, prepared_folder
from mile_sim.start_states import Purpose, state_seeds

SMALL = PrepareConfig(
    demonstrations=2,
    selection_episodes=2,
    pilot_sessions=1,
    policy_epochs=3,
    mental_epochs=3,
    hidden=(8,),
    band_low=0.0,
    band_high=1.0,
)


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv('MILE_HOME', str(tmp_path / 'home'))
    return default_task().from_mapping(default_task().to_mapping() | {'time_limit_s': 4.0})


def test_it_is_reproducible_resumable_and_whole_or_absent(task, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = prepared_folder(task, 5, SMALL)
    finish = Preparation.operator

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Preparation, 'operator', interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare(task, 5, SMALL, workers=1)
    assert not folder.exists()

    def no_more_demonstrations(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(Preparation, 'operator', finish)
    with monkeypatch.context() as patch:
        patch.setattr('mile_sim.prepare.demonstrator', no_more_demonstrations)
        assert prepare(task, 5, SMALL, workers=1) == folder
    assert sorted(path.name for path in folder.iterdir()) == ['operator', 'v000']
    assert not folder.with_name(f'{folder.name}.unfinished').exists()
    resumed = read_manifest(folder / 'v000')

    monkeypatch.setenv('MILE_HOME', str(mile_home().with_name('second')))
    again = read_manifest(prepare(task, 5, SMALL, workers=1) / 'v000')
    assert again.weights == resumed.weights
    assert (again.c, again.metrics) == (resumed.c, resumed.metrics)

    operator, bundle = load_operator(folder / 'operator'), Bundle.load(folder / 'v000')
    assert (operator.config.c, operator.config.sigma) == (bundle.manifest.c, bundle.manifest.sigma)
    stacked = np.zeros(28, np.float32)
    assert np.isfinite(bundle.act(stacked)[0]).all()
    assert 0 <= operator.probability(stacked) <= 1
    assert prepare(task, 5, SMALL, workers=1) == prepared_folder(task, 5, SMALL), 'what is there is not made again'


def test_a_band_that_cannot_be_reached_is_an_error(task) -> None:
    impossible = SMALL.from_mapping(SMALL.to_mapping() | {'band_low': 0.9, 'candidates': 1})
    with pytest.raises(SimError, match=r'the expert does the task in 0 of 10 episodes of 4 s; give a longer time limit'):
        prepare(task, 0, impossible, workers=1)
    enough = task.from_mapping(task.to_mapping() | {'time_limit_s': 20.0})
    with pytest.raises(SimError, match=r'success 0.0 after 1 attempts, expected 0.9 to 1.0'):
        prepare(enough, 0, impossible, workers=1)
    assert not prepared_folder(enough, 0, impossible).exists()


def test_everything_that_shapes_the_result_is_in_the_folders_name(task) -> None:
    names = {
        prepared_folder(task, 0, SMALL),
        prepared_folder(task, 1, SMALL),
        prepared_folder(task, 0),
        prepared_folder(task.from_mapping(task.to_mapping() | {'step_size_m': 0.004}), 0, SMALL),
    }
    assert len(names) == 4


def test_start_states_of_different_purposes_are_disjoint() -> None:
    ranges = [set(state_seeds(purpose, seed, 1000)) for purpose in Purpose for seed in (0, 1, 9999)]
    assert len(set.union(*ranges)) == sum(map(len, ranges))
    assert max(set.union(*ranges)) < 1_000_000_000
