"""Files that were damaged, or are meant to do damage: mutations of real ones, given to everything that reads files.

A reader may refuse a file with an error of our own classes, or read it. Anything else is a finding: another exception, more than
`SLOWEST_S`, more than `LARGEST_GROWTH` of memory, a process or a connection that is started, a file opened outside the given folder.
"""

from __future__ import annotations

import json
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mile_bringup.cli_common import Report
from mile_bringup.deployment import config_dir
from mile_bringup.errors import BringupError
from mile_learner.bags import read_episode
from mile_learner.bundle import Bundle
from mile_learner.config import ConfigError
from mile_learner.errors import LearnerError
from mile_learner.files import sha256_of
from mile_learner.invariants import judge_bag
from mile_learner.run_folder import Run
from mile_learner.task import TaskConfig
from mile_teleop.arbiter_config import ArbiterConfig
from mile_teleop.errors import TeleopError
from mile_teleop.pad import PadConfig, PadMapping
from mile_teleop.salvage import read_prefix

REFUSALS = (LearnerError, ConfigError, TeleopError, BringupError)
SLOWEST_S = 5
LARGEST_GROWTH = 512 * 1024
"""Of the peak of resident memory [KiB]."""
LONGEST_ERROR = 2000
STARTS = ('os.system', 'os.exec', 'os.posix_spawn', 'os.fork', 'subprocess.Popen', 'socket.connect')
TOKENS = (
    *(b'../../../../etc/passwd', b'/etc/passwd', b'!!python/object/apply:os.system ["true"]', b'__import__("os").system("true")'),
    *(b'&a [*a, *a]', b'*a', b'[' * 3000, b'{"a":' * 3000, b'9' * 6000, b'.nan', b'.inf', b'-1', b'1e999', b'null', b'true', b'""'),
    *(b'[]', b'{}', b'\x00', b'\xff\xfe', b': ', b'\n- ', b'#', b'\t', b'%', b'zstd', b'lz4', b'sqlite3', b'file'),
    *(b'mile_msgs/msg/Step', b'MSG: ', b'string X="\\"\n', b'uint8[4000000000] x\n'),
)
NUMBERS = tuple(value.to_bytes(8, 'little') for value in (0, 1, 255, 2**16 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**63, 2**64 - 1))


class Watch:
    """Notes what a reader does that it has no business doing. The hook of the interpreter stays, but listens only while `folder` is set."""

    def __init__(self) -> None:
        self.folder = ''
        self.seen = ''
        sys.addaudithook(self._on_event)

    def _on_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.folder:
            return
        if event in STARTS:
            self.seen = self.seen or f'{event} {str(arguments)[:80]}'
        elif event == 'open' and isinstance(arguments[0], str):
            path = arguments[0]
            library = path.startswith((sys.prefix, sys.base_prefix)) or path.endswith(('.py', '.pyc', '.so'))
            if not library and not path.startswith((self.folder, '/proc/', '/sys/', '/dev/')):
                self.seen = self.seen or f'opened {path[:80]}'


class TooSlow(Exception):  # noqa: N818 - the finding
    """A reader did not come to an end."""


