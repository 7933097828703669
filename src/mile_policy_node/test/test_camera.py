"""The camera that is lost and found again, on a clock wound by hand; and the sources that can be had here."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mile_learner.config import ConfigError
from mile_policy_node.camera import Camera, CameraConfig, Frame, Image
from mile_policy_node.capture import FolderCapture, VideoCapture, open_capture
from mile_policy_node.errors import CameraError

ROOT = Path(__file__).parents[3]
CONFIG = CameraConfig(retry_s=0.5, retry_max_s=4.0, stale_s=0.5, start_s=2.0)
FRAME_S = 0.03


class FakeWebcam:
    """What stands for the device, its driver and time: each read takes 30 ms and gives a new image, unless told otherwise."""

    live = True

    def __init__(self) -> None:
        self.now = 0.0
        self.present = True
        self.dead = False
        self.frozen = False
        self.is_open = False
        self.opened_at: list[float] = []
        self._count = 0

    def open(self, _: CameraConfig) -> FakeWebcam:
        self.opened_at.append(self.now)
        if not self.present:
            msg = 'camera: absent'
            raise CameraError(msg)
        assert not self.is_open, 'opened twice'
        self.is_open = True
        return self

    def read(self) -> tuple[Image, float] | None:
        assert self.is_open
        self.now += FRAME_S
        self._count += not self.frozen
        return None if self.dead or not self.present else (np.full((4, 6, 3), self._count % 256, np.uint8), 0.01)

    def release(self) -> None:
        self.is_open = False

    def sleep(self, seconds: float) -> None:
        assert seconds > 0.0
        self.now += seconds


def camera(webcam: FakeWebcam) -> Camera:
    return Camera(CONFIG, webcam.open, monotonic=lambda: webcam.now, wall=lambda: 1e9 + webcam.now, sleep=webcam.sleep)


def run(watched: Camera, webcam: FakeWebcam, seconds: float) -> list[Frame]:
    end = webcam.now + seconds
    frames = []
    while webcam.now < end:
        frame = watched.step()
        if frame is not None:
            frames.append(frame)
    return frames


def test_every_image_is_new_and_stamped_when_it_was_taken() -> None:
    webcam = FakeWebcam()
    watched = camera(webcam)
    assert 'no image yet' in watched.fault
    frames = run(watched, webcam, 1.0)
    assert watched.fault == ''
    assert len(frames) >= 30
    assert [int(frame.image[0, 0, 0]) for frame in frames] == list(range(1, len(frames) + 1))
    assert frames[0].stamp == pytest.approx(1e9 + FRAME_S - 0.01, abs=1e-6)


@pytest.mark.parametrize('how', ['present', 'dead', 'frozen'])
def test_a_camera_that_goes_is_reported_and_found_again(how: str) -> None:
    webcam = FakeWebcam()
    watched = camera(webcam)
    run(watched, webcam, 1.0)
    setattr(webcam, how, not getattr(webcam, how))
    assert run(watched, webcam, 10.0) == []
    assert watched.fault.startswith('camera: ')
    assert '\n' not in watched.fault
    setattr(webcam, how, not getattr(webcam, how))
    assert len(run(watched, webcam, CONFIG.retry_max_s + 3.0)) > 30
    assert watched.fault == ''


def test_attempts_to_get_it_back_become_rarer_but_never_end() -> None:
    webcam = FakeWebcam()
    webcam.present = False
    watched = camera(webcam)
    run(watched, webcam, 60.0)
    waits = np.diff(webcam.opened_at)
    np.testing.assert_allclose(waits[:4], [0.5, 1.0, 2.0, 4.0], atol=1e-6)
    np.testing.assert_allclose(waits[3:], 4.0, atol=1e-6)
    webcam.present = True
    run(watched, webcam, 5.0)
    webcam.present = False
    webcam.opened_at.clear()
    run(watched, webcam, 3.0)
    assert webcam.opened_at[1] - webcam.opened_at[0] == pytest.approx(1.0)


def test_a_slow_start_is_no_loss() -> None:
    webcam = FakeWebcam()
    webcam.dead = True
    watched = camera(webcam)
    run(watched, webcam, CONFIG.start_s - 0.1)
    webcam.dead = False
    assert run(watched, webcam, 0.5)
    assert len(webcam.opened_at) == 1


@given(st.lists(st.tuples(st.sampled_from(['present', 'dead', 'frozen']), st.floats(0.01, 3.0)), max_size=12))
def test_whatever_happens_no_image_is_published_twice_and_health_means_images(what: list[tuple[str, float]]) -> None:
    webcam = FakeWebcam()
    watched = camera(webcam)
    frames: list[Frame] = []
    for name, seconds in what:
        setattr(webcam, name, not getattr(webcam, name))
        frames += run(watched, webcam, seconds)
        if watched.fault == '':
            age = webcam.now + 1e9 - frames[-1].stamp
            assert age <= CONFIG.stale_s + 2 * FRAME_S + 0.02
    assert all(not np.array_equal(a.image, b.image) for a, b in pairwise(frames))
    assert all(a.stamp < b.stamp for a, b in pairwise(frames))
    watched.close()
    assert not webcam.is_open


def video(path: Path, shades: list[int]) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), 10, (64, 48))
    for shade in shades:
        writer.write(np.full((48, 64, 3), shade, np.uint8))
    writer.release()
    return path


def test_a_video_plays_round_and_round(tmp_path: Path) -> None:
    capture = open_capture(CameraConfig(source=str(video(tmp_path / 'v.avi', [0, 100, 200])), rate_hz=240.0))
    assert isinstance(capture, VideoCapture)
    images = [capture.read() for _ in range(7)]
    shades = [round(float(image[0].mean()), -2) for image in images if image is not None]
    assert shades == [0, 100, 200, 0, 100, 200, 0]
    capture.release()


def test_a_folder_plays_by_name_and_a_single_image_does_not_go_stale(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / 'b.png'), np.full((4, 4, 3), 2, np.uint8))
    cv2.imwrite(str(tmp_path / 'a.png'), np.full((4, 4, 3), 1, np.uint8))
    (tmp_path / 'notes.txt').write_text('none')
    capture = FolderCapture(tmp_path, 240.0)
    assert [int(image[0].max()) for image in (capture.read() for _ in range(3)) if image is not None] == [1, 2, 1]
    (tmp_path / 'b.png').unlink()
    still = Camera(CameraConfig(source=str(tmp_path), rate_hz=240.0), open_capture)
    assert all(still.step() is not None for _ in range(5))


@pytest.mark.parametrize(
    ('source', 'words'),
    [
        ('/dev/video99', 'is no camera; connect it, or set `source`'),
        ('/dev/null', 'is no camera'),
        ('nothing.mp4', 'does not exist'),
        ('empty', 'no image in'),
        ('text.mp4', 'is no video'),
    ],
)
def test_a_source_that_is_none_is_named_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], source: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path('empty').mkdir()
    Path('text.mp4').write_text('none')
    with pytest.raises(CameraError, match=words) as caught:
        open_capture(CameraConfig(source=source))
    assert '\n' not in str(caught.value)
    assert capfd.readouterr() == ('', '')


def test_the_configuration_that_comes_with_the_project_is_the_default_and_typing_errors_are_refused() -> None:
    assert CameraConfig.from_yaml(ROOT / 'config' / 'camera.yaml') == CameraConfig()
    with pytest.raises(ConfigError, match='did you mean'):
        CameraConfig.from_mapping({'expsure': 3})
