"""Demonstrate, clone, deploy as a black box: every part is real, the simulated operator holds the pad."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mile_learner.bags import read_episode
from mile_learner.check import check_bag
from mile_learner.run_folder import Run
from mile_learner.step import Source

pytestmark = [pytest.mark.ros, pytest.mark.slow, pytest.mark.timeout(600)]
QUICK = ('--speed', '2', '--seed', '1', '--time-limit', '20')


def mile(*arguments: str, code: int = 0) -> Any:
    environment = {**os.environ, 'ROS_DOMAIN_ID': '56', 'ROS_PYTHON_CHECK_FIELDS': '1'}
    command = [sys.executable, '-m', 'mile_bringup.cli', *arguments, '--json']
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=400)
    assert result.returncode == code, result.stderr
    return json.loads(result.stdout) if code == 0 else result.stderr


def test_demonstrations_become_a_policy_that_is_shown_and_then_deployed(tmp_path: Path) -> None:
    path = str(tmp_path / 'run')
    shown = mile('deploy', '--run', path, '--mode', 'demonstrate', '--episodes', '3', *QUICK)
    run = Run.open(Path(path))
    assert shown['bags'] == [str(run.path / 'demonstrations' / f'episode_{index:03d}') for index in range(3)]
    assert 'success' in shown['outcomes']
    for bag in shown['bags']:
        record = read_episode(Path(bag))
        assert record.metadata['mode'] == 'demonstrate'
        acted = [step for step in record.steps if step.source is not Source.HOLD]
        assert {step.source for step in acted} == {Source.HUMAN}, 'no policy flies in a demonstration'
        assert not any(step.robot_action_valid for step in record.steps)
        assert np.isfinite([step.human_action for step in acted]).all()
        seen = [step for step in acted if len(step.observation) == 7]
        assert len(seen) > 0.5 * len(acted) > 0
        late = {'observation'}  # what a machine that is busy with something else did not see in time
        assert {finding.kind for finding in check_bag(Path(bag))} <= late

    assert mile('inspect', path)['other_bags'] == [f'demonstrations/episode_{index:03d}' for index in range(3)]
    assert 'clone one from them: mile train' in mile('deploy', '--run', path, code=2)
    assert mile('train', path, '--method', 'behaviour_cloning', '--set', 'epochs=50')['current'] == 'v000'

    report = mile('deploy', '--run', path, '--iterations', '1', '--episodes', '1', '--speed', '5')
    assert [read_episode(path).metadata['mode'] for path in run.recorded('shown_v000').values()] == ['show'] * 3
    manifests = run.versions()
    assert [manifest.method for manifest in manifests.values()] == ['behaviour_cloning', 'warm_start', 'mile']
    assert [manifest.iteration for manifest in manifests.values()] == [None, None, 0]
    assert report['current'] == 'v002'
    assert report['bags'] == [str(run.episode_path(0, 0))]
    assert {step.policy_version for step in read_episode(run.episode_path(0, 0)).steps if step.source is Source.POLICY} <= {'v001'}