def mutate(content: bytes, rng: random.Random) -> bytes:
    """One to four damages."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4))):
        place = rng.randrange(len(data) + 1)
        span = rng.choice((1, 4, 16, 200, 3000))
        match rng.randrange(9):
            case 0:
                data = data[:place]
            case 1 if place < len(data):
                data[place] ^= 1 << rng.randrange(8)
            case 2:
                data[place : place + 8] = rng.choice(NUMBERS)
            case 3:
                data[place : place + 4] = rng.choice(NUMBERS)[:4]
            case 4:
                del data[place : place + span]
            case 5:
                data[place:place] = data[place : place + span]
            case 6:
                data[place : place + span] = bytes(span)
            case 7:
                data[place:place] = rng.choice(TOKENS)
            case _:
                data[place : place + span] = rng.choice(TOKENS)
    return bytes(data)


def _bag(path: Path) -> None:
    (bag,) = path.glob('iter_*/episode_*')
    (file,) = bag.glob('*.mcap')
    read_prefix(file)
    judge_bag(bag)
    read_episode(bag)


def _bundle(path: Path) -> None:
    folder = path / 'policies' / 'v000'
    Bundle.load(folder)


def _weights(path: Path) -> None:
    """Of somebody who wrote the manifest, too, so that the hash is right."""
    manifest = path / 'policies' / 'v000' / 'manifest.json'
    values = json.loads(manifest.read_text())
    values['weights'] = {name: sha256_of(manifest.with_name(name)) for name in values['weights']}
    manifest.write_text(json.dumps(values))
    _bundle(path)


def _run(path: Path) -> None:
    run = Run.open(path)
    run.state()
    run.metrics()
    Bundle.load(run.version_path(run.current()))


def _pad(path: Path) -> None:
    PadMapping(PadConfig.from_yaml(path / 'config' / 'pad_ps3.yaml')).read([0.0] * 6, [0] * 17)


READERS: dict[str, Callable[[Path], object]] = {
    'iter_00/episode_000/episode_000_0.mcap': _bag,
    'iter_00/episode_000/metadata.yaml': _bag,
    'policies/v000/manifest.json': _bundle,
    'policies/v000/policy.safetensors': _weights,
    'policies/current': _run,
    'run.yaml': _run,
    'metrics.jsonl': _run,
    'config/task_block_insertion.yaml': lambda path: TaskConfig.from_yaml(path / 'config' / 'task_block_insertion.yaml'),
    'config/teleop.yaml': lambda path: ArbiterConfig.from_yaml(path / 'config' / 'teleop.yaml'),
    'config/pad_ps3.yaml': _pad,
}
"""The files of a run, and who reads them."""


def measure(inputs: int, seed: int, source: Path) -> Report:
    """Mutate the files of the run `source` (which is only read); exit code 1 if there is a finding.

    Raises:
        LearnerError: it is no run.
        BringupError: a file that is to be mutated is missing in it.
    """
    Run.open(source)
    findings: list[dict[str, Any]] = []
    counts: Counter[str] = Counter()
    watch = Watch()
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix='mile-fuzz-') as folder:
        path = Path(folder) / 'run'
        originals = _copy(source, path)
        for reader in READERS.values():
            reader(path)  # what is undamaged is read without a complaint, and everything is imported
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        previous = signal.signal(signal.SIGALRM, _too_slow)
        try:
            for number in tqdm(range(inputs), unit='file', desc='hostile files'):
                name = tuple(READERS)[number % len(READERS)]
                content = mutate(originals[name], random.Random(f'{seed}-{number}'))
                (path / name).write_bytes(content)
                outcome = _read(READERS[name], path, watch, folder)
                grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
                if grown - peak > LARGEST_GROWTH:
                    outcome, peak = f'memory: {(grown - peak) // 1024} MiB more', grown
                counts[f'{name}: {outcome if outcome in ("read", "refused") else "finding"}'] += 1
                if outcome not in ('read', 'refused'):
                    findings.append({'file': name, 'number': number, 'seed': seed, 'finding': outcome})
                for restored in (name, 'policies/v000/manifest.json'):
                    (path / restored).write_bytes(originals[restored])
        finally:
            signal.signal(signal.SIGALRM, previous)
    data = {
        'inputs': inputs,
        'seed': seed,
        'seconds': time.monotonic() - begin,
        'peak_mib': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        'counts': dict(sorted(counts.items())),
        'findings': findings,
    }
    lines = [f'{name}: {count}' for name, count in sorted(counts.items())]
    lines += [f'FINDING in {finding["file"]} (number {finding["number"]}): {finding["finding"]}' for finding in findings]
    return Report(data, '\n'.join([f'{inputs} files, {len(findings)} findings', *lines]), code=1 if findings else 0)


def _read(reader: Callable[[Path], object], path: Path, watch: Watch, folder: str) -> str:
    """read, refused, or what is wrong."""
    watch.folder, watch.seen = folder, ''
    signal.alarm(SLOWEST_S)
    try:
        reader(path)
        outcome = 'read'
    except REFUSALS as error:
        one_line = len(str(error)) < LONGEST_ERROR and '\n' not in str(error)
        outcome = 'refused' if one_line else f'an error of {len(str(error))} characters: {str(error)[:80]!r}'
    except TooSlow:
        outcome = f'more than {SLOWEST_S} s'
    except Exception as error:  # noqa: BLE001 - any other exception is the finding
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        where = '' if place is None else f' at {Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}'
        outcome = f'{type(error).__name__}: {str(error)[:120]}{where}'
    finally:
        signal.alarm(0)
        watch.folder = ''
    return watch.seen or outcome


def _too_slow(*_: object) -> None:
    raise TooSlow


def _copy(source: Path, path: Path) -> dict[str, bytes]:
    """A run of one episode and one version, like `source`; the content of every file that is mutated."""
    bags, versions = list(Run.open(source).episodes().values()), list(Run.open(source).versions())
    if not bags or not versions:
        msg = f'{source}: has {len(bags)} whole episodes and {len(versions)} policy versions, expected at least one of each'
        raise BringupError(msg)
    bag, version = min(bags, key=lambda folder: sum(file.stat().st_size for file in folder.iterdir())), versions[0]
    episode, policy = path / 'iter_00' / 'episode_000', path / 'policies' / 'v000'
    shutil.copytree(bag, episode)
    (file,) = episode.glob('*.mcap')
    metadata = (episode / 'metadata.yaml').read_text(encoding='utf-8')
    (episode / 'metadata.yaml').write_text(metadata.replace(file.name, 'episode_000_0.mcap'), encoding='utf-8')
    file.rename(episode / 'episode_000_0.mcap')
    shutil.copytree(source / 'policies' / version, policy)
    (path / 'policies' / 'current').write_text('v000\n')
    shutil.copy(source / 'run.yaml', path)
    (path / 'metrics.jsonl').write_text('{"iteration": 0, "trained_version": "v000"}\n')
    (path / 'config').mkdir()
    for name in ('task_block_insertion.yaml', 'teleop.yaml', 'pad_ps3.yaml'):
        shutil.copy(config_dir() / name, path / 'config')
    return {name: (path / name).read_bytes() for name in READERS}
