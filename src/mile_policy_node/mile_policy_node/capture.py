"""Open sources of images, through OpenCV: V4L2 devices, video files, folders."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

os.environ['OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT'] = '1'  # [s] a device that hangs must not block a read for the usual ten
os.environ['OPENCV_FFMPEG_LOGLEVEL'] = '-8'  # quiet: what is wrong with a file is said in one line of our own

import cv2

from mile_policy_node.camera import CameraConfig, Capture, Image
from mile_policy_node.errors import CameraError

IMAGE_SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.png')
V4L2_MANUAL_EXPOSURE = 1
V4L2_AUTO_EXPOSURE = 3
LARGEST_AGE_S = 1.0


def open_capture(config: CameraConfig) -> Capture:
    """Open what `config.source` names.

    Raises:
        CameraError: it is absent, not readable, or cannot do what is asked of it; one line.
    """
    path = Path(config.source)
    if config.source.startswith('/dev/'):
        return DeviceCapture(path, config)
    if path.is_dir():
        return FolderCapture(path, config.rate_hz)
    return VideoCapture(path, config.rate_hz)


class DeviceCapture:
    """A V4L2 device."""

    live = True

    def __init__(self, path: Path, config: CameraConfig) -> None:
        number = re.fullmatch(r'video(\d+)', path.resolve().name)
        if not path.exists() or number is None:
            present = ', '.join(sorted(map(str, Path('/dev').glob('video*')))) or 'none'
            msg = f'camera: {path} is no camera; connect it, or set `source` to one that is there ({present})'
            raise CameraError(msg)
        if not os.access(path, os.R_OK | os.W_OK):
            msg = f'camera: {path} may not be opened by this user; be in the group video'
            raise CameraError(msg)
        self._capture = cv2.VideoCapture(int(number[1]), cv2.CAP_V4L2)
        try:
            self._set_up(path, config)
        except CameraError:
            self._capture.release()
            raise

    def read(self) -> tuple[Image, float] | None:
        """The next image and its age [s]."""
        arrived, image = self._capture.read()
        if not arrived:
            return None
        # V4L2 stamps images with the monotonic clock when they are taken; a driver that uses another clock is not believed
        age_s = time.monotonic() - self._capture.get(cv2.CAP_PROP_POS_MSEC) * 1e-3
        return image, age_s if 0.0 <= age_s <= LARGEST_AGE_S else 0.0

    def release(self) -> None:
        """Close the device."""
        self._capture.release()

    def _set_up(self, path: Path, config: CameraConfig) -> None:
        capture = self._capture
        if not capture.isOpened():
            msg = f'camera: {path} cannot be opened; another program may be using it'
            raise CameraError(msg)
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*config.pixel_format))
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, config.width)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, config.height)
        capture.set(cv2.CAP_PROP_FPS, config.rate_hz)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest image, not the oldest of a queue
        size = (round(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), round(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)))
        if size != (config.width, config.height):
            msg = f'camera: {path} gives {size[0]} x {size[1]} pixels, expected {config.width} x {config.height}; set a size that it has'
            raise CameraError(msg)
        fixed = []
        capture.set(cv2.CAP_PROP_AUTO_EXPOSURE, V4L2_MANUAL_EXPOSURE if config.exposure else V4L2_AUTO_EXPOSURE)
        if config.exposure:
            fixed.append(('exposure', cv2.CAP_PROP_EXPOSURE, config.exposure))
        capture.set(cv2.CAP_PROP_AUTO_WB, 0 if config.white_balance_k else 1)
        if config.white_balance_k:
            fixed.append(('white_balance_k', cv2.CAP_PROP_WB_TEMPERATURE, config.white_balance_k))
        for name, key, value in fixed:
            if not capture.set(key, value):
                msg = f'camera: {path} refuses {name} {value}; set it to 0 (automatic) or to a value that it has'
                raise CameraError(msg)


class VideoCapture:
    """A video file, played round and round at `rate_hz`."""

    live = False

    def __init__(self, path: Path, rate_hz: float) -> None:
        if not path.is_file():
            msg = f'camera: {path} does not exist; set `source` to a device, a video file, or a folder of images'
            raise CameraError(msg)
        self._capture = cv2.VideoCapture(str(path))
        self._pace = _Pace(rate_hz)
        if not self._capture.isOpened():
            msg = f'camera: {path} is no video that OpenCV can read'
            raise CameraError(msg)

    def read(self) -> tuple[Image, float] | None:
        """The next image, the first one after the last."""
        self._pace.wait()
        arrived, image = self._capture.read()
        if not arrived:
            self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
            arrived, image = self._capture.read()
        return (image, 0.0) if arrived else None

    def release(self) -> None:
        """Close the file."""
        self._capture.release()


class FolderCapture:
    """The images of a folder by name, round and round at `rate_hz`."""

    live = False

    def __init__(self, path: Path, rate_hz: float) -> None:
        self._paths = sorted(file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)
        self._pace = _Pace(rate_hz)
        self._next = 0
        if not self._paths:
            msg = f'camera: no image in {path}; expected files that end in {", ".join(IMAGE_SUFFIXES)}'
            raise CameraError(msg)

    def read(self) -> tuple[Image, float] | None:
        """The next image, the first one after the last."""
        self._pace.wait()
        image = cv2.imread(str(self._paths[self._next]))
        self._next = (self._next + 1) % len(self._paths)
        return None if image is None else (image, 0.0)

    def release(self) -> None:
        """Nothing is open between two images."""


class _Pace:
    """Lets one image through per period; late ones do not pile up."""

    def __init__(self, rate_hz: float) -> None:
        self._period_s = 1.0 / rate_hz
        self._due = time.monotonic()

    def wait(self) -> None:
        """Until the next image is due."""
        time.sleep(max(0.0, self._due - time.monotonic()))
        self._due = max(self._due + self._period_s, time.monotonic())
