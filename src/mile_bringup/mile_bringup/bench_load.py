"""How much a machine carries: control at 50 Hz, two cameras, the recorder and a training at once.

The graph of a deployment as real processes, and for cameras two fakes that send a picture of 640 x 480 again and again at 30 Hz, both on
the one topic of images. Episodes of one minute follow each other; in the first of them nothing is trained, to compare. The numbers come
from the bags.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mile_msgs.action import Train
from rclpy.action import ActionClient
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.task import Future
from sensor_msgs.msg import CompressedImage
from tqdm import tqdm

from mile_bringup.cli_common import Report, finite, table
from mile_bringup.faults.live import Live, live
from mile_bringup.faults.stage import make_run
from mile_bringup.supervisor import Command
from mile_learner.bags import STEP_TYPE, read_messages, seconds
from mile_learner.run_folder import Run
from mile_ros.main import run_node
from mile_ros.qos import IMAGE
from mile_ros.stamps import to_stamp

RATE_HZ, IMAGE_RATE_HZ, SIZE = 50.0, 30.0, (640, 480)
CAMERAS = ('left', 'right')
IMAGE_TYPE = 'sensor_msgs/msg/CompressedImage'
EPISODE_S = 60.0
LATENESS_GOAL = 0.2
"""p99 of the ticks' lateness, in periods."""
GROWTH_GOAL_MB = 10.0
"""Of all processes that grow, over the last two thirds of the time."""
SETTLED = 1.0 / 3.0


def measure(length_s: float) -> Report:
    """Load the machine for so long [s]; fails if a goal was missed.

    Raises:
        BringupError: the graph did not run.
    """
    folder = Path(tempfile.mkdtemp(prefix='mile_load_'))
    picture = folder / 'picture.jpeg'
    picture.write_bytes(_picture())
    run, deployment = make_run(folder / 'run', {'iterations': 1, 'episodes': 1000, 'rate': RATE_HZ, 'time_limit': 3600.0})
    code = 'import sys; from mile_bringup.bench_load import camera; camera(*sys.argv[1:])'
    cameras = [Command(name, (sys.executable, '-c', code, name, str(picture), deployment.namespace)) for name in CAMERAS]
    parameters = {'sim_node': {'image_rate_hz': 0.0}}
    with live(run, deployment, links=(), absent=('operator_node',), parameters=parameters, beside=cameras) as stage:
        stage.begin(takeover=True)
        stage.witness.wait(2.0)
        calm = [stage.end()]
        stage.begin(takeover=False)
        stage.witness.wait(min(EPISODE_S, length_s / 2))
        calm.append(stage.end())
        trainer = Trainer(stage, run, folder / 'training')
        memory, loaded = _endure(stage, trainer, length_s)
        trained, published = trainer.trained, dict(stage.witness.steps)
    data = {
        'seconds': length_s,
        'cores': os.cpu_count(),
        'load': os.getloadavg()[0],
        'before_training': ticks(calm[1:], 1 / RATE_HZ),
        'with_training': ticks(loaded, 1 / RATE_HZ),
        'steps_dropped': sum(abs(published[_episode_of(path)] - len(_steps(path))) for path in loaded),
        'images': images(loaded),
        'trainings': trained,
        'memory_mb': {name: summary(series) for name, series in memory.items()},
    }
    shutil.rmtree(folder)
    return report(data)


def report(data: dict[str, Any]) -> Report:
    """For a person, with the goals that were missed; exit code 1 if there are any."""
    late, growth = data['with_training']['late_ms_p99'], sum(max(one['growth'], 0.0) for one in data['memory_mb'].values())
    limit = LATENESS_GOAL * 1e3 / RATE_HZ
    goals = (
        (data['steps_dropped'], f'{data["steps_dropped"]} steps dropped'),
        (data['images']['dropped'], f'{data["images"]["dropped"]} of {data["images"]["n"]} images dropped'),
        (data['with_training']['missed'], f'{data["with_training"]["missed"]} ticks missed'),
        (late > limit, f'p99 of the lateness is {late:.1f} ms, goal {limit:.1f} ms'),
        (growth > GROWTH_GOAL_MB, f'memory grew by {growth:.1f} MB, goal {GROWTH_GOAL_MB:.0f} MB'),
    )
    missed = [text for wrong, text in goals if wrong]
    numbers = ('n', 'missed', 'late_ms_p50', 'late_ms_p99', 'late_ms_max', 'record_ms_p99')
    rows = [[name, *(data[name.replace(' ', '_')][number] for number in numbers)] for name in ('before training', 'with training')]
    memory = [[name, one['first'], one['last'], one['growth']] for name, one in data['memory_mb'].items()]
    text = [
        table(('ticks', 'n', 'missed', 'late [ms] p50', 'p99', 'max', 'recorded after [ms] p99'), rows),
        table(('memory [MB]', 'first', 'last', 'growth, settled'), memory),
        f'images: {json.dumps(data["images"])}; trainings completed: {data["trainings"]}',
        f'goals missed: {"; ".join(missed) or "none"}',
    ]
    return Report(finite(data | {'missed': missed}), '\n\n'.join(text), code=int(bool(missed)))


