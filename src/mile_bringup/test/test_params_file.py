"""A parameter file that reaches nobody is told, where ROS would pass over it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mile_bringup.deployment import Deployment
from mile_bringup.run_setup import check_nodes
from mile_learner.config import ConfigError


def check(folder: Path, text: str) -> None:
    file = folder / 'mine.yaml'
    file.write_text(text)
    check_nodes(Deployment(params_file=str(file)), folder)


@pytest.mark.parametrize(
    'text',
    [
        '/mile/teleop_node: {ros__parameters: {pad_timeout_s: 0.4, takeover: toggle}}',
        '/**: {ros__parameters: {use_sim_time: false}}',
        '/mile/policy_node: {ros__parameters: {camera_timeout_s: 0.4}}',
    ],
)
def test_what_reaches_a_node_is_taken(tmp_path: Path, text: str) -> None:
    check(tmp_path, text)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('/mile/teleop_node: {ros__parameters: {takover: toggle}}', "got 'takover', expected one of takeover, "),
        ('teleop_node: {ros__parameters: {takeover: toggle}}', r"got 'teleop_node', expected /\*\* or one of /mile/"),
        ('/other/teleop_node: {ros__parameters: {takeover: toggle}}', "got '/other/teleop_node'"),
        ('/mile/teleop_node: {ros__parameters: {pad_timeout_s: fast}}', "pad_timeout_s: got 'fast', expected a number"),
        ('takeover: toggle', "got 'takeover', expected"),
        ('/mile/teleop_node: {takeover: toggle}', 'expected a mapping ros__parameters:'),
        ('/**: 3', 'got 3, expected a mapping ros__parameters:'),
    ],
)
def test_what_reaches_nobody_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check(tmp_path, text)
