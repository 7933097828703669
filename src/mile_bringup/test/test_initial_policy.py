"""What a run needs before it can be deployed, and what is said where it is not there yet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mile_bringup.cli import main
from mile_bringup.initial_policy import must_be_shown
from mile_bringup.run_setup import open_run
from mile_learner.architecture import Architecture
from mile_learner.manifest import Manifest
from mile_learner.run_folder import SHOWN_EPISODES, Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with one demonstration (of which only its being there matters here)."""
    run, _ = open_run(tmp_path / 'run', {'mode': 'demonstrate', 'episodes': 40})
    whole(run.path / 'demonstrations' / 'episode_000')
    return run


def whole(path: Path) -> None:
    path.mkdir(parents=True)
    (path / 'metadata.yaml').touch()


def clone(run: Run) -> None:
    architecture = Architecture(input_dim=28, action_dim=4)
    manifest = Manifest('v000', 'block_insertion', tuple('abcdefg'), 4, architecture, None, 0.0, 1.0, 'behaviour_cloning')
    folder = run.version_path('v000')
    folder.mkdir(parents=True)
    (folder / 'manifest.json').write_text(json.dumps(manifest.to_mapping()), encoding='utf-8')


def said(run: Run, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    assert main(['prepare', '--run', str(run.path), *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_demonstrating_needs_nothing(run: Run) -> None:
    assert main(['prepare', '--run', str(run.path), '--mode', 'demonstrate']) == 0
    assert run.versions() == {}


def test_demonstrations_are_cloned_and_the_clone_is_shown_before_it_is_deployed(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert f'mile train {run.path} --method behaviour_cloning' in said(run, capsys)
    clone(run)
    assert 'v000 must be shown to the operator first, 3 episodes' in said(run, capsys)
    assert run.current() == 'v000'
    for index in range(SHOWN_EPISODES):
        assert must_be_shown(run)
        whole(run.path / 'shown_v000' / f'episode_{index:03d}')
    assert not must_be_shown(run)


def test_a_run_does_not_remember_how_many_demonstrations_were_asked_for(run: Run) -> None:
    _, deployment = open_run(run.path, {})
    assert (deployment.mode, deployment.episodes) == ('deploy', 3)
