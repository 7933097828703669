"""The camera node as a process of its own, heard over DDS."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
import rclpy
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage

from mile_ros.qos import RECORD
from mile_ros.stamps import to_seconds

pytestmark = pytest.mark.ros
DOMAIN = 91
PATIENCE_S = 30.0
SHADES = [0, 100, 200]
RUN = 'import sys; from mile_policy_node.camera_node import main; sys.exit(main())'


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('ROS_DOMAIN_ID', str(DOMAIN))
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    monkeypatch.setenv('ROS_PYTHON_CHECK_FIELDS', '1')


@contextmanager
def camera_node(**parameters: object) -> Iterator[subprocess.Popen[str]]:
    arguments = [word for name, value in parameters.items() for word in ('-p', f'{name}:={value}')]
    process = subprocess.Popen([sys.executable, '-c', RUN, '--ros-args', *arguments], stderr=subprocess.PIPE, text=True, env=os.environ)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def images() -> Iterator[Callable[[Callable[[list[CompressedImage]], bool]], list[CompressedImage]]]:
    """Waits until what was heard is enough."""
    rclpy.init()
    listener = Node('listener')
    heard: list[CompressedImage] = []
    listener.create_subscription(CompressedImage, 'camera/image/compressed', heard.append, RECORD)

    def until(enough: Callable[[list[CompressedImage]], bool]) -> list[CompressedImage]:
        deadline = time.monotonic() + PATIENCE_S
        while not enough(heard):
            assert time.monotonic() < deadline, f'{len(heard)} images'
            rclpy.spin_once(listener, timeout_sec=0.1)
        return heard

    yield until
    listener.destroy_node()
    rclpy.shutdown()


def shade(message: CompressedImage) -> int:
    image = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert image.shape == (48, 64, 3)
    return 100 * round(float(image.mean()) / 100)


def folder(path: Path) -> Path:
    path.mkdir()
    for index, value in enumerate(SHADES):
        cv2.imwrite(str(path / f'{index}.png'), np.full((48, 64, 3), value, np.uint8))
    return path


def video(path: Path) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), 10, (64, 48))
    for value in SHADES:
        writer.write(np.full((48, 64, 3), value, np.uint8))
    writer.release()
    return path


@pytest.mark.parametrize('make', [video, folder])
def test_images_arrive_in_order_with_growing_stamps(
    images: Callable[[Callable[[list[CompressedImage]], bool]], list[CompressedImage]], tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    before = time.time()
    with camera_node(source=make(tmp_path / 'source.avi'), rate_hz=20.0) as process:
        heard = images(lambda heard: len(heard) >= 7)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 0
    shades = [shade(message) for message in heard]
    start = SHADES.index(shades[0])
    assert shades == [SHADES[(start + step) % 3] for step in range(len(shades))]
    stamps = [to_seconds(message.header.stamp) for message in heard]
    assert stamps == sorted(set(stamps))
    assert before <= stamps[0] <= time.time()
    assert heard[0].format == 'jpeg'


def test_an_absent_camera_is_one_line_and_the_images_come_when_it_does(
    images: Callable[[Callable[[list[CompressedImage]], bool]], list[CompressedImage]], tmp_path: Path
) -> None:
    source = tmp_path / 'later'
    with camera_node(source=source, retry_s=0.1, retry_max_s=0.2) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert f'camera: {source} does not exist' in line
        folder(tmp_path / 'made').rename(source)
        assert 'images from' in process.stderr.readline()
        assert images(lambda heard: len(heard) > 0)


def test_a_configuration_that_cannot_be_used_is_one_line() -> None:
    with camera_node(rate_hz=1000.0) as process:
        _, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 2
        assert errors.splitlines() == ['rate_hz: got 1000.0, expected >= 1.0 and <= 240.0']
