"""A camera that is lost and found again: a device, a video file, or a folder of images; no ROS.

What is published must be new. A read that fails and an image that equals the one before, bit by bit, are both no image: sensors are
noisy, so an unchanging picture comes from a driver that hangs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mile_learner.config import Config, option
from mile_policy_node.errors import CameraError

Image = NDArray[np.uint8]
RETRY_S = 0.01
"""Between reads that fail."""
NAP_S = 0.1
"""The longest sleep, so that an interruption is heard."""


@dataclass(frozen=True)
class CameraConfig(Config):
    """Read from config/camera.yaml."""

    source: str = option(
        '/dev/video0', doc='device (/dev/video0, /dev/v4l/by-id/...), video file, or folder of images (both played for ever)'
    )
    width: int = option(640, doc='of the images of a device [pixel]', ge=16, le=7680)
    height: int = option(480, doc='of the images of a device [pixel]', ge=16, le=4320)
    rate_hz: float = option(30.0, doc='images per second [Hz]', ge=1.0, le=240.0)
    pixel_format: str = option('MJPG', doc='how a device sends them; MJPG fits a USB 2 port at full rate', choices=('MJPG', 'YUYV'))
    exposure: int = option(0, doc='0: automatic; else fixed, in units of the device (V4L2: 100 us)', ge=0, le=100_000)
    white_balance_k: int = option(0, doc='0: automatic; else fixed [K]', ge=0, le=10_000)
    jpeg_quality: int = option(90, doc='of the published images [percent]', ge=10, le=100)
    stale_s: float = option(0.5, doc='without a new image for longer the camera is lost [s]', gt=0.0, le=10.0)
    start_s: float = option(3.0, doc='how long the first image may take after opening [s]', gt=0.0, le=30.0)
    retry_s: float = option(0.5, doc='wait before the first attempt to get it back; doubled after each one [s]', gt=0.0, le=60.0)
    retry_max_s: float = option(8.0, doc='the longest such wait [s]', gt=0.0, le=600.0)


@dataclass(frozen=True)
class Frame:
    """One new image.

    Attributes:
        stamp: when it was taken, as well as the source tells [s since the epoch].
        image: shape (height, width, 3), BGR.
    """

    stamp: float
    image: Image


class Capture(Protocol):
    """An open source of images."""

    live: bool
    """Whether it looks at the world, so that two images are never the same."""

    def read(self) -> tuple[Image, float] | None:
        """Wait for the next image, shape (height, width, 3), BGR, and its age [s]; None if there was none."""

    def release(self) -> None:
        """Close it."""


class Camera:
    """Opens a source, reads it, notices that it went, and opens it again.

    Args:
        config: which source and how.
        open_capture: opens it; raises CameraError where it cannot.
        monotonic, wall: seconds, for durations and for stamps.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        config: CameraConfig,
        open_capture: Callable[[CameraConfig], Capture],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._config = config
        self._open_capture = open_capture
        self._monotonic = monotonic
        self._wall = wall
        self._sleep = sleep
        self._capture: Capture | None = None
        self._last: Image | None = None
        self._lost_at = 0.0
        self._retry_at = monotonic()
        self._retry_s = config.retry_s
        self.fault = f'camera: no image yet from {config.source}'
        """Why there are no images; empty if there are."""

    def step(self) -> Frame | None:
        """One read, one attempt to open, or a nap: at most one new image."""
        wait_s = self._retry_at - self._monotonic()
        if self._capture is None and wait_s > 0.0:
            self._sleep(min(wait_s, NAP_S))
            return None
        if self._capture is None:
            try:
                self._capture = self._open_capture(self._config)
            except CameraError as error:
                self._lose(str(error))
                return None
            self._lost_at = self._monotonic() + self._config.start_s
        got = self._capture.read()
        if got is None:
            self._sleep(RETRY_S)
        elif not (self._capture.live and self._last is not None and np.array_equal(got[0], self._last)):
            self._last, age_s = got
            self._lost_at = self._monotonic() + self._config.stale_s
            self._retry_s = self._config.retry_s
            self.fault = ''
            return Frame(self._wall() - age_s, self._last)
        if self._monotonic() > self._lost_at:
            self._lose(f'camera: no new image from {self._config.source} in time; opening it again')
        return None

    def close(self) -> None:
        """Release the source."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def _lose(self, fault: str) -> None:
        self.close()
        self.fault = fault
        self._retry_at = self._monotonic() + self._retry_s
        self._retry_s = min(2.0 * self._retry_s, self._config.retry_max_s)
