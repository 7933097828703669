"""The pad node over DDS: a virtual pad in its process, a listener in another ROS context."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import rclpy
from mile_msgs.msg import Event, TeleopStatus
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Joy

from mile_learner.step import Mode
from mile_ros.qos import LATCHED, RECORD, SENSOR
from mile_teleop.pad_node import PadNode

from .virtual_pad import VirtualPad

pytestmark = pytest.mark.ros
CONFIG = Path(__file__).parents[3] / 'config'
PATIENCE_S = 30.0
DOMAIN = 91


class Bench:
    """The node under test, and what it says on its topics."""

    def __init__(self) -> None:
        rclpy.init(args=['--ros-args', '-p', f'pad_file:={CONFIG / "pad_ps3.yaml"}'], domain_id=DOMAIN)
        self._node = PadNode()
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._context = Context()
        self._context.init(domain_id=DOMAIN)
        self._listener = rclpy.create_node('listener', context=self._context, use_global_arguments=False)
        self._ear = SingleThreadedExecutor(context=self._context)
        self._ear.add_node(self._listener)
        self.joys: list[Joy] = []
        self.events: list[Event] = []
        self._listener.create_subscription(Joy, 'joy', self.joys.append, SENSOR)
        self._listener.create_subscription(Event, 'event', self.events.append, RECORD)
        self._status = self._listener.create_publisher(TeleopStatus, 'teleop_status', LATCHED)
        self.until(lambda: self._status.get_subscription_count() > 0)
        self.until(lambda: self._node.count_subscribers('joy') > 0 and self._node.count_subscribers('event') > 0)

    def spin(self) -> None:
        self._executor.spin_once(timeout_sec=0.1)
        while self._ear.spin_once(timeout_sec=0.002):
            pass

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, (self.joys[-3:], self.events)
            self.spin()

    def enter(self, mode: Mode) -> None:
        self._status.publish(TeleopStatus(mode=int(mode)))

    def close(self) -> None:
        self._node.destroy_node()
        self._listener.destroy_node()
        self._context.shutdown()
        rclpy.shutdown()


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('ROS_DOMAIN_ID', str(DOMAIN))
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    monkeypatch.setenv('ROS_PYTHON_CHECK_FIELDS', '1')


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


def test_changes_arrive_are_repeated_and_a_lost_pad_is_empty_arrays_until_it_is_back(bench: Bench) -> None:
    for _ in range(5):
        bench.spin()
    assert bench.joys == []

    pad = VirtualPad()
    bench.until(lambda: len(bench.joys) >= 3)
    assert all(len(joy.axes) == 6 and len(joy.buttons) == 17 for joy in bench.joys)

    pad.axis(1, -1.0)
    pad.button(5, 1)
    bench.until(lambda: bench.joys[-1].axes[1] == 1.0 and bench.joys[-1].buttons[5] == 1)
    known = len(bench.joys)
    bench.until(lambda: len(bench.joys) > known + 5)
    stamps = [joy.header.stamp.sec + joy.header.stamp.nanosec * 1e-9 for joy in bench.joys]
    assert stamps == sorted(set(stamps))

    pad.unplug()
    bench.until(lambda: len(bench.joys[-1].buttons) == 0)
    assert len(bench.joys[-1].axes) == 0
    assert all(joy.buttons[5] == 1 for joy in bench.joys[known:-1]), 'a lost pad let go of takeover'
    bench.until(lambda: bool(bench.events))
    assert bench.events[0].type == Event.WARNING
    assert 'gone' in bench.events[0].detail
    known = len(bench.joys)
    for _ in range(5):
        bench.spin()
    assert len(bench.joys) == known

    VirtualPad()
    bench.until(lambda: len(bench.joys) > known and len(bench.joys[-1].buttons) == 17)
    assert not any(bench.joys[-1].buttons)


def test_a_pad_that_does_not_fit_the_mapping_publishes_nothing(bench: Bench) -> None:
    VirtualPad(8, 11, name='Xbox')
    for _ in range(10):
        bench.spin()
    assert bench.joys == []


def test_the_operator_feels_takeover_hold_and_estop(bench: Bench) -> None:
    pad = VirtualPad()
    bench.until(lambda: bool(bench.joys))
    bench.enter(Mode.AUTONOMOUS)
    for _ in range(5):
        bench.spin()
    assert pad.rumbles == []
    felt = []
    for mode in (Mode.HUMAN, Mode.HOLD, Mode.ESTOP):
        known = len(pad.rumbles)
        bench.enter(mode)
        bench.until(lambda known=known: len(pad.rumbles) > known)  # type: ignore[misc]
        felt.append(pad.rumbles[known])
    assert len(set(felt)) == 3
    assert (0, 0) not in felt


@pytest.mark.parametrize(
    ('arguments', 'words'), [([], "'pad_file' is missing"), (['-p', f'pad_file:={CONFIG / "pad_nintendo.yaml"}'], 'cannot be read')]
)
def test_a_configuration_that_cannot_be_used_is_one_line(arguments: list[str], words: str) -> None:
    argv = [sys.executable, '-c', 'import sys; from mile_teleop.pad_node import main; sys.exit(main())', '--ros-args', *arguments]
    result = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert result.returncode == 2
    assert result.stdout == ''
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
