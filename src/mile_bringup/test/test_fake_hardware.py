"""The driver of the real arm in a whole deployment, as a black box: fake motors in the simulated world judge what they are told."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from mcap.reader import make_reader

from mile_bringup import graph
from mile_bringup.cli_options import option_words
from mile_bringup.deployment import Deployment
from mile_bringup.fake_hardware import VENDOR_API
from mile_bringup.faults.stage import add_untrained
from mile_bringup.run_setup import open_run
from mile_learner.config import ConfigError
from mile_learner.run_folder import Run
from mile_policy_node.kinematics import WX250S

OPTIONS = {'arm': 'xs', 'fake_hardware': True, 'iterations': 1, 'episodes': 1, 'time_limit': 4.0, 'seed': 1, 'speed': 2.0}


def run_with_an_untrained_policy(path: Path, options: dict[str, Any] = OPTIONS) -> Run:
    """A run whose preparation is done, so that only the deployment itself remains."""
    run, _ = open_run(path, options)
    add_untrained(run)
    return run


def deploy(run: Run) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, 'ROS_DOMAIN_ID': '53', 'ROS_PYTHON_CHECK_FIELDS': '1'}
    command = [sys.executable, '-m', 'mile_bringup.cli', 'deploy', '--run', str(run.path), '--json']
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=400)


@pytest.mark.ros
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_deployment_through_the_driver_breaks_no_limit_profile_or_rate(tmp_path: Path) -> None:
    run = run_with_an_untrained_policy(tmp_path / 'run')
    result = deploy(run)
    assert result.returncode == 0, f'{result.stdout}\n{result.stderr}'
    report: dict[str, Any] = json.loads(result.stdout)
    assert report['iterations'][0]['episodes'] == 1
    assert report['current'] == 'v001', 'trained on what was recorded'
    found = report['fake_hardware']
    assert found['broken'] == {'limits': 0, 'profile': 0, 'rate': 0, 'gripper': 0}, found['cases']
    assert found['commands'] > 20
    assert found['register_writes'] == 2, 'the profile, once, at start'
    (storage,) = run.episode_path(0, 0).glob('*.mcap')
    with storage.open('rb') as file:
        summary = make_reader(file).get_summary()
    assert summary is not None
    assert '/wx250s/joint_states' in {channel.topic for channel in summary.channels.values()}, "the motors' own joint states are recorded"


@pytest.mark.ros
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(importlib.util.find_spec(VENDOR_API) is not None, reason="the vendor's packages are installed")
def test_without_the_vendors_packages_a_real_arm_does_not_start_and_the_last_line_says_what_to_install(tmp_path: Path) -> None:
    run = run_with_an_untrained_policy(tmp_path / 'run', {'arm': 'xs', 'operator': 'joystick', 'seed': 1})
    result = deploy(run)
    assert result.returncode == 1
    line = result.stderr.strip().splitlines()[-1]
    assert "arm_node ended (exit code 2): backend 'xs': needs the module 'interbotix_" in line
    assert "install the vendor's ROS 2 workspace" in line
    assert not run.episodes()


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        ({'fake_hardware': True}, "fake_hardware: got arm 'sim', expected 'xs'"),
        ({'arm': 'xs'}, "arm 'xs': got speed 1 and operator 'sim', expected 1 and 'joystick' with a real arm"),
        ({'arm': 'xs', 'operator': 'joystick', 'speed': 2.0}, "got speed 2 and operator 'joystick'"),
    ],
)
def test_a_real_arm_is_driven_by_a_person_in_real_time(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        Deployment(**options)


def test_the_graph_of_a_real_arm_has_a_camera_and_no_world() -> None:
    nodes = {node.name: node for node in graph.nodes(Deployment(arm='xs', operator='joystick'), Path('/runs/one'))}
    assert {'camera_node', 'pad_node'} <= nodes.keys()
    assert not {'sim_node', 'operator_node', 'fake_xs_sdk_node'} & nodes.keys()
    assert nodes['arm_node'].parameters['backend'] == 'xs'
    assert nodes['recorder_node'].remappings == (('joint_states', '/wx250s/joint_states'),)
    assert nodes['session_node'].remappings == ()


@pytest.mark.parametrize(
    ('content', 'expected'),
    [
        ('joint_margn_rad: 0.1', r"arm.yaml: unknown key 'joint_margn_rad'; did you mean 'joint_margin_rad'"),
        ('following_error_rad: .nan', 'arm.yaml: following_error_rad: got nan, expected a finite number'),
        ('model_file: other.yaml', 'other.yaml: joint_upper: got nan, expected a finite number'),
        ('model: wx200', "arm.yaml: model: got 'wx200', expected one of 'wx250s', 'wx250'"),
    ],
)
def test_a_mistake_in_the_arms_file_is_one_line(tmp_path: Path, content: str, expected: str) -> None:
    (tmp_path / 'arm.yaml').write_text(content)
    numbers = WX250S.to_mapping() | {'name': 'other', 'joint_upper': [float('nan')] * 6}
    (tmp_path / 'other.yaml').write_text(yaml.dump(json.loads(json.dumps(numbers))))
    deployment = Deployment(arm='xs', operator='joystick', arm_file=str(tmp_path / 'arm.yaml'))
    with pytest.raises(ConfigError, match=expected) as caught:
        graph.nodes(deployment, Path('/runs/one'))
    assert '\n' not in str(caught.value)


def test_options_become_words_and_a_launch_argument_an_option() -> None:
    given = Deployment.parse({name: str(value) for name, value in {**Deployment().to_mapping(), **OPTIONS}.items()})
    assert given == OPTIONS
    assert option_words({'fake_hardware': True, 'seed': 3}) == ['--fake-hardware', '--seed', '3']
    with pytest.raises(ConfigError, match="fake_hardware: got 'maybe', expected bool"):
        Deployment.parse({name: str(value) for name, value in {**Deployment().to_mapping(), 'fake_hardware': 'maybe'}.items()})
