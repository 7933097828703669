"""An episode that is not whole is never trained on unless that is asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mile_learner.bundle import Bundle
from mile_learner.errors import LearnerError
from mile_learner.run_folder import Run
from mile_learner.step import Step
from mile_learner.train import train

QUICK = {'epochs': 1, 'batch_size': 16}


@pytest.fixture
def run(tmp_path: Path, make_bundle: Callable[..., Bundle], make_step: Callable[..., Step], write_episode: Callable[..., Path]) -> Run:
    """A run with a whole episode and a salvaged one."""
    run = Run.create(tmp_path / 'run', {})
    make_bundle().save(run.version_path('v000'))
    run.promote('v000')
    steps = [make_step(i, intervening=5 <= i < 9) for i in range(15)]
    path = run.episode_path(0, 0)
    write_episode(path, steps)
    write_episode(path.with_name('episode_001.salvaged-0'), steps[:10], salvaged='its recorder was killed', outcome='aborted')
    return run


def test_what_was_salvaged_is_trained_on_only_when_asked_for(run: Run) -> None:
    assert list(run.state().episodes) == [0]
    assert run.state().episodes[0] == {0}
    assert train(run, overrides=QUICK).metrics['steps'] == 15
    manifest = train(run, overrides=QUICK, with_salvaged=True)
    assert manifest.metrics['steps'] == 25
    assert [entry['episode'] for entry in manifest.data] == ['iter_00/episode_000', 'iter_00/episode_001.salvaged-0']


@pytest.mark.parametrize('mark', ['salvaged', 'torn'])
def test_a_bag_that_is_not_whole_is_refused_under_any_name(
    run: Run, make_step: Callable[..., Step], write_episode: Callable[..., Path], mark: str
) -> None:
    write_episode(run.episode_path(0, 2), [make_step(i, intervening=True) for i in range(5)], **{mark: 'a cause'})
    with pytest.raises(LearnerError, match='is not whole'):
        train(run, overrides=QUICK)
