"""Salvage: wherever a real bag is cut, the whole prefix comes back by both readers, marked, without a gap, and the torn bag stays."""

from __future__ import annotations

import random
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcap.reader import make_reader
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import StoragePlugin, Writer

from mile_learner.bag_guard import records
from mile_learner.bags import read_episode
from mile_learner.check import check_bag
from mile_teleop.bag_metadata import Topic
from mile_teleop.bag_writer import BagWriter
from mile_teleop.errors import BagError
from mile_teleop.message_types import encode, load_types
from mile_teleop.salvage import read_prefix, salvage

MESSAGES = Path(__file__).parents[2] / 'mile_msgs' / 'msg'
TYPES = load_types(MESSAGES)
STEP = Topic('/mile/step', 'mile_msgs/msg/Step', essential=True, depth=1000)
EVENT = Topic('/mile/event', 'mile_msgs/msg/Event', essential=True, depth=1000)
IMAGE = Topic('/mile/camera/image/compressed', 'sensor_msgs/msg/CompressedImage', reliable=False, depth=1)
CUSTOM = {'task': 'toy', 'episode_id': 'e0', 'observation_layout': '["x", "y"]', 'policy_version': 'v000'}
STEPS = 12
NAN4 = np.full(4, np.nan, np.float32)


def header(tick: int) -> Any:
    stamp = TYPES.types['builtin_interfaces/msg/Time'](sec=1000 + tick, nanosec=0)
    return TYPES.types['std_msgs/msg/Header'](stamp=stamp, frame_id='')


def step(tick: int) -> bytes:
    action = np.full(4, 0.1 * (tick % 5), np.float32)
    fields: dict[str, Any] = dict.fromkeys(('source', 'mode'), 1) | {
        'header': header(tick),
        'episode_id': 'e0',
        'index': tick,
        'observation': np.array([tick, 1.0], np.float32),
        'observation_stamp': header(tick).stamp,
        'image_stamp': header(0).stamp,
        'robot_action': action,
        'robot_action_valid': True,
        'human_action': NAN4,
        'intervening': False,
        'executed_action': action,
        'sent_target': np.zeros(4, np.float32),
        'gate': 0,
        'intervention_probability': 0.5,
        'policy_version': 'v000',
        'inference_ms': 1.0,
        'tick_late_ms': 0.0,
    }
    return encode(TYPES, STEP.type, TYPES.types[STEP.type](**fields))


def event(tick: int) -> bytes:
    return encode(TYPES, EVENT.type, TYPES.types[EVENT.type](header=header(tick), type='x', episode_id='e0', index=tick, detail='y' * tick))


def image(tick: int) -> bytes:
    data = np.random.default_rng(tick).integers(0, 256, 900, dtype=np.uint8)
    return encode(TYPES, IMAGE.type, TYPES.types[IMAGE.type](header=header(tick), format='jpeg', data=data))


def messages() -> Iterator[tuple[str, int, bytes]]:
    for tick in range(STEPS):
        yield STEP.name, 10**18 + 3 * tick, step(tick)
        yield IMAGE.name, 10**18 + 3 * tick + 1, image(tick)
        yield EVENT.name, 10**18 + 3 * tick + 2, event(tick)


WRITTEN = list(messages())


@pytest.fixture(scope='module')
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a real bag's file."""
    path = tmp_path_factory.mktemp('whole') / 'episode_000'
    writer = BagWriter(path, (STEP, EVENT, IMAGE), TYPES, CUSTOM)
    for topic, received_ns, data in WRITTEN:
        assert writer.write(topic, data, received_ns)
    writer.close(CUSTOM | {'outcome': 'success'})
    return (path / 'episode_000_0.mcap').read_bytes()


def torn_bag(folder: Path, content: bytes, number: int = 0) -> Path:
    """A bag as a killed recorder leaves it, but for metadata.yaml, which is missing."""
    path = folder / f'episode_000.torn-{number}'
    path.mkdir(parents=True)
    (path / 'episode_000_0.mcap').write_bytes(content)
    return path


def message_ends(content: bytes) -> list[int]:
    """Where each message record ends."""
    ends, position = [], 8
    for opcode, inner, _ in records(memoryview(content)[8:]):
        position += 9 + len(inner)
        if opcode == 5:
            ends.append(position)
    return ends


def both_readers(path: Path) -> list[tuple[str, int, bytes]]:
    with AnyReader([path]) as reader:
        read = [(connection.topic, stamp, bytes(data)) for connection, stamp, data in reader.messages()]
    (file,) = path.glob('*.mcap')
    with file.open('rb') as stream:
        indexed = [(channel.topic, message.log_time, message.data) for _, channel, message in make_reader(stream).iter_messages()]
    assert read == indexed
    return read


def test_a_cut_anywhere_gives_the_whole_prefix(tmp_path: Path, whole: bytes) -> None:
    ends = message_ends(whole)
    file = tmp_path / 'cut.mcap'
    for cut in [*range(0, len(whole), 311), *(end + near for end in ends[::4] for near in (-1, 0, 1)), len(whole)]:
        file.write_bytes(whole[:cut])
        prefix = read_prefix(file)
        assert prefix.messages == WRITTEN[: sum(end <= cut for end in ends)]
        assert prefix.whole_bytes <= cut


