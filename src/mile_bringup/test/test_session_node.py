"""The session node as a process over DDS: what it says when something it needs is not there, and that a complete run ends it well."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import rclpy
import yaml
from mile_msgs.action import Train
from mile_msgs.msg import Event, TeleopStatus
from mile_msgs.srv import LoadPolicy, ResetArm
from rclpy.action import ActionServer
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import MultiThreadedExecutor, SingleThreadedExecutor
from rclpy.task import Future
from std_srvs.srv import Trigger

from mile_bringup import session
from mile_bringup import session_node as module
from mile_bringup.graph import task_file
from mile_bringup.run_setup import open_run, write_task_file
from mile_bringup.session_node import SessionNode
from mile_learner.bundle import Bundle, Manifest
from mile_learner.policy import Architecture, GaussianPolicy
from mile_learner.run_folder import Run
from mile_learner.step import Mode
from mile_ros.qos import RECORD

pytestmark = pytest.mark.ros
ENVIRONMENT = {**os.environ, 'ROS_DOMAIN_ID': '81', 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST', 'ROS_PYTHON_CHECK_FIELDS': '1'}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with an initial policy."""
    run, _ = open_run(tmp_path / 'run', {'iterations': 1, 'episodes': 1})
    write_task_file(run)
    save_version(run, None)
    run.promote('v000')
    return run


def save_version(run: Run, iteration: int | None) -> None:
    architecture = Architecture(input_dim=28, action_dim=4, hidden=(4,))
    manifest = Manifest('', 'block_insertion', tuple('abcdefg'), 4, architecture, None, 1.0, 1.0, 'test', iteration=iteration)
    Bundle(GaussianPolicy(architecture), None, manifest).save(run.version_path(run.next_version()))


def parameter_file(run: Run, **parameters: object) -> Path:
    values = {'run_dir': str(run.path), 'task_file': str(task_file(run.path)), 'iterations': 1, 'episodes': 1, **parameters}
    file = run.path / 'parameters.yaml'
    file.write_text(yaml.safe_dump({'/**': {'ros__parameters': values}}))
    return file


def session_node(run: Run, **parameters: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, '-m', 'mile_bringup.session_node', '--ros-args', '--params-file', str(parameter_file(run, **parameters))]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=120)


def test_a_service_that_nobody_offers_is_named(run: Run) -> None:
    result = session_node(run, startup_timeout_s=0.5)
    assert result.returncode == 1
    assert 'load_policy: nobody offers this service' in result.stderr


def test_a_parameter_out_of_range_is_one_line(run: Run) -> None:
    result = session_node(run, iterations=0)
    assert result.returncode == 2
    assert result.stderr.strip().splitlines()[-1] == 'iterations: got 0, expected >= 1'


def test_a_complete_run_ends_with_exit_code_0_after_promoting_what_was_trained(run: Run) -> None:
    save_version(run, 0)
    result = session_node(run)
    assert result.returncode == 0, result.stderr
    assert run.current() == 'v001'
    assert [(record['iteration'], record['trained_version']) for record in run.metrics()] == [(0, 'v001')]


def test_an_episode_that_cannot_be_recorded_ends_the_session(run: Run) -> None:
    context = rclpy.Context()
    context.init(domain_id=int(ENVIRONMENT['ROS_DOMAIN_ID']))
    node = rclpy.create_node('recorder_node', context=context)
    events = node.create_publisher(Event, 'event', RECORD)
    over = threading.Event()

    def tell() -> None:
        while not over.wait(0.1):
            events.publish(Event(type=Event.RECORDING_FAILED, detail='the episode cannot be written (disk)'))

    teller = threading.Thread(target=tell)
    teller.start()
    result = session_node(run, startup_timeout_s=60.0)
    over.set()
    teller.join()
    node.destroy_node()
    context.try_shutdown()
    assert result.returncode == 1
    assert 'the episode cannot be written (disk); free the disk, then resume' in result.stderr


def test_an_answer_that_was_lost_is_asked_for_again(run: Run) -> None:
    context = rclpy.Context()
    context.init(domain_id=int(ENVIRONMENT['ROS_DOMAIN_ID']))
    node = rclpy.create_node('policy_node', context=context)
    executor = MultiThreadedExecutor(2, context=context)
    executor.add_node(node)
    asked: list[str] = []
    over = threading.Event()

    def answer(request: LoadPolicy.Request, response: LoadPolicy.Response) -> LoadPolicy.Response:
        asked.append(request.path)
        if len(asked) == 1:
            over.wait()
        response.accepted = True
        return response

    node.create_service(LoadPolicy, 'load_policy', answer, callback_group=ReentrantCallbackGroup())
    spinner = threading.Thread(target=executor.spin)
    spinner.start()
    result = session_node(run, startup_timeout_s=10.0)
    over.set()
    executor.shutdown()
    spinner.join()
    node.destroy_node()
    context.try_shutdown()
    assert ': not heard; see the logs of the nodes' in result.stderr, 'it went on with the answer to the second request'
    assert asked == [str(run.version_path('v000'))] * 2


