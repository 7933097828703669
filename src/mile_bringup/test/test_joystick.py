"""A deployment by a person with a pad, as a black box. The pad is a fake: its messages come from this process, not from a device."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from mile_msgs.msg import Step
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Joy
from std_msgs.msg import String

from mile_bringup.faults.stage import add_untrained
from mile_bringup.run_setup import open_run
from mile_learner.bags import read_episode
from mile_learner.run_folder import Run
from mile_learner.step import Source
from mile_ros.qos import LATCHED, RECORD, SENSOR
from mile_teleop.pad import Button, PadConfig, PadMapping

pytestmark = [pytest.mark.ros, pytest.mark.slow, pytest.mark.timeout(600)]
DOMAIN = 56
PATIENCE_S = 300.0
MAPPING = PadMapping(PadConfig.from_yaml(Path(__file__).resolve().parents[3] / 'config' / 'pad_ps3.yaml'))
UP = (0.0, 0.0, 0.4, 0.0)


def flying(path: Path) -> Run:
    """A run with a policy that was never trained."""
    run, _ = open_run(path, {'iterations': 1, 'episodes': 1, 'operator': 'joystick', 'speed': 3.0, 'seed': 1})
    add_untrained(run)
    return run


class FakePad:
    """Publishes what a thumb does, at 30 Hz, trembling as thumbs do; and reads how far the session is."""

    def __init__(self, deployment: subprocess.Popen[str]) -> None:
        self.status: dict[str, Any] = {}
        self._deployment = deployment
        self._tremble = np.random.default_rng(0)
        self._context = Context()
        self._context.init(domain_id=DOMAIN)
        self._node = rclpy.create_node('fake_pad', namespace='mile', context=self._context, use_global_arguments=False)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._joys = self._node.create_publisher(Joy, 'joy', SENSOR)
        self.sources: list[Source] = []
        self._node.create_subscription(String, 'session_status', self._on_status, LATCHED)
        self._node.create_subscription(Step, 'step', self._on_step, RECORD)

    def _on_status(self, message: String) -> None:
        self.status = json.loads(message.data)

    def _on_step(self, message: Step) -> None:
        self.sources.append(Source(message.source))

    def hold(self, *buttons: Button, motion: tuple[float, ...] = (0.0,) * 4, until: Any) -> None:
        """Hold these buttons until something is so."""
        deadline = time.monotonic() + PATIENCE_S
        while not until():
            assert self._deployment.poll() is None, 'the deployment ended'
            assert time.monotonic() < deadline, self.status
            moved = [value and value + self._tremble.uniform(-0.05, 0.05) for value in motion]
            axes, pressed = MAPPING.press(moved, held=buttons)
            message = Joy(axes=axes, buttons=pressed)
            message.header.stamp = self._node.get_clock().now().to_msg()
            self._joys.publish(message)
            self._executor.spin_once(timeout_sec=1 / 30)

    def count(self, source: Source) -> int:
        """Steps on which this source commanded the arm, so far."""
        return self.sources.count(source)

    def close(self) -> None:
        """Let ROS go."""
        self._executor.shutdown()
        self._node.destroy_node()
        self._context.try_shutdown()


@contextmanager
def deployment(run: Run, log: Path) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, 'ROS_DOMAIN_ID': str(DOMAIN), 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}
    command = [sys.executable, '-m', 'mile_bringup.cli', 'deploy', '--run', str(run.path), '--json']
    with log.open('w') as file, subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=file, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


def test_a_person_starts_takes_over_and_says_that_it_succeeded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    run = flying(tmp_path / 'run')
    with deployment(run, tmp_path / 'log') as process:
        pad = FakePad(process)
        pad.hold(until=lambda: pad.status.get('phase') == 'waiting for start')
        pad.hold(Button.START, until=lambda: pad.count(Source.POLICY) >= 5)
        pad.hold(Button.TAKEOVER, motion=UP, until=lambda: pad.count(Source.HUMAN) >= 15)
        driven = pad.count(Source.POLICY)
        pad.hold(until=lambda: pad.count(Source.POLICY) >= driven + 5)
        pad.hold(Button.SUCCESS, until=lambda: pad.status['phase'] != 'episode')
        pad.close()
        output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, (tmp_path / 'log').read_text()
    (bag,) = json.loads(output)['bags']
    record = read_episode(Path(bag))
    assert (record.outcome, record.metadata['operator'], record.metadata['mode']) == ('success', 'joystick', 'deploy')
    sources = [step.source for step in record.steps]
    first, last = sources.index(Source.HUMAN), len(sources) - 1 - sources[::-1].index(Source.HUMAN)
    assert Source.POLICY not in sources[first : last + 1], 'one takeover'
    assert Source.POLICY in sources[:first], 'the policy drove before'
    assert Source.POLICY in sources[last:], 'control was handed back'
    human = [step for step in record.steps if step.intervening]
    assert all(0.2 < step.human_action[2] < 0.6 for step in human)
    assert human[-1].sent_target[2] > human[0].sent_target[2], 'the arm went up'
