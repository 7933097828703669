"""The train action over real DDS: trains with feedback, cancels without a trace, reports bad goals, serves one goal at a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mile_learner.bundle import Bundle
from mile_learner.run_folder import Run
from mile_learner.step import Step

pytestmark = [pytest.mark.ros, pytest.mark.timeout(900)]
rclpy = pytest.importorskip('rclpy')
TIMEOUT_S = 600.0


@pytest.fixture(scope='module')
def node() -> Iterator[Any]:
    """A client node, while learner_node runs in a process of its own."""
    environment = {'ROS_DOMAIN_ID': '51', 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST', 'ROS_PYTHON_CHECK_FIELDS': '1'}
    os.environ.update(environment)
    source = Path(__file__).parents[2]
    environment['PYTHONPATH'] = os.pathsep.join([str(source / 'mile_learner'), str(source / 'mile_ros'), os.environ.get('PYTHONPATH', '')])
    code = 'import sys; from mile_learner.learner_node import main; sys.exit(main())'
    process = subprocess.Popen([sys.executable, '-c', code], env=os.environ | environment)
    rclpy.init()
    client = rclpy.create_node('train_client')
    client.learner = process.pid
    yield client
    client.destroy_node()
    rclpy.try_shutdown()
    process.terminate()
    process.wait(TIMEOUT_S)


@pytest.fixture(scope='module')
def train(node: Any) -> Any:
    """The action client."""
    from mile_msgs.action import Train
    from rclpy.action import ActionClient

    client = ActionClient(node, Train, 'train')
    assert client.wait_for_server(TIMEOUT_S)
    return client


@pytest.fixture
def run(tmp_path: Path, make_bundle: Callable[..., Bundle], make_step: Callable[..., Step], write_episode: Callable[..., Path]) -> Run:
    run = Run.create(tmp_path / 'run', {})
    make_bundle().save(run.version_path('v000'))
    run.promote('v000')
    write_episode(run.episode_path(0, 0), [make_step(i, intervening=5 <= i < 9) for i in range(30)])
    return run


def wait(node: Any, future: Any) -> Any:
    rclpy.spin_until_future_complete(node, future, timeout_sec=TIMEOUT_S)
    assert future.done()
    return future.result()


def send(node: Any, train: Any, run: Run, feedback: list[Any] | None = None, **options: Any) -> Any:
    from mile_msgs.action import Train

    goal = Train.Goal(run_dir=str(run.path), method='mile', config_json=json.dumps(options))
    callback = None if feedback is None else lambda message: feedback.append(message.feedback)
    return wait(node, train.send_goal_async(goal, feedback_callback=callback))


def test_training_reports_progress_and_makes_a_version(node: Any, train: Any, run: Run) -> None:
    feedback: list[Any] = []
    handle = send(node, train, run, feedback, epochs=200)
    result = wait(node, handle.get_result_async()).result
    assert result.success, result.message
    assert result.version == 'v001'
    assert json.loads(result.metrics_json)['steps'] == 30
    assert Bundle.load(run.version_path('v001')).manifest.parent == 'v000'
    assert run.state().trained == {0}, 'whoever asked for it goes on with the next iteration'
    training = [message for message in feedback if message.phase == 'training']
    assert training
    assert training[-1].epochs == 200
    assert 'loss' in json.loads(training[-1].losses_json)


def test_cancelling_stops_it_and_leaves_nothing(node: Any, train: Any, run: Run) -> None:
    from action_msgs.msg import GoalStatus

    before = sorted(run.path.rglob('*'))
    feedback: list[Any] = []
    handle = send(node, train, run, feedback, epochs=100_000)
    deadline = time.monotonic() + TIMEOUT_S
    while not any(message.phase == 'training' for message in feedback) and time.monotonic() < deadline:
        rclpy.spin_once(node, timeout_sec=0.1)
    second = send(node, train, run)
    assert not second.accepted  # one at a time
    threads = [int(thread.name) for thread in Path(f'/proc/{node.learner}/task').iterdir()]
    assert [os.sched_getscheduler(thread) for thread in threads].count(os.SCHED_IDLE) == 1  # the training
    assert os.sched_getscheduler(node.learner) == os.SCHED_OTHER  # what answers
    wait(node, handle.cancel_goal_async())
    response = wait(node, handle.get_result_async())
    assert response.status == GoalStatus.STATUS_CANCELED
    assert not response.result.success
    assert response.result.message == 'cancelled'
    assert sorted(run.path.rglob('*')) == before


def test_a_bad_goal_is_one_line(node: Any, train: Any, run: Run, tmp_path: Path) -> None:
    handle = send(node, train, run, epoch=3)
    result = wait(node, handle.get_result_async()).result
    assert not result.success
    assert "did you mean 'epochs'" in result.message
    nowhere = Run(tmp_path / 'nowhere', {})
    result = wait(node, send(node, train, nowhere).get_result_async()).result
    assert 'is not a run folder' in result.message
