"""A run on disk: episodes, policy versions, which version flies, metrics.

    run.yaml  iter_00/episode_000/  policies/v000/  policies/current  metrics.jsonl
    iter_00/ended                   it has as many episodes as it is to have: training was asked for
    demonstrations/episode_000/     by the human alone; what the first policy is cloned from
    shown_v000/episode_000/         by policy v000 alone, for the operator to see what it does

What has to happen next is in `mile_learner.run_state`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from mile_learner.config import ConfigError, read_yaml_mapping
from mile_learner.errors import LearnerError, quoted
from mile_learner.files import remedy, write_atomically, write_synced
from mile_learner.manifest import MANIFEST_FILE, Manifest, read_manifest
from mile_learner.plain_text import load_json
from mile_learner.run_state import RunState
from mile_learner.task import TaskConfig

RUN_FILE = 'run.yaml'
METRICS_FILE = 'metrics.jsonl'
BAG_METADATA_FILE = 'metadata.yaml'
ENDED_FILE = 'ended'
DEPLOY, DEMONSTRATE, SHOW = 'deploy', 'demonstrate', 'show'
"""What episodes are recorded for, `mode` in a bag's metadata; one without is of a deployment."""
IMPORTED = 'imported'
"""The operator of a bag that no deployment recorded."""
DEMONSTRATIONS = 'demonstrations'
SHOWN_EPISODES = 3
"""So many episodes of a first policy somebody must have seen before a deployment (paper, Appendix C); more may be shown."""


def torn_path(episode: Path) -> Path:
    """What an attempt at an episode that is not whole is called: `<episode>.torn-<n>`, n one more than what is there of it has.

    Salvaged bags count as much as torn ones, so that what a removed torn bag was salvaged to is not taken for that of the next.
    """
    name = re.compile(re.escape(episode.name) + r'\.(?:torn|salvaged)-(\d+)(?:\.incomplete)?')
    numbers = [int(match[1]) for path in episode.parent.iterdir() if (match := name.fullmatch(path.name))]
    return episode.with_name(f'{episode.name}.torn-{max(numbers, default=-1) + 1}')


def salvaged_path(torn: Path) -> Path:
    """Where what is whole in a torn bag belongs: `<episode>.torn-<n>` is salvaged to `<episode>.salvaged-<n>`."""
    return torn.with_name(torn.name.replace('.torn-', '.salvaged-'))


def set_aside(bag: Path) -> Path:
    """Rename `<episode>.incomplete`, or a bag that is damaged, to `<episode>.torn-<n>`, and return that; nobody may be writing it.

    Raises:
        LearnerError: it cannot be renamed.
    """
    torn = torn_path(bag.with_suffix('') if bag.suffix == '.incomplete' else bag)
    try:
        return bag.rename(torn)
    except OSError as error:
        msg = f'{bag}: cannot be renamed to {torn.name} ({error.strerror}); make its folder writable'
        raise LearnerError(msg) from error


def shown_folder(version: str) -> str:
    """Name of the folder with the episodes in which a policy version is shown."""
    return f'shown_{version}'


