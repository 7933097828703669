"""Reading episodes, and finding each kind of planted error in them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mile_learner.bags import content_hash, decode_metadata, encode_metadata, read_episode
from mile_learner.bundle import Bundle
from mile_learner.check import check_bags, check_run
from mile_learner.errors import LearnerError
from mile_learner.run_folder import Run
from mile_learner.step import Mode, Source, Step

MakeStep = Callable[..., Step]
WriteEpisode = Callable[..., Path]
NAN = np.full(4, np.nan, dtype=np.float32)


@pytest.fixture
def steps(make_step: MakeStep) -> list[Step]:
    """Nine steps, of which 3, 4 and 5 are an intervention."""
    return [make_step(i, intervening=3 <= i < 6) for i in range(9)]


def test_steps_and_metadata_come_back(tmp_path: Path, steps: list[Step], write_episode: WriteEpisode) -> None:
    path = write_episode(tmp_path / 'episode_000', steps, operator='sim', configuration={'rate_hz': 10.0})
    episode = read_episode(path)
    assert len(episode.steps) == len(steps)
    for read, written in zip(episode.steps, steps, strict=True):
        for field in dataclasses.fields(Step):
            one, other = getattr(read, field.name), getattr(written, field.name)
            if isinstance(one, float | np.ndarray):
                np.testing.assert_allclose(one, other, atol=1e-6)
            else:
                assert one == other
    assert episode.outcome == 'success'
    assert episode.metadata['configuration'] == {'rate_hz': 10.0}
    assert episode.column('observation').shape == (9, 3)
    assert episode.column('intervening').tolist() == [False] * 3 + [True] * 3 + [False] * 3


def test_metadata_survives_as_text() -> None:
    metadata = {'outcome': 'success', 'layout': ['x', 'y'], 'nested': {'a': [1, None]}, 'empty': ''}
    encoded = encode_metadata(metadata)
    assert all(isinstance(value, str) for value in encoded.values())
    assert decode_metadata(encoded) == metadata


def test_content_hash_is_of_the_content(tmp_path: Path, steps: list[Step], write_episode: WriteEpisode) -> None:
    path = write_episode(tmp_path / 'one', steps)
    before = content_hash(path)
    assert content_hash(path) == before
    write_episode(tmp_path / 'two', steps[:-1])
    assert content_hash(tmp_path / 'two') != before


def test_what_is_no_episode_is_named(tmp_path: Path, steps: list[Step], write_episode: WriteEpisode) -> None:
    with pytest.raises(LearnerError, match='is not a whole bag'):
        read_episode(tmp_path / 'nothing')
    path = write_episode(tmp_path / 'torn', steps)
    (storage,) = path.glob('*.mcap')
    storage.write_bytes(storage.read_bytes()[:200])
    with pytest.raises(LearnerError, match='cannot be read as a bag'):
        read_episode(path)
    (finding,) = check_bags([path])
    assert finding.kind == 'unreadable'


def test_a_good_episode_has_no_findings(tmp_path: Path, steps: list[Step], write_episode: WriteEpisode) -> None:
    hold = dataclasses.replace(
        steps[7], source=Source.HOLD, mode=Mode.HOLD, robot_action=NAN, robot_action_valid=False, observation=np.zeros(0, dtype=np.float32)
    )
    steps[7] = hold  # a lost policy: nobody commands, nothing is missing
    assert check_bags([write_episode(tmp_path / 'e', steps)]) == []


STEP_ERRORS: dict[str, tuple[str, int, dict[str, Any]]] = {
    'gap': ('index', 4, {'index': 9}),
    'stamp': ('stamp', 4, {'stamp': 1.0}),
    'episode': ('episode_id', 4, {'episode_id': 'other'}),
    'short observation': ('observation', 4, {'observation': np.zeros(2, dtype=np.float32)}),
    'lost observation': ('observation', 4, {'observation': np.zeros(0, dtype=np.float32)}),
    'non-finite observation': ('observation', 4, {'observation': np.full(3, np.inf, dtype=np.float32)}),
    'a_r lost in a takeover': ('robot_action', 4, {'robot_action_valid': False}),
    'a_r not finite': ('robot_action', 1, {'robot_action': NAN, 'executed_action': NAN}),
    'a_h lost': ('human_action', 4, {'human_action': NAN, 'executed_action': NAN}),
    'a_h without takeover': ('human_action', 1, {'human_action': np.zeros(4, dtype=np.float32)}),
    'two sources': ('source', 4, {'source': Source.POLICY, 'executed_action': None}),
    'mode of another source': ('source', 1, {'mode': Mode.HUMAN}),
    'hold that commands': ('source', 1, {'mode': Mode.HOLD}),
    'idle in an episode': ('source', 1, {'mode': Mode.IDLE}),
    'nu without takeover': ('source', 1, {'intervening': True, 'human_action': np.zeros(4, dtype=np.float32)}),
    'action of nobody': ('executed_action', 1, {'executed_action': np.full(4, 0.5, dtype=np.float32)}),
}


@pytest.mark.parametrize('name', STEP_ERRORS)
def test_a_planted_error_in_a_step_is_found(tmp_path: Path, steps: list[Step], write_episode: WriteEpisode, name: str) -> None:
    kind, index, changes = STEP_ERRORS[name]
    if changes.get('executed_action', 0) is None:
        changes = changes | {'executed_action': steps[index].robot_action}
    steps[index] = dataclasses.replace(steps[index], **changes)
    findings = check_bags([write_episode(tmp_path / 'e', steps)])
    assert {finding.kind for finding in findings} == {kind}
    assert findings[0].index == changes.get('index', index)
    assert findings[0].episode == str(tmp_path / 'e')


@pytest.mark.parametrize(
    ('kind', 'metadata'),
    [
        ('outcome', {'outcome': ''}),
        ('outcome', {'outcome': 'won'}),
        ('layout', {'observation_layout': 'x, y, z'}),
        ('episode_id', {'episode_id': ''}),
    ],
)
def test_planted_errors_in_the_metadata_are_found(
    tmp_path: Path, steps: list[Step], write_episode: WriteEpisode, kind: str, metadata: dict[str, Any]
) -> None:
    findings = check_bags([write_episode(tmp_path / 'e', steps, **metadata)])
    assert kind in {finding.kind for finding in findings if finding.index is None}


def test_an_empty_episode_is_found(tmp_path: Path, write_episode: WriteEpisode) -> None:
    assert {finding.kind for finding in check_bags([write_episode(tmp_path / 'e', [])])} == {'empty'}


def test_a_bag_that_was_changed_since_a_version_was_trained_on_it_is_found(
    tmp_path: Path, make_step: MakeStep, write_episode: WriteEpisode, make_bundle: Callable[..., Bundle]
) -> None:
    run, bundle = Run.create(tmp_path / 'run', {}), make_bundle()
    paths = [write_episode(run.episode_path(0, index), [make_step(0), make_step(1)]) for index in range(2)]
    data = tuple({'episode': path.relative_to(run.path).as_posix(), 'sha256': content_hash(path)} for path in paths)
    bundle.manifest = dataclasses.replace(bundle.manifest, data=data)
    bundle.save(run.version_path('v000'))
    assert check_run(run) == []
    (file,) = paths[1].glob('*.mcap')
    whole = file.read_bytes()
    stored = make_step(1).executed_action.tobytes()
    assert stored in whole
    file.write_bytes(whole.replace(stored, bytes(len(stored))))
    assert ('changed', str(paths[1]), 'is not what v000 was trained on') in [(f.kind, f.episode, f.message) for f in check_run(run)]
    (paths[0] / 'metadata.yaml').unlink()
    assert ('missing', str(paths[0]), 'is not there as a whole; v000 was trained on it') in [
        (f.kind, f.episode, f.message) for f in check_run(run)
    ]
