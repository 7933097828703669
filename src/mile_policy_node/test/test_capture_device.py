"""The V4L2 device, on a fake of OpenCV's VideoCapture that keeps to what OpenCV's V4L2 backend does."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from mile_policy_node.camera import CameraConfig, Image
from mile_policy_node.capture import DeviceCapture
from mile_policy_node.errors import CameraError


class FakeV4L2:
    """Has 640 x 480 and nothing else, and fixed exposures up to 500; the format counts only if set before the size."""

    last: FakeV4L2
    taken_at_s: float | None = None

    def __init__(self, index: int, backend: int) -> None:
        assert backend == cv2.CAP_V4L2
        FakeV4L2.last = self
        self.index = index
        self.order: list[int] = []
        self.values: dict[int, float] = {cv2.CAP_PROP_FRAME_WIDTH: 640, cv2.CAP_PROP_FRAME_HEIGHT: 480}
        self.released = False

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def set(self, key: int, value: float) -> bool:
        self.order.append(key)
        if key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT) or (key == cv2.CAP_PROP_EXPOSURE and value > 500):
            return False
        self.values[key] = value
        return True

    def get(self, key: int) -> float:
        if key == cv2.CAP_PROP_POS_MSEC:
            return 0.0 if self.taken_at_s is None else 1e3 * self.taken_at_s
        return self.values.get(key, 0.0)

    def read(self) -> tuple[bool, Image]:
        return True, np.zeros((480, 640, 3), np.uint8)

    def release(self) -> None:
        self.released = True


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cv2, 'VideoCapture', FakeV4L2)
    node = tmp_path / 'video7'
    node.touch()
    stable = tmp_path / 'usb-Webcam-index0'
    stable.symlink_to(node)
    return stable


def test_the_stable_name_leads_to_the_device_and_the_format_is_set_before_the_size(path: Path) -> None:
    DeviceCapture(path, CameraConfig())
    device = FakeV4L2.last
    assert device.index == 7
    assert device.order.index(cv2.CAP_PROP_FOURCC) < device.order.index(cv2.CAP_PROP_FRAME_WIDTH)
    assert device.values[cv2.CAP_PROP_FOURCC] == cv2.VideoWriter.fourcc(*'MJPG')
    assert device.values[cv2.CAP_PROP_AUTO_EXPOSURE] == 3
    assert device.values[cv2.CAP_PROP_AUTO_WB] == 1
    assert cv2.CAP_PROP_EXPOSURE not in device.values


def test_a_fixed_exposure_and_white_balance_are_set_after_the_automatic_ones_are_off(path: Path) -> None:
    DeviceCapture(path, CameraConfig(exposure=200, white_balance_k=4500))
    device = FakeV4L2.last
    assert device.values[cv2.CAP_PROP_AUTO_EXPOSURE] == 1
    assert device.values[cv2.CAP_PROP_AUTO_WB] == 0
    assert device.values[cv2.CAP_PROP_EXPOSURE] == 200
    assert device.values[cv2.CAP_PROP_WB_TEMPERATURE] == 4500
    assert device.order.index(cv2.CAP_PROP_AUTO_EXPOSURE) < device.order.index(cv2.CAP_PROP_EXPOSURE)


@pytest.mark.parametrize(
    ('config', 'words'),
    [
        (CameraConfig(width=1280, height=720), 'gives 640 x 480 pixels, expected 1280 x 720'),
        (CameraConfig(exposure=501), 'refuses exposure 501'),
    ],
)
def test_what_the_device_does_not_have_is_one_line_and_it_is_let_go(path: Path, config: CameraConfig, words: str) -> None:
    with pytest.raises(CameraError, match=words):
        DeviceCapture(path, config)
    assert FakeV4L2.last.released


def test_an_image_is_as_old_as_the_driver_says_unless_that_cannot_be(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    capture = DeviceCapture(path, CameraConfig())
    monkeypatch.setattr(time, 'monotonic', lambda: 1000.0)
    for taken_at_s, age_s in ((999.8, 0.2), (None, 0.0), (1.7e9, 0.0), (990.0, 0.0)):
        monkeypatch.setattr(FakeV4L2, 'taken_at_s', taken_at_s)
        read = capture.read()
        assert read is not None
        assert read[1] == pytest.approx(age_s)
