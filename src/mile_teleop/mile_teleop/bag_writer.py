"""Writes one rosbag2 (MCAP) so that nothing is lost: by a thread of its own, flushed at once, synced every second, renamed when whole.

The file is uncompressed and without chunks: after a kill everything that was flushed can be read back by a stream reader. Until the
bag is whole its folder is called `<path>.incomplete`. Needs no ROS.
"""

from __future__ import annotations

import math
import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from mcap.exceptions import McapError
from mcap.writer import CompressionType, Writer
from rosbags.typesys.store import Typestore

from mile_learner.files import sync_folder, write_atomically
from mile_learner.run_folder import torn_path
from mile_teleop.bag_metadata import Extent, Topic, bag_metadata, to_yaml
from mile_teleop.errors import BagError

SUFFIX = '.incomplete'
METADATA_FILE = 'metadata.yaml'
CUSTOM_RECORD = 'mile'
"""Name of the MCAP metadata record with the custom data as it was when the bag was opened, should metadata.yaml be lost."""
SYNC_INTERVAL_S = 1.0


class BagWriter:
    """One bag. `write` never waits for the disk; exactly one of `close`, `leave` and `discard` ends it.

    Args:
        path: the finished bag's folder; neither it nor `<path>.incomplete` may exist.
        topics: what will be recorded.
        typestore: knows the topics' types.
        custom: the bag's custom data so far; `close` may replace it.
        queue_limit_bytes: while more than this waits for the disk, messages of topics that are not essential are dropped and counted.

    Raises:
        BagError: the folder exists, or cannot be made.
    """

    def __init__(
        self,
        path: Path,
        topics: Sequence[Topic],
        typestore: Typestore,
        custom: Mapping[str, str],
        *,
        queue_limit_bytes: int = 256 * 1024 * 1024,
    ) -> None:
        self.path = path
        self.folder = path.with_name(path.name + SUFFIX)
        self.lost: Counter[str] = Counter()
        """Messages dropped so far, by topic."""
        self.failure = ''
        """Why nothing is written any more; empty while all is well."""
        self._topics = {topic.name: topic for topic in topics}
        self._hashes = {topic.type: typestore.hash_rihs01(topic.type) for topic in topics}
        self._custom = dict(custom)
        self._queue: SimpleQueue[tuple[str, int, bytes] | None] = SimpleQueue()
        self._queue_limit = queue_limit_bytes
        self._bytes_in = self._bytes_out = 0
        self._counts: Counter[str] = Counter()
        self._start_ns = self._end_ns = 0
        self._finished = False
        self._busy_since = math.inf
        for taken in (path, self.folder):
            if taken.exists():
                msg = f'{taken}: exists already, and nothing is ever overwritten; give another path, or move it away'
                raise BagError(msg)
        try:
            self.folder.mkdir(parents=True)
            self._write_metadata()
            self._file = (self.folder / self._file_name).open('wb')
            sync_folder(self.folder)
        except OSError as error:
            shutil.rmtree(self.folder, ignore_errors=True)  # nothing is in it, and it would be in the way of the next attempt
            msg = f'{self.folder}: cannot be written ({error.strerror}); give a path on a disk with space'
            raise BagError(msg) from error
        self._writer = Writer(self._file, compression=CompressionType.NONE, use_chunking=False)
        self._writer.start(profile='ros2', library='mile')
        self._writer.add_metadata(CUSTOM_RECORD, self._custom)
        self._channels = self._register(typestore)
        self._thread = threading.Thread(target=self._run, name='bag writer', daemon=True)
        self._thread.start()

    def write(self, topic: str, data: bytes, received_ns: int) -> bool:
        """Hand one message over to the disk.

        Args:
            topic: fully qualified name.
            data: the message in CDR, to the byte.
            received_ns: when it was received, since the epoch [ns].

        Returns:
            Whether it was taken; otherwise it is counted in `lost`.
        """
        waiting = self._bytes_in - self._bytes_out
        if self.failure or (waiting > self._queue_limit and not self._topics[topic].essential):
            self.lost[topic] += 1
            return False
        self._bytes_in += len(data)
        self._queue.put((topic, received_ns, data))
        return True

    def close(self, custom: Mapping[str, str]) -> Path:
        """Complete the bag with its final custom data and give it its name; its folder then.

        Raises:
            BagError: it could not all be written; what was stays in `<path>.incomplete`.
        """
        return self._complete(custom, self.path)

    def leave(self, custom: Mapping[str, str]) -> Path:
        """Finish the file, but set the bag aside as `<path>.torn-<n>`: something is missing in it. Its folder then.

        Raises:
            BagError: it could not all be written; what was stays in `<path>.incomplete`.
        """
        return self._complete(custom, torn_path(self.path))

    def discard(self) -> None:
        """Delete the bag."""
        self._stop()
        shutil.rmtree(self.folder)
        sync_folder(self.path.parent)

    @property
    def stalled_s(self) -> float:
        """For how long the thread has been busy with one and the same thing, 0 if it waits for work [s]."""
        return max(0.0, time.monotonic() - self._busy_since)

    @property
    def _file_name(self) -> str:
        return f'{self.path.name}_0.mcap'

    def _register(self, typestore: Typestore) -> dict[str, int]:
        """Schema and channel of every topic; their ids by topic."""
        schemas: dict[str, int] = {}
        channels: dict[str, int] = {}
        for topic in self._topics.values():
            if topic.type not in schemas:
                text, _ = typestore.generate_msgdef(topic.type, ros_version=2)
                schemas[topic.type] = self._writer.register_schema(topic.type, 'ros2msg', text.encode())
            metadata = {'offered_qos_profiles': to_yaml([topic.qos]), 'topic_type_hash': self._hashes[topic.type]}
            channels[topic.name] = self._writer.register_channel(topic.name, 'cdr', schemas[topic.type], metadata)
        return channels

    def _run(self) -> None:
        """The thread: writes what is queued, flushes when nothing waits, syncs every second."""
        sync_due = 0.0
        while True:
            try:
                item = self._queue.get(timeout=max(0.0, sync_due - time.monotonic()) if sync_due else None)
            except Empty:
                sync_due = 0.0
                self._guarded(self._sync)
                continue
            if item is None:
                self._guarded(self._finish)
                self._guarded(self._file.close)
                return
            self._bytes_out += len(item[2])
            self._guarded(self._append, *item)
            if self._queue.empty():
                self._guarded(self._file.flush)
            now = time.monotonic()
            if sync_due and now >= sync_due:
                self._guarded(self._sync)
                sync_due = 0.0
            sync_due = sync_due or now + SYNC_INTERVAL_S

    def _guarded(self, act: Callable[..., None], *arguments: Any) -> None:
        """Do something to the file; the first failure ends all writing, and what comes after it is counted as lost."""
        self._busy_since = time.monotonic()
        try:
            if not self.failure:
                act(*arguments)
        except (OSError, McapError) as error:
            self.failure = f'cannot be written ({error})'
        self._busy_since = math.inf
        if self.failure and act == self._append:
            self.lost[arguments[0]] += 1

    def _append(self, topic: str, received_ns: int, data: bytes) -> None:
        """One message. Readers of files without an index want them in order of time, so a clock set back stands still instead."""
        self._end_ns = max(received_ns, self._end_ns)
        self._start_ns = self._start_ns or self._end_ns
        self._writer.add_message(self._channels[topic], self._end_ns, data, self._end_ns, sequence=self._counts[topic])
        self._counts[topic] += 1

    def _sync(self) -> None:
        self._file.flush()
        os.fdatasync(self._file.fileno())

    def _finish(self) -> None:
        self._writer.finish()  # type: ignore[no-untyped-call]
        self._file.flush()
        os.fsync(self._file.fileno())
        self._finished = True

    def _complete(self, custom: Mapping[str, str], path: Path) -> Path:
        self._custom = dict(custom)
        self._stop()
        if self.failure:
            msg = f'{self.folder}: {self.failure}; free the disk and salvage what was written'
            raise BagError(msg)
        try:
            self._write_metadata()
            self.folder.rename(path)
            sync_folder(path.parent)
        except OSError as error:
            msg = f'{self.folder}: cannot be completed ({error.strerror})'
            raise BagError(msg) from error
        return path

    def _stop(self) -> None:
        self._queue.put(None)
        self._thread.join()
        if not self._finished:
            self.failure = self.failure or 'its writing thread died'

    def _write_metadata(self) -> None:
        extent = Extent(self._counts, self._start_ns, self._end_ns)
        text = bag_metadata(self._file_name, list(self._topics.values()), self._hashes, extent, self._custom)
        write_atomically(self.folder / METADATA_FILE, text.encode())