class Trainer:
    """Keeps learner_node training, again and again, on a copy of what the run has recorded so far.

    Args:
        stage: the graph.
        run: with an episode in which the human acted.
        copy: where the copy goes.
    """

    def __init__(self, stage: Live, run: Run, copy: Path) -> None:
        shutil.copytree(run.path, copy, ignore=shutil.ignore_patterns('log', '*.incomplete', 'config'))
        self.trained = 0
        self._goal = Train.Goal(run_dir=str(copy), method='mile')
        self._client = ActionClient(stage.witness.node, Train, 'train')
        stage.witness.until(self._client.server_is_ready, 'learner_node', 60.0)
        self._begin()

    def _begin(self) -> None:
        self._client.send_goal_async(self._goal).add_done_callback(
            lambda sent: sent.result().get_result_async().add_done_callback(self._done)
        )

    def _done(self, future: Future) -> None:
        if future.result().result.success:
            self.trained += 1
            self._begin()


def _endure(stage: Live, trainer: Trainer, length_s: float) -> tuple[dict[str, list[float]], list[Path]]:
    """One episode after another while the learner trains; each process's memory [MB] every second, and the bags."""
    memory: dict[str, list[float]] = {name: [] for name in stage.pids}
    bags, end = [], time.monotonic() + length_s
    with tqdm(total=round(length_s), unit='s', desc='load') as bar:
        while (left := end - time.monotonic()) > 0:
            stage.begin(takeover=False)
            for _ in range(max(round(min(EPISODE_S, left)), 1)):
                stage.witness.wait(1.0)
                for name, pid in stage.pids.items():
                    pages = int(Path(f'/proc/{pid}/statm').read_text().split()[1])
                    memory[name].append(pages * os.sysconf('SC_PAGESIZE') / 1e6)
                bar.set_postfix(trained=trainer.trained, refresh=False)
                bar.update()
            bags.append(stage.end())
    return memory, bags


def ticks(bags: Sequence[Path], period_s: float) -> dict[str, float]:
    """How late they came [ms], how long after a tick its step was with the recorder [ms], and how many never came."""
    stamps = [np.array([seconds(step.header.stamp) for _, step in _steps(bag)]) for bag in bags]
    missed = sum(int(np.sum(np.maximum(np.round(np.diff(one) / period_s) - 1, 0))) for one in stamps)
    late = [step.tick_late_ms for bag in bags for _, step in _steps(bag)]
    lag = [(received - seconds(step.header.stamp)) * 1e3 for bag in bags for received, step in _steps(bag)]
    p50, p99, most = np.percentile(late, (50, 99, 100)).tolist()
    return {
        'n': len(late),
        'missed': missed,
        'late_ms_p50': p50,
        'late_ms_p99': p99,
        'late_ms_max': most,
        'record_ms_p99': float(np.percentile(lag, 99)),
    }


def images(bags: Sequence[Path]) -> dict[str, Any]:
    """How many of the images that were sent while a bag was open are in it, and how long after they were sent [ms]."""
    dropped, lags = 0, []
    for bag in bags:
        numbers: dict[str, list[int]] = {name: [] for name in CAMERAS}
        for _, received, image in read_messages(bag, (IMAGE_TYPE,)):
            name, _, number = image.header.frame_id.partition(' ')
            numbers[name].append(int(number))
            lags.append((received - seconds(image.header.stamp)) * 1e3)
        dropped += sum(max(one) - min(one) + 1 - len(one) for one in numbers.values() if one)
    p50, p99 = np.percentile(lags, (50, 99)).tolist() if lags else (np.nan, np.nan)
    return {'n': len(lags), 'dropped': dropped, 'lag_ms_p50': round(p50, 2), 'lag_ms_p99': round(p99, 2)}


def summary(series: Sequence[float]) -> dict[str, float]:
    """Of the memory of one process [MB]: at first, at last, and what it grew by once it had settled, by a straight line."""
    settled = np.array(series[round(len(series) * SETTLED) :])
    growth = float(np.polyfit(np.arange(len(settled)), settled, 1)[0] * len(settled)) if len(settled) > 1 else 0.0
    return {'first': series[0], 'last': series[-1], 'growth': growth}


def _steps(bag: Path) -> list[tuple[float, Any]]:
    return [(received, step) for _, received, step in read_messages(bag, (STEP_TYPE,))]


def _episode_of(bag: Path) -> str:
    return str(_steps(bag)[0][1].episode_id)


def _picture() -> bytes:
    """Coarse noise: as many bytes as a busy scene."""
    from mile_sim.eyes import JPEG_QUALITY, compress

    width, height = SIZE
    noise = np.random.default_rng(0).integers(0, 255, (height // 8, width // 8, 3), np.uint8)
    return compress(noise.repeat(8, axis=0).repeat(8, axis=1), JPEG_QUALITY)


class FakeCamera(Node):
    """Sends the same picture again and again, numbered."""

    def __init__(self, name: str, picture: bytes, namespace: str) -> None:
        super().__init__(f'camera_{name}', namespace=namespace)
        self._name, self._data, self._number = name, array('B', picture), 0
        self._images = self.create_publisher(CompressedImage, 'camera/image/compressed', IMAGE)
        self.create_timer(1.0 / IMAGE_RATE_HZ, self._send, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _send(self) -> None:
        message = CompressedImage(format='jpeg', data=self._data)
        message.header.frame_id = f'{self._name} {self._number}'
        message.header.stamp = to_stamp(time.time())
        self._number += 1
        self._images.publish(message)


def camera(name: str, picture: str, namespace: str) -> None:
    """Run one fake camera."""
    run_node(lambda: FakeCamera(name, Path(picture).read_bytes(), namespace))
