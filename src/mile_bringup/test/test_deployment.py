"""One short deployment as a black box: every part is real but for the quality of the policy, which was never trained."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from mcap.reader import make_reader

from mile_bringup.faults.stage import add_untrained
from mile_bringup.run_setup import open_run
from mile_learner.run_folder import Run

pytestmark = [pytest.mark.ros, pytest.mark.slow, pytest.mark.timeout(600)]
OPTIONS = {'iterations': 1, 'episodes': 1, 'time_limit': 3.0, 'seed': 1}


def run_with_an_untrained_policy(path: Path) -> Run:
    """A run that `mile deploy` finds as a kill during its preparation would leave it: with policy and operator, not yet flying."""
    run, _ = open_run(path, OPTIONS)
    add_untrained(run)
    return run


def mile(*arguments: str) -> Any:
    environment = {**os.environ, 'ROS_DOMAIN_ID': '81', 'ROS_PYTHON_CHECK_FIELDS': '1'}
    command = [sys.executable, '-m', 'mile_bringup.cli', *arguments, '--json']
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=400)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_a_deployment_records_trains_and_reports(tmp_path: Path) -> None:
    mine = tmp_path / 'mine.yaml'
    mine.write_text(yaml.safe_dump({'/mile/teleop_node': {'ros__parameters': {'pad_timeout_s': 1.5}}}))
    run = run_with_an_untrained_policy(tmp_path / 'run')
    report = mile('deploy', '--run', str(run.path), '--params-file', str(mine))
    (iteration,) = report['iterations']
    assert (iteration['episodes'], iteration['policy_version'], iteration['trained_version']) == (1, 'v000', 'v001')
    assert report['current'] == run.current() == 'v001'
    assert report['bags'] == [str(run.episode_path(0, 0))]
    assert (run.path / 'report.png').is_file()
    manifest = run.versions()['v001']
    assert (manifest.parent, manifest.iteration, len(manifest.data)) == ('v000', 0, 1)

    inspected = mile('inspect', str(run.path), '--check')
    assert inspected['check'] == {'ok': True, 'findings': []}
    assert inspected['episodes'][0]['steps'] > 10
    (episode,) = inspected['episodes']
    picture = tmp_path / 'timeline.png'
    bag = mile('inspect', report['bags'][0], '--plot', str(picture))
    assert bag['steps'] == episode['steps']
    assert bag['metadata']['policy_version'] == 'v000'
    assert bag['metadata']['configuration']['teleop']['pad_timeout_s'] == 1.5, 'what counted, not what config/teleop.yaml says'
    assert picture.is_file()
    (storage,) = run.episode_path(0, 0).glob('*.mcap')
    with storage.open('rb') as file:
        summary = make_reader(file).get_summary()
    assert summary is not None
    topics = {channel.topic for channel in summary.channels.values()}
    assert {'/mile/step', '/mile/joy', '/mile/joint_states', '/mile/event', '/mile/camera/image/compressed'} <= topics

    assert mile('policies', str(run.path), 'rollback')['current'] == 'v000'
    again = mile('deploy', '--run', str(run.path))
    assert (again['bags'], again['current']) == (report['bags'], 'v000'), 'a complete run is left as it is, rollback included'