def test_a_salvaged_bag_is_readable_marked_and_sound(tmp_path: Path, whole: bytes) -> None:
    ends = message_ends(whole)
    footer = whole.rindex(b'\x0f\x04')
    places = {
        'in a message': (ends[10] + ends[11]) // 2,
        'between messages': ends[17],
        'at the end of the data': ends[-1],
        'in the index': footer + 40,
        'in the footer': len(whole) - 20,
        'in the last magic': len(whole) - 3,
        'nowhere': len(whole),
    }
    for number, (place, cut) in enumerate(places.items()):
        torn = torn_bag(tmp_path, whole[:cut], number)
        before = (torn / 'episode_000_0.mcap').read_bytes()
        done = salvage(torn)
        assert done.path == tmp_path / f'episode_000.salvaged-{number}', place
        count = sum(end <= cut for end in ends)
        assert both_readers(done.path) == WRITTEN[:count], place
        episode = read_episode(done.path)
        assert len(episode.steps) == done.steps == (count + 2) // 3
        assert episode.metadata['salvaged']
        assert (episode.metadata['salvaged_from'], episode.outcome, episode.metadata['task']) == (torn.name, 'aborted', 'toy')
        assert episode.metadata['observation_layout'] == ['x', 'y'], 'it stands in the file itself, should metadata.yaml be missing'
        assert check_bag(done.path) == [], place
        assert (torn / 'episode_000_0.mcap').read_bytes() == before
        with pytest.raises(BagError, match='was salvaged before'):
            salvage(torn)


@pytest.mark.parametrize('cut', [0, 3, 8, 20, 200])
def test_what_holds_no_step_becomes_no_bag(tmp_path: Path, whole: bytes, cut: int) -> None:
    done = salvage(torn_bag(tmp_path, whole[:cut]))
    assert (done.path, done.steps) == (None, 0)
    assert [path.name for path in tmp_path.iterdir()] == ['episode_000.torn-0']


def test_zeros_and_rubbish_behind_the_tear_are_no_records(tmp_path: Path, whole: bytes) -> None:
    end = message_ends(whole)[20]
    rng = random.Random(0)
    tails = [b'\0' * 5000, rng.randbytes(5000), struct.pack('<BQ', 5, 2**63), struct.pack('<BQ', 5, 3) + b'abc', b'\x05' * 4000]
    for number, tail in enumerate(tails):
        done = salvage(torn_bag(tmp_path, whole[:end] + tail, number))
        assert done.path is not None
        assert both_readers(done.path) == WRITTEN[:21]
        assert done.cut_bytes == len(tail)


def test_the_prefix_ends_before_a_gap_in_the_steps(tmp_path: Path) -> None:
    writer = BagWriter(tmp_path / 'episode_000', (STEP,), TYPES, CUSTOM)
    for number, tick in enumerate((0, 1, 2, 4, 5)):
        writer.write(STEP.name, step(tick), 10 + number)
    torn = writer.leave(CUSTOM | {'torn': 'step 4 came where step 3 was expected'})
    done = salvage(torn)
    assert done.steps == 3
    assert done.path is not None
    assert read_episode(done.path).metadata['salvaged'] == 'step 4 came where step 3 was expected'


def test_a_chunked_bag_of_another_writer_is_salvaged_to_the_chunk(tmp_path: Path) -> None:
    path = tmp_path / 'source'
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection(STEP.name, STEP.type, typestore=TYPES)
        for tick in range(6000):
            writer.write(connection, tick, step(tick))
    (file,) = path.glob('*.mcap')
    content = file.read_bytes()
    chunks, position = [], 8
    for opcode, inner, _ in records(memoryview(content)[8:]):
        position += 9 + len(inner)
        chunks += [position] if opcode == 6 else []
    assert len(chunks) > 1
    for number, cut in enumerate((chunks[0] - 1, chunks[0] + 1000, chunks[1])):
        done = salvage(torn_bag(tmp_path, content[:cut], number))
        assert (done.steps > 0) == (cut >= chunks[0])
        if done.path is not None:
            assert len(both_readers(done.path)) == done.steps


def test_what_is_no_torn_bag_is_refused(tmp_path: Path, whole: bytes) -> None:
    (tmp_path / 'episode_000').mkdir()
    for path, message in ((tmp_path / 'nothing.torn-0', 'got 0 .mcap files'), (tmp_path / 'episode_000', 'got 0 .mcap files')):
        with pytest.raises(BagError, match=message):
            salvage(path)
    (tmp_path / 'episode_000' / 'a.mcap').write_bytes(whole)
    with pytest.raises(BagError, match='expected the folder of a torn bag'):
        salvage(tmp_path / 'episode_000')


def test_what_a_killed_recorder_committed_comes_back(tmp_path: Path) -> None:
    script = Path(__file__).with_name('bag_child.py')
    child = subprocess.Popen([sys.executable, str(script), str(tmp_path / 'e'), str(MESSAGES)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child, child.stdout as output:
        assert output.readline() == 'committed\n'
        child.send_signal(signal.SIGKILL)
    prefix = read_prefix(tmp_path / 'e.incomplete' / 'e_0.mcap')
    assert len(prefix.messages) >= 500
    assert prefix.custom == {'task': 'toy'}