def done(value: object) -> Future:
    future = Future()
    future.set_result(value)
    return future


def test_an_emergency_stop_between_episodes_waits_for_the_person_however_long(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=100.0)
    parameters = str(parameter_file(run, wait_for_start=True))
    rclpy.init(args=['--ros-args', '--params-file', parameters], domain_id=int(ENVIRONMENT['ROS_DOMAIN_ID']))
    node, advanced = SessionNode(), []
    monkeypatch.setattr(node, '_advance', advanced.append)
    monkeypatch.setattr(module, 'time', SimpleNamespace(monotonic=lambda: clock.now))
    calls: list[object] = []

    def refuse(request: ResetArm.Request) -> Future:
        calls.append(request)
        return done(ResetArm.Response(message='the e-stop is set'))

    refusing = SimpleNamespace(srv_name='reset_arm', service_is_ready=lambda: True, call_async=refuse)
    monkeypatch.setattr(node, '_calls', {ResetArm: (refusing, 'arm_node')})

    def pass_time(seconds: float) -> None:
        for _ in range(round(seconds)):
            clock.now += 1.0
            node._on_timer()

    node._perform(session.AwaitStart())
    node._on_teleop_status(TeleopStatus(mode=Mode.ESTOP))
    node._on_event(Event(type=Event.BUTTON_START))
    pass_time(10)
    node._on_teleop_status(TeleopStatus(mode=Mode.IDLE))
    pass_time(10)
    assert advanced == [], 'a START that was pressed during the stop does not count'
    node._on_event(Event(type=Event.BUTTON_START))
    pass_time(1)
    assert advanced == [True]
    node._on_teleop_status(TeleopStatus(mode=Mode.ESTOP))
    node._perform(session.ResetArm(1))
    pass_time(600)
    asked = len(calls)
    node._on_teleop_status(TeleopStatus(mode=Mode.IDLE))
    pass_time(600)
    assert len(calls) == asked, 'a reset alone moves nothing'
    assert (node._status['phase'], node._status['detail']) == ('stopped', module.PRESS_START)
    node._on_event(Event(type=Event.BUTTON_START))
    pass_time(32)
    assert (node._status['phase'], node._status['message']) == ('failed', 'reset_arm refuses: the e-stop is set')
    node.destroy_node()
    rclpy.try_shutdown()


def test_whoever_asks_for_training_is_told_what_will_come_of_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    rclpy.init(args=['--ros-args', '--params-file', str(parameter_file(run, episodes=3))], domain_id=int(ENVIRONMENT['ROS_DOMAIN_ID']))
    node, advanced = SessionNode(), []
    monkeypatch.setattr(node, '_advance', advanced.append)
    ask = partial(node._on_retrain, Trigger.Request())
    node._on_teleop_status(TeleopStatus(mode=Mode.AUTONOMOUS))
    node._config = replace(node._config, wait_for_start=True)
    node._perform(session.AwaitStart())
    first = ask(Trigger.Response())
    node._on_timer()
    assert first.success
    assert advanced == [], 'there is no episode yet to train on'
    episode = run.episode_path(0, 0)
    episode.mkdir(parents=True)
    (episode / 'metadata.yaml').touch()
    node._perform(session.AwaitStart())
    node._on_timer()
    save_version(run, 0)
    last = ask(Trigger.Response())
    node.destroy_node()
    rclpy.shutdown()
    assert advanced == [False], 'no start: training comes first'
    assert (last.success, last.message) == (False, 'no iteration goes on')


def test_a_learner_that_hangs_ends_the_session(run: Run) -> None:
    episode = run.episode_path(0, 0)
    episode.mkdir(parents=True)
    (episode / 'metadata.yaml').touch()
    context = rclpy.Context()
    context.init(domain_id=int(ENVIRONMENT['ROS_DOMAIN_ID']))
    node = rclpy.create_node('learner_node', context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    server = ActionServer(node, Train, 'train', execute_callback=lambda _: Train.Result(), handle_accepted_callback=lambda _: None)
    spinner = threading.Thread(target=executor.spin)
    spinner.start()
    result = session_node(run, training_silence_s=1.0, startup_timeout_s=60.0)
    executor.shutdown()
    spinner.join()
    server.destroy()
    node.destroy_node()
    context.try_shutdown()
    assert result.returncode == 1
    assert 'train: the learner said nothing for 1 s; see the log of learner_node' in result.stderr