class Run:
    """One run folder. Nothing in it is ever overwritten but `policies/current`."""

    def __init__(self, path: Path, config: Mapping[str, Any]) -> None:
        self.path = path
        self.config = config

    @classmethod
    def create(cls, path: Path, config: Mapping[str, Any]) -> Run:
        """Make a new run folder with its run.yaml (`config`: plain values).

        Raises:
            LearnerError: there is a run already.
        """
        if (path / RUN_FILE).exists():
            msg = f'{path}: holds a run already; resume it, or give another folder'
            raise LearnerError(msg)
        (path / 'policies').mkdir(parents=True, exist_ok=True)
        write_atomically(path / RUN_FILE, yaml.safe_dump(dict(config), sort_keys=False).encode())
        return cls(path, config)

    @classmethod
    def open(cls, path: Path) -> Run:
        """Open an existing run.

        Raises:
            LearnerError: there is no run.
            ConfigError: its run.yaml cannot be read.
        """
        if not (path / RUN_FILE).is_file():
            msg = f'{path}: is not a run folder (no {RUN_FILE}); give the folder that `mile deploy --run` made'
            raise LearnerError(msg)
        return cls(path, read_yaml_mapping(path / RUN_FILE))

    @property
    def seed(self) -> int:
        """Of everything random in the run; 0 if run.yaml has none.

        Raises:
            ConfigError: that in run.yaml is none.
        """
        seed = self.config.get('seed', 0)
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            msg = f'{self.path / RUN_FILE}: seed: got {seed!r}, expected a whole number >= 0; write the one that the run began with'
            raise ConfigError(msg)
        return seed

    @property
    def task(self) -> TaskConfig:
        """What the run is about.

        Raises:
            ConfigError: that in run.yaml is missing or damaged.
        """
        source, values = f'{self.path / RUN_FILE}: task', self.config.get('task')
        if not isinstance(values, dict):
            msg = f'{source}: got {type(values).__name__}, expected a mapping'
            raise ConfigError(msg)
        return TaskConfig.from_mapping(values, source=source)

    def episode_path(self, iteration: int, index: int) -> Path:
        """Where an episode's finished bag belongs."""
        return self.path / f'iter_{iteration:02d}' / f'episode_{index:03d}'

    def end_iteration(self, iteration: int) -> None:
        """Let training follow on the episodes that `iteration` has; durable on return.

        Raises:
            LearnerError: that cannot be written.
        """
        path = self.path / f'iter_{iteration:02d}' / ENDED_FILE
        try:
            path.parent.mkdir(exist_ok=True)
            write_atomically(path, b'')
        except OSError as error:
            msg = f'{path}: cannot be written ({error.strerror}); {remedy(error)}, then ask again'
            raise LearnerError(msg) from error

    def episodes(self) -> dict[tuple[int, int], Path]:
        """Every whole episode by (iteration, index), in order."""
        found = {}
        for path in self.path.glob('iter_*/episode_*'):
            match = re.fullmatch(r'iter_(\d+)/episode_(\d+)', path.relative_to(self.path).as_posix())
            if match and (path / BAG_METADATA_FILE).is_file():
                found[int(match[1]), int(match[2])] = path
        return dict(sorted(found.items()))

    def salvaged(self) -> list[tuple[int, Path]]:
        """Every salvaged episode with its iteration, in order; of several torn attempts at one episode all count, as each was driven."""
        found = []
        for path in sorted(self.path.glob('iter_*/episode_*.salvaged-*')):
            match = re.fullmatch(r'iter_(\d+)/episode_\d+\.salvaged-\d+', path.relative_to(self.path).as_posix())
            if match and (path / BAG_METADATA_FILE).is_file():
                found.append((int(match[1]), path))
        return found

    def recorded(self, folder: str) -> dict[int, Path]:
        """Every whole episode by index in one folder of the run, in order; they belong to no iteration."""
        paths = sorted((self.path / folder).glob(f'episode_*/{BAG_METADATA_FILE}'))
        return {int(path.parent.name.removeprefix('episode_')): path.parent for path in paths if path.parent.name[8:].isdigit()}

    def bags(self) -> list[Path]:
        """Every whole bag, those of demonstrations and of what was shown, too, in order."""
        found = self.path.glob(f'*/episode_*/{BAG_METADATA_FILE}')
        return sorted(path.parent for path in found if re.fullmatch(r'episode_\d+', path.parent.name))

    def torn(self) -> list[Path]:
        """What is no whole episode and was not salvaged: set aside, left behind by a kill, or being recorded; in order."""
        aside = (path for path in self.path.glob('*/episode_*.torn-*') if not salvaged_path(path).exists())
        return sorted([*self._left_behind(), *aside])

    def set_aside_torn_episodes(self) -> list[Path]:
        """Rename what a kill left behind to `.torn-<n>`, out of the way of the next attempt.

        Nothing is deleted.

        Raises:
            LearnerError: one cannot be renamed.
        """
        return [set_aside(path) for path in self._left_behind()]

    def _left_behind(self) -> list[Path]:
        """What is still `.incomplete`, or has lost its metadata.yaml, in order."""
        named = (path for path in sorted(self.path.glob('*/episode_*')) if re.fullmatch(r'episode_\d+(?:\.incomplete)?', path.name))
        return [path for path in named if path.suffix == '.incomplete' or not (path / BAG_METADATA_FILE).is_file()]

    def version_path(self, version: str) -> Path:
        """The folder of a policy version.

        Raises:
            LearnerError: that is no name of a version, and might lead out of the run.
        """
        if not re.fullmatch(r'v\d{1,9}', version):
            msg = f'{self.path}: no policy version {version[:80]!r}; expected a name such as v003'
            raise LearnerError(msg)
        return self.path / 'policies' / version

    def versions(self) -> dict[str, Manifest]:
        """Every policy version by name, in order.

        Raises:
            LearnerError: a manifest is damaged.
        """
        files = sorted((self.path / 'policies').glob(f'v*/{MANIFEST_FILE}'))
        return {file.parent.name: read_manifest(file.parent) for file in files if file.parent.name[1:].isdecimal()}

    def next_version(self) -> str:
        """The name of the version to make next."""
        names = [path.name for path in (self.path / 'policies').glob('v*')]
        return f'v{max((int(name[1:]) for name in names if name[1:].isdigit()), default=-1) + 1:03d}'

    def flies(self) -> bool:
        """Whether a version was promoted."""
        return (self.path / 'policies' / 'current').is_file()

    def current(self) -> str:
        """The version that flies.

        Raises:
            LearnerError: none was promoted yet.
        """
        path = self.path / 'policies' / 'current'
        if not self.flies():
            first = f'clone a first one from demonstrations with `mile train {quoted(self.path)} --method behaviour_cloning`'
            promote = f'promote one with `mile policies {quoted(self.path)} promote VERSION`'
            msg = f'{self.path}: no policy flies yet; {promote if self.versions() else first}'
            raise LearnerError(msg)
        return path.read_text(encoding='utf-8', errors='replace').strip()

    def promote(self, version: str) -> None:
        """Let `version` fly from the next episode on.

        Raises:
            LearnerError: there is no such whole version.
        """
        if not (self.version_path(version) / MANIFEST_FILE).is_file():
            msg = f'{self.path}: no policy version {version!r}; there are: {", ".join(self.versions()) or "none"}'
            raise LearnerError(msg)
        write_atomically(self.path / 'policies' / 'current', f'{version}\n'.encode())

    def rollback(self) -> str:
        """Let the parent of the current version fly, and return its name.

        Raises:
            LearnerError: the current version is the initial one.
        """
        current = self.current()
        parent = read_manifest(self.version_path(current)).parent
        if parent is None:
            msg = f'{self.path}: {current} is the initial policy; there is nothing to roll back to'
            raise LearnerError(msg)
        self.promote(parent)
        return parent

    def append_metrics(self, record: Mapping[str, Any]) -> None:
        """Append one line to metrics.jsonl, durable on return."""
        path = self.path / METRICS_FILE
        torn = path.is_file() and path.stat().st_size > 0 and not path.read_bytes().endswith(b'\n')
        line = json.dumps(record, allow_nan=False) + '\n'
        write_synced(path, (('\n' if torn else '') + line).encode(), append=True)

    def metrics(self) -> list[dict[str, Any]]:
        """Every whole line of metrics.jsonl; a line torn by a kill is passed over."""
        path = self.path / METRICS_FILE
        if not path.is_file():
            return []
        parsed = map(_parse_line, path.read_text(encoding='utf-8', errors='replace').splitlines())
        return [record for record in parsed if record is not None]

    def state(self) -> RunState:
        """What is whole on disk now."""
        episodes: dict[int, set[int]] = {}
        for iteration, index in self.episodes():
            episodes.setdefault(iteration, set()).add(index)
        ended = (path.parent.name.removeprefix('iter_') for path in self.path.glob(f'iter_*/{ENDED_FILE}'))
        trained = (manifest.iteration for manifest in self.versions().values())
        return RunState(
            episodes={iteration: frozenset(indices) for iteration, indices in episodes.items()},
            trained=frozenset(iteration for iteration in trained if iteration is not None),
            ended=frozenset(int(number) for number in ended if number.isdecimal()),
        )


def _parse_line(line: str) -> dict[str, Any] | None:
    """A metrics record, or None for a torn line."""
    try:
        record = load_json(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None
