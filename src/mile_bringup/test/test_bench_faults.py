"""The faults bench: its arithmetic, its short form over real processes, and in the same graph whether the security policy is complete."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from mile_msgs.msg import ArmState
from sensor_msgs.msg import Joy

from mile_bringup.cli import main
from mile_bringup.deployment import config_dir
from mile_bringup.errors import UsageError
from mile_bringup.faults.bench import LIVE_OPTIONS, NAMES, QUICK, chosen, report
from mile_bringup.faults.clock import step_the_clock
from mile_bringup.faults.deployed import gone
from mile_bringup.faults.inputs import INPUT_FAULTS, strike
from mile_bringup.faults.kills import NODES, UNDER_WAY
from mile_bringup.faults.live import LINKS, TRUE, Link, Live, live
from mile_bringup.faults.outcome import ENDED, HOLD, UNHARMED, Outcome
from mile_bringup.faults.stage import make_run
from mile_bringup.graph import nodes, operator_dir
from mile_ros.qos import SENSOR
from mile_ros.stamps import to_seconds
from mile_sim.block_insertion import default_task
from mile_sim.operator import load_operator

DOMAIN = '57'
SHORT = ('pad unplugged in a takeover', 'policy says NaN', 'joint states silent')


def test_the_operator_of_the_stage_leaves_time_to_strike_in_either_mode(tmp_path: Path) -> None:
    run, _ = make_run(tmp_path / 'run', {'iterations': 1, 'episodes': 1})
    operator, task = load_operator(operator_dir(run.path), seed=0), default_task()
    seen = np.random.default_rng(0).normal(size=(2000, 28)).astype(np.float32)
    acting = np.array([operator.decide(row, tick / task.rate_hz).intervening for tick, row in enumerate(seen)])
    changes = np.flatnonzero(np.diff(acting))
    alone = np.diff(changes)[acting[changes[:-1] + 1] == 0]
    assert len(alone) > 20
    assert np.mean(alone > UNDER_WAY) > 0.5
    assert 0.2 < acting.mean() < 0.6


def test_a_fault_that_misses_no_goal_misses_none() -> None:
    assert not Outcome('x', HOLD, hold_ms=500.0, limit_ms=550.0, resumed=True, told='hold: pad').missed()
    assert not Outcome('x', UNHARMED, resumed=True).missed()


@pytest.mark.parametrize(
    ('outcome', 'said'),
    [
        (Outcome('x', HOLD, hold_ms=600.0, limit_ms=550.0, told='hold'), 'the arm moved for 600 ms, limit 550 ms'),
        (Outcome('x', HOLD, policy_commands_after=1, told='hold'), '1 commands of the policy when it was not to command'),
        (Outcome('x', ENDED, steps_lost=11, steps_lost_limit=10, told='ended'), '11 steps lost, limit 10'),
        (Outcome('x', ENDED, committed_lost=1, told='ended'), '1 whole episodes lost'),
        (Outcome('x', ENDED, resumed=False, told='ended'), 'it did not go on'),
        (Outcome('x', ENDED), 'nobody was told'),
        (Outcome('x', ENDED, orphans=2, told='ended'), '2 orphans'),
        (Outcome('x', ENDED, stale_locks=1, told='ended'), '1 stale locks'),
        (Outcome('x', UNHARMED, violations=['I3 violated: here']), 'I3 violated: here'),
    ],
)
def test_every_goal_can_be_missed(outcome: Outcome, said: str) -> None:
    assert outcome.missed() == [said]
    summary = report([outcome])
    assert summary.code == 1
    assert json.dumps(summary.data)
    assert f'x: {said}' in summary.text


def test_every_node_of_the_graph_is_killed_in_every_mode(tmp_path: Path) -> None:
    _, deployment = make_run(tmp_path / 'run', LIVE_OPTIONS)
    assert {node.name for node in nodes(deployment, tmp_path / 'run')} == set(NODES) - {'deploy'}
    for moment in ('in a takeover', 'while the policy drives', 'in training', 'in promotion'):
        assert {f'kill {name} {moment}' for name in NODES} <= set(NAMES)


def test_faults_are_chosen_by_a_part_of_their_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert chosen([], quick=False) == list(NAMES)
    assert chosen([], quick=True) == sorted(QUICK, key=NAMES.index)
    assert chosen(['camera'], quick=False) == ['camera silent', 'camera black']
    with pytest.raises(UsageError, match="--only: got 'nothing like it', expected a part of one of: clock set"):
        chosen(['nothing like it'], quick=False)
    assert main(['bench', 'faults', '--only', 'clock set', '--json']) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data['faults'], data['goals_missed']) == (1, 0)


def test_a_clock_that_is_set_does_no_harm() -> None:
    assert not step_the_clock().missed()


def test_an_orphan_is_found() -> None:
    process = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(300)'])
    assert gone({'orphan': process.pid}, 0.1) == ['orphan']
    process.kill()
    assert gone({'orphan': process.pid}, 10.0) == [], 'dead, though nobody has counted it yet'
    process.wait()
    assert gone({'orphan': process.pid}, 0.1) == []


# ---------------------------------------------------------------- the live graph


@pytest.fixture(scope='module')
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Every node of a deployment; the simulated operator's pad is not heard, for the test presses it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('ROS_DOMAIN_ID', DOMAIN)
        patch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
        patch.setenv('ROS_PYTHON_CHECK_FIELDS', '1')
        run, deployment = make_run(tmp_path_factory.mktemp('faults') / 'run', LIVE_OPTIONS)
        retracting = {'arm_node': {'retract_after_s': RETRACT_AFTER_S}}
        with live(run, deployment, links=(*LINKS, UNHEARD), absent=(), parameters=retracting) as running:
            yield running


RETRACT_AFTER_S = 3.0
A_DELAY = re.compile(r'I5|I2 violated: .* came \d')
"""A verdict on how long messages were under way; a takeover that nobody pressed for (it came `inf` s later) is none."""
UNHEARD = Link('operator_node', 'joy', Joy, SENSOR)


@pytest.mark.ros
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize('name', SHORT)
def test_short_form(stage: Live, name: str) -> None:
    stage.links['joy'].spoil = lambda _: None
    (fault,) = (fault for fault in INPUT_FAULTS if fault.name == name)
    outcome = strike(stage, fault)
    assert outcome.hold_ms is not None
    # how many milliseconds it takes depends on how busy the machine is; that the arm stands still long before the fault is over does not
    outcome.limit_ms = 0.75e3 * fault.lasts_s
    outcome.violations = [violation for violation in outcome.violations if not A_DELAY.match(violation)]
    assert not outcome.missed()


@pytest.mark.ros
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_security_policy_is_complete_and_allows_nothing_else(stage: Live) -> None:
    stage.begin(takeover=False)
    allowed, node = _policy(), stage.witness.node
    for name in sorted(set(NODES) - {'deploy'}):
        found = {
            'publish': node.get_publisher_names_and_types_by_node(name, '/mile'),
            'subscribe': node.get_subscriber_names_and_types_by_node(name, '/mile'),
            'reply': node.get_service_names_and_types_by_node(name, '/mile'),
            'request': node.get_client_names_and_types_by_node(name, '/mile'),
        }
        got = {what: {topic.removesuffix(TRUE) for topic, _ in topics} for what, topics in found.items()}
        for what, topics in got.items():
            expected = {topic for topic in allowed[name][what] if not _other_hardware(name, topic)}
            assert topics == expected, f'{name}: {what}'


@pytest.mark.ros
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_arm_whose_arbiter_hangs_in_an_episode_rises_out_of_the_way(stage: Live) -> None:
    heard: list[tuple[float, float]] = []

    def hear(state: ArmState) -> None:
        heard.append((to_seconds(state.header.stamp), float(state.commanded_target[2])))

    stage.witness.node.create_subscription(ArmState, 'arm_state', hear, SENSOR)
    stage.links['joy'].spoil = lambda _: None
    stage.begin(takeover=False)
    stage.end()
    stage.begin(takeover=False)  # anew, and so from where episodes start, well below the top
    heard.clear()
    os.kill(stage.pids['teleop_node'], signal.SIGSTOP)
    task = default_task()
    top = task.workspace_high[2]
    stage.witness.until(lambda: heard and heard[-1][1] > top - 5e-4, 'the arm to be at the top', 60.0)
    goes_on = time.monotonic()
    os.kill(stage.pids['teleop_node'], signal.SIGCONT)
    stamps, heights = np.array(heard).T
    assert heights[0] < top - 2e-3
    assert heights.max() <= top + 1e-6
    assert f'no command for {RETRACT_AFTER_S:g} s in an episode: the arm retracts' in (stage.run.path / 'log/arm_node.log').read_text()
    periods = np.floor(np.diff(stamps) * task.rate_hz) + 1  # states may be lost on a busy machine
    assert (np.diff(heights) <= periods * task.step_size_m + 1e-6).all()
    stage.witness.until(lambda: stage.witness.policy_commands(goes_on, math.inf) > 10, 'the policy to drive again', 60.0)


def _other_hardware(node: str, topic: str) -> bool:
    """What is allowed for a real arm, or for a policy that looks, and not used by this graph."""
    looks = node == 'policy_node' and topic == '/mile/camera/image/compressed'
    return topic.startswith('/wx250s/') or looks


def _policy() -> dict[str, dict[str, set[str]]]:
    """By node: what it may publish, subscribe, reply and request, in full names; actions as the topics and services they consist of."""
    common = ET.parse(config_dir() / 'security_common.xml').getroot()
    allowed = {}
    for profile in ET.parse(config_dir() / 'security_policy.xml').iter('profile'):
        name = profile.attrib['node']
        sets: dict[str, set[str]] = {what: set() for what in ('publish', 'subscribe', 'reply', 'request')}
        for group in [*common, *profile]:
            for what, verdict in group.attrib.items():
                names = {_resolve(entry.text or '', name) for entry in group if verdict == 'ALLOW'}
                if group.tag == 'actions':
                    messages, services = ('publish', 'reply') if what == 'execute' else ('subscribe', 'request')
                    sets[messages] |= {f'{one}/_action/{part}' for one in names for part in ('feedback', 'status')}
                    sets[services] |= {f'{one}/_action/{part}' for one in names for part in ('send_goal', 'get_result', 'cancel_goal')}
                elif what in sets:
                    sets[what] |= names
        allowed[name] = sets
    return allowed


def _resolve(text: str, node: str) -> str:
    return text if text.startswith('/') else f'/mile/{node}/{text[1:]}' if text.startswith('~') else f'/mile/{text}'
