"""`mile estop` against a node that offers the arbiter's services, over DDS."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from std_srvs.srv import Trigger

pytestmark = pytest.mark.ros
DOMAIN = '58'


def estop(action: str, domain: str = DOMAIN, namespace: str = 'mile') -> tuple[int, str]:
    """Exit code, and what was said."""
    command = [sys.executable, '-m', 'mile_bringup.cli', 'estop', action, '--namespace', namespace]
    result = subprocess.run(command, env={**os.environ, 'ROS_DOMAIN_ID': domain}, capture_output=True, text=True, check=False, timeout=100)
    return result.returncode, (result.stdout + result.stderr).strip().splitlines()[-1]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What an arbiter that refuses to be reset was asked for."""
    asked: list[str] = []
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    context = rclpy.Context()
    context.init(domain_id=int(DOMAIN))
    node = rclpy.create_node('teleop_node', namespace='mile', context=context)
    for name, success in (('estop', True), ('reset_estop', False)):

        def answer(_: Trigger.Request, response: Trigger.Response, name: str = name, success: bool = success) -> Trigger.Response:
            asked.append(name)
            response.success, response.message = success, '' if success else 'the e-stop is not set'
            return response

        node.create_service(Trigger, name, answer)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    spinner = threading.Thread(target=executor.spin)
    spinner.start()
    yield asked
    executor.shutdown()
    spinner.join()
    node.destroy_node()
    context.try_shutdown()


def test_it_asks_the_arbiter_of_the_domain_and_says_what_it_answers(asked: list[str]) -> None:
    assert estop('set') == (0, 'set: done')
    assert estop('reset') == (1, 'mile estop: the e-stop is not set')
    assert asked == ['estop', 'reset_estop']


def test_without_a_deployment_or_a_domain_it_says_so() -> None:
    code, line = estop('set', namespace='elsewhere')
    assert (code, line) == (1, f'mile estop: /elsewhere/estop: nobody answers in ROS domain {DOMAIN}; does a deployment run there?')
    code, line = estop('set', domain='')
    assert code == 2
    assert 'ROS_DOMAIN_ID: is not set, expected the number that `mile deploy` printed' in line
    code, line = estop('set', domain='233')
    assert (code, line) == (2, "mile estop: ROS_DOMAIN_ID: got '233', expected 0 to 232; unset it, and `mile deploy` takes a free one")
