"""Arbiter and recorder as they run: two processes on real DDS, with the other ends of their topics played by this test."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcap.reader import make_reader
from mile_msgs.msg import Command, Event, Step, TeleopStatus, Tick
from mile_msgs.srv import CloseBag, OpenBag, StartEpisode, StopEpisode
from std_srvs.srv import Trigger

from mile_learner.bags import read_episode
from mile_learner.check import check_bags
from mile_learner.episode_log import EpisodeLog, read_log
from mile_learner.step import Mode, Source
from mile_teleop.pad import Button

from .rig import CONFIG_FOLDER
from .world import ENVIRON, PATIENCE_S, World, command

pytestmark = pytest.mark.ros
LAYOUT = ['a', 'b', 'c']


def confirmed(steps: Sequence[Any]) -> list[int]:
    """The indices of those whose command the arm confirmed in time."""
    return [step.index for step in steps if np.isfinite(step.sent_target).all()]


@pytest.fixture(scope='module')
def graph() -> Iterator[World]:
    """Both nodes, started once."""
    files = {'task_file': 'task_block_insertion.yaml', 'pad_file': 'pad_ps3.yaml'}
    arguments = [text for name, file in files.items() for text in ('-p', f'{name}:={CONFIG_FOLDER / file}')]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRON.items():
            patch.setenv(name, value)
        graph = World(('teleop_node', [*arguments, '-p', 'speed:=2.0']), ('recorder_node', []))
        for kind, service in ((StartEpisode, 'start_episode'), (OpenBag, 'open_bag')):
            graph.until(graph.node.create_client(kind, service).service_is_ready, service)
        yield graph
        graph.close()


@pytest.fixture
def world(graph: World) -> Iterator[World]:
    """The graph at rest."""
    graph.heard.clear()
    yield graph
    graph.policy_alive = True
    graph.press()
    graph.call(StopEpisode, 'stop_episode', outcome='aborted')
    graph.call(Trigger, 'reset_estop')
    graph.call(CloseBag, 'close_bag', discard=True)


def test_a_takeover_reaches_the_arm_at_once_and_silences_the_policy(world: World) -> None:
    world.start('takeover')
    world.run(3)
    mark = len(world.heard)
    ticks = len(world.all(Tick))
    world.press(Button.TAKEOVER, motion=(0.5, 0.0, -0.25))
    world.until(lambda: any(m.source == Source.HUMAN for m in world.all(Command)), 'a human command')
    first = next(message for message in world.all(Command) if message.source == Source.HUMAN)
    np.testing.assert_allclose(first.action, [0.5, 0.0, -0.25, -1.0], atol=1e-5)
    assert first.index - world.all(Tick)[ticks - 1].index in (1, 2), 'in a tick of its own'
    world.run(5)
    after = [message for message in world.heard[mark:] if isinstance(message, Command)]
    assert [message.source for message in after[after.index(first) :]] == [Source.HUMAN] * (len(after) - after.index(first))
    world.press()
    world.until_mode(Mode.AUTONOMOUS)
    types = [event.type for event in world.all(Event)]
    busy = ('hold', 'resumed')  # what a machine that is busy with something else adds
    assert [name for name in types if name not in busy][-3:] == ['episode_started', 'takeover', 'hand_back']


def test_the_arm_is_held_while_the_policy_is_silent(world: World) -> None:
    world.start('silence')
    world.policy_alive = False
    world.until_mode(Mode.HOLD)
    assert 'policy: silent' in world.all(TeleopStatus)[-1].reason
    mark = len(world.all(Command))
    world.run(3)
    assert {command.source for command in world.all(Command)[mark:]} == {Source.HOLD}
    world.policy_alive = True
    world.until_mode(Mode.AUTONOMOUS)


def test_the_estop_latches_over_the_service(world: World) -> None:
    world.start('estop')
    assert world.call(Trigger, 'estop').success
    world.until_mode(Mode.ESTOP)
    assert world.call(StopEpisode, 'stop_episode', outcome='aborted').accepted
    assert 'e-stop is set' in world.call(StartEpisode, 'start_episode', episode_id='next').message
    assert world.call(Trigger, 'reset_estop').success
    assert not world.call(Trigger, 'reset_estop').success
    world.until_mode(Mode.IDLE)
    takes_a_press(world)


def takes_a_press(world: World) -> None:
    """After an e-stop, before anything moves; then the policy drives."""
    world.call(StartEpisode, 'start_episode', episode_id='after the e-stop')
    world.until_mode(Mode.HOLD)
    world.press(Button.TAKEOVER)
    world.until_mode(Mode.HUMAN)
    world.press()
    world.until_mode(Mode.AUTONOMOUS)


def test_a_tap_on_the_estop_is_obeyed_though_the_arbiter_was_busy(world: World) -> None:
    world.start('tap')
    os.kill(world.pid('teleop_node'), signal.SIGSTOP)
    world.press(Button.ESTOP)
    for number in range(30):
        world.press(motion=(0.01 * number, 0.0, 0.0))
    os.kill(world.pid('teleop_node'), signal.SIGCONT)
    world.until_mode(Mode.ESTOP)
    world.call(StopEpisode, 'stop_episode', outcome='aborted')
    world.call(Trigger, 'reset_estop')
    takes_a_press(world)


def test_an_episode_is_recorded_and_read_back(world: World, tmp_path: Path) -> None:
    path = tmp_path / 'iter_00' / 'episode_000'
    world.open(path, 'e0', task='toy', operator='test', observation_layout=LAYOUT)
    assert 'still being recorded' in world.call(OpenBag, 'open_bag', path=str(path), episode_id='e1').message
    world.start('e0')
    world.run(4)
    world.press(Button.TAKEOVER, motion=(0.5, 0.0, 0.0))
    world.until_mode(Mode.HUMAN)
    world.run(4)
    world.press(Button.TAKEOVER, Button.SUCCESS)
    world.until(lambda: 'button_success' in [event.type for event in world.all(Event)], 'the button')
    stopped = world.call(StopEpisode, 'stop_episode', outcome='success')
    closed = world.call(CloseBag, 'close_bag', outcome='success', steps=stopped.steps)
    assert (closed.accepted, closed.message, closed.steps) == (True, '', stopped.steps)

    assert check_bags([path]) == []
    episode = read_episode(path)
    assert len(episode.steps) == stopped.steps
    assert episode.column('intervening').any()
    assert episode.outcome == 'success'
    assert episode.metadata['lost'] == {}
    assert episode.metadata['observation_layout'] == LAYOUT
    with (path / 'episode_000_0.mcap').open('rb') as file:
        topics = [channel.topic for _, channel, _ in make_reader(file).iter_messages()]
    assert topics.count('/mile/step') == stopped.steps
    assert topics.count('/mile/command_result') >= len(confirmed(episode.steps)) > 0
    assert {'/mile/joy', '/mile/joint_states', '/mile/arm_state', '/mile/event', '/mile/teleop_status'} < set(topics)


def record_until_it_hangs(world: World, path: Path) -> float:
    """Begin an episode, and hang the recorder in it; returns when."""
    world.open(path, path.name)
    world.start(path.name)
    world.until(world.is_heard, 'a pad that both nodes hear')
    world.run(4)
    os.kill(world.pid('recorder_node'), signal.SIGSTOP)
    return time.time()


def assert_the_pad_is_recorded(world: World, log: EpisodeLog, begin: float, end: float, at_least: int) -> None:
    """What the pad said between two times is in the bag, or told to be lost: of a reader that hangs DDS drops best-effort messages."""
    pressed, recorded = (sum(begin < stamp < end for stamp in stamps) for stamps in (world.pressed, [state.stamp for state in log.pad]))
    assert pressed >= at_least
    told = log.record.metadata['lost'].get('/mile/joy', 0)
    assert recorded + told >= pressed - 2, 'but for those at either end'


def test_a_recorder_that_hung_completes_the_bag_with_every_command_result_and_the_pad(world: World, tmp_path: Path) -> None:
    stopped_at = record_until_it_hangs(world, tmp_path / 'hung')
    world.until(lambda: len(confirmed(world.all(Step))) >= 30, 'thirty confirmed steps')
    went_on_at = time.time()
    os.kill(world.pid('recorder_node'), signal.SIGCONT)
    world.run(10)
    steps = world.call(StopEpisode, 'stop_episode', outcome='failure').steps
    assert world.call(CloseBag, 'close_bag', outcome='failure', steps=steps).message == ''
    log = read_log(tmp_path / 'hung')
    assert len(confirmed(log.record.steps)) >= 30
    assert {result.index for result in log.results} >= set(confirmed(log.record.steps))
    assert '/mile/command_result' not in log.record.metadata['lost']
    assert_the_pad_is_recorded(world, log, stopped_at, went_on_at, at_least=20)


def test_a_recorder_that_hung_at_the_end_has_what_the_pad_said_until_then(world: World, tmp_path: Path) -> None:
    stopped_at = record_until_it_hangs(world, tmp_path / 'late')
    for _ in range(12):
        for _ in range(8):
            world.press()
        world.run(1)
    steps = world.call(StopEpisode, 'stop_episode', outcome='failure').steps
    ended_at = time.time()
    os.kill(world.pid('recorder_node'), signal.SIGCONT)
    assert world.call(CloseBag, 'close_bag', outcome='failure', steps=steps).message == ''
    log = read_log(tmp_path / 'late')
    assert_the_pad_is_recorded(world, log, stopped_at, ended_at, at_least=50)


def test_what_is_not_whole_is_set_aside_and_what_is_discarded_is_gone(world: World, tmp_path: Path) -> None:
    def record(name: str, *, more: int = 0, discard: bool = False) -> Any:
        world.open(tmp_path / name, name)
        world.start(name)
        steps = world.call(StopEpisode, 'stop_episode', outcome='failure').steps
        return world.call(CloseBag, 'close_bag', outcome='failure', steps=steps + more, discard=discard)

    assert 'is not whole: got' in record('torn', more=1).message
    assert record('gone', discard=True).accepted
    assert [folder.name for folder in tmp_path.iterdir()] == ['torn.torn-0']
    assert 'no bag is open' in world.call(CloseBag, 'close_bag').message
    for text, words in (('[]', 'expected an object'), ('{', 'is not JSON')):
        assert words in world.call(OpenBag, 'open_bag', path=str(tmp_path / 'x'), episode_id='x', metadata_json=text).message


def test_a_disk_that_is_full_is_told_at_once(world: World, tmp_path: Path) -> None:
    world.open(tmp_path / 'full', 'full')
    world.start('full')
    world.run(2)
    pid = world.pid('recorder_node')
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (512, hard))
    try:
        world.until(lambda: any(event.type == Event.RECORDING_FAILED for event in world.all(Event)), 'a word about the disk')
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))
    (told,) = (event for event in world.all(Event) if event.type == Event.RECORDING_FAILED)
    assert 'cannot be written' in told.detail
    assert told.episode_id == 'full'


def test_a_node_refuses_a_bad_configuration_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('ROS_DOMAIN_ID', ENVIRON['ROS_DOMAIN_ID'])
    arguments = ['--ros-args', '-p', f'task_file:={tmp_path}', '-p', 'pad_file:=x']
    process = subprocess.run(
        [*command('teleop_node'), *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env={**os.environ, **ENVIRON},
        check=False,
    )
    assert process.returncode == 2
    assert 'cannot be read' in process.stderr.strip().splitlines()[-1]
