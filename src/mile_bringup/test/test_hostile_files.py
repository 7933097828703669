"""Damaged and hostile files end in an error of our own, in one line; each case here once did something else."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from mile_learner.bags import read_episode, read_metadata
from mile_learner.bundle import Bundle, Manifest
from mile_learner.config import ConfigError
from mile_learner.errors import LearnerError
from mile_learner.policy import Architecture, GaussianPolicy
from mile_learner.run_folder import Run
from mile_learner.task import TaskConfig
from mile_teleop.bag_metadata import Topic
from mile_teleop.bag_writer import BagWriter
from mile_teleop.message_types import encode, load_types
from mile_teleop.salvage import read_prefix

MESSAGES = Path(__file__).parents[2] / 'mile_msgs' / 'msg'
TASK = {'rate_hz': 10.0, 'step_size_m': 0.005, 'gripper_step_m': 0.005, 'workspace_low': [0, 0, 0], 'workspace_high': [1, 1, 1]}


def step(types: Any, index: int) -> bytes:
    stamp = types.types['builtin_interfaces/msg/Time'](sec=index, nanosec=0)
    action = np.zeros(4, np.float32)
    values: dict[str, Any] = dict.fromkeys(('robot_action', 'executed_action', 'sent_target'), action)
    values |= {'header': types.types['std_msgs/msg/Header'](stamp=stamp, frame_id=''), 'observation_stamp': stamp, 'image_stamp': stamp}
    values |= {'episode_id': 'e0', 'index': index, 'observation': action, 'robot_action_valid': True, 'human_action': action * np.nan}
    values |= {'intervening': False, 'source': 1, 'mode': 1, 'gate': 0, 'intervention_probability': 0.5, 'policy_version': 'v000'}
    values |= {'inference_ms': 1.0, 'tick_late_ms': 0.0}
    return encode(types, 'mile_msgs/msg/Step', types.types['mile_msgs/msg/Step'](**values))


@pytest.fixture(scope='module')
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one short episode and one small policy."""
    run = Run.create(tmp_path_factory.mktemp('hostile') / 'run', {'seed': 1})
    architecture = Architecture(input_dim=4, action_dim=4, hidden=(4,))
    manifest = Manifest('', 'toy', tuple('abcd'), 1, architecture, None, 1.0, 1.0, 'test')
    Bundle(GaussianPolicy(architecture), None, manifest).save(run.version_path('v000'))
    run.promote('v000')
    types = load_types(MESSAGES)
    custom = {'episode_id': 'e0', 'task': 'toy', 'configuration': '{"task": ' + str(TASK).replace("'", '"') + '}', 'outcome': 'success'}
    run.episode_path(0, 0).parent.mkdir()
    writer = BagWriter(run.episode_path(0, 0), (Topic('/mile/step', 'mile_msgs/msg/Step'),), types, custom)
    for index in range(5):
        writer.write('/mile/step', step(types, index), index + 1)
    writer.close(custom)
    return run.path


@pytest.fixture
def run(original: Path, tmp_path: Path) -> Run:
    """A copy to damage."""
    return Run.open(shutil.copytree(original, tmp_path / 'run'))


def measured(source: Path, *, inputs: int, seed: int, before: str = '') -> dict[str, Any]:
    """`measure` in a process of its own: the interpreter's audit hook, once there, slows everything after it down, for good."""
    code = f"""
import json, sys
from pathlib import Path
from mile_bringup.bench_hostile_files import READERS, measure
{before}
print(json.dumps(measure({inputs}, {seed}, Path(sys.argv[1])).data))
"""
    done = subprocess.run([sys.executable, '-c', code, str(source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    data: dict[str, Any] = json.loads(done.stdout)
    return data


def test_mutated_files_are_read_or_refused(original: Path) -> None:
    data = measured(original, inputs=400, seed=7)
    assert data['findings'] == []
    assert sum(data['counts'].values()) == 400
    assert any('refused' in name for name in data['counts'])


CARELESS = """
undamaged = (Path(sys.argv[1]) / 'run.yaml').read_bytes()

def careless(path):
    if (path / 'run.yaml').read_bytes() != undamaged:
        Path('/etc/hostname').read_bytes()
        raise KeyError(path)

READERS['run.yaml'] = careless
"""


def test_a_reader_that_misbehaves_is_found(original: Path) -> None:
    data = measured(original, inputs=20, seed=0, before=CARELESS)
    assert {(finding['file'], finding['finding']) for finding in data['findings']} == {('run.yaml', 'opened /etc/hostname')}


@pytest.mark.parametrize(
    'text', ['a: &a [1]\nb: *a', '[' * 100_000, 'a: ' + '9' * 6000, 'a: !!python/object/apply:os.system ["true"]', '\t', 'a: 2001-99-99']
)
def test_hostile_yaml_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / 'task.yaml').write_text(text)
    with pytest.raises(ConfigError, match='is not YAML'):
        TaskConfig.from_yaml(tmp_path / 'task.yaml')


def edit(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text(encoding='utf-8')), encoding='utf-8')


def test_a_bag_reads_no_file_but_its_own(run: Run, tmp_path: Path) -> None:
    bag = run.episode_path(0, 0)
    (file,) = bag.glob('*.mcap')
    file.rename(tmp_path / 'elsewhere.mcap')
    file.symlink_to(tmp_path / 'elsewhere.mcap')
    with pytest.raises(LearnerError, match='no ordinary file'):
        read_episode(bag)
    for name in ('../../../elsewhere.mcap', '/etc/passwd', '..', '[1]'):
        edit(bag / 'metadata.yaml', lambda text, name=name: text.replace('- episode_000_0.mcap', f'- {name}'))  # type: ignore[misc]
        with pytest.raises(LearnerError, match=r'expected the name of one file in the folder of the bag|no ordinary file'):
            read_episode(bag)
        edit(bag / 'metadata.yaml', lambda text, name=name: text.replace(f'- {name}', '- episode_000_0.mcap'))  # type: ignore[misc]


def test_deep_custom_data_is_refused(run: Run) -> None:
    bag = run.episode_path(0, 0)
    edit(bag / 'metadata.yaml', lambda text: text.replace('task: toy', 'task: "' + '[' * (sys.getrecursionlimit() * 60) + '"'))
    with pytest.raises(LearnerError, match='nested too deeply'):
        read_metadata(bag)


def test_a_definition_cannot_carry_code(run: Run) -> None:
    (file,) = run.episode_path(0, 0).glob('*.mcap')
    content = file.read_bytes()
    name = b'mile_msgs/msg/Step'
    file.write_bytes(content.replace(name, b'a/msg/B:\n__import__'[: len(name)].ljust(len(name), b'x')))
    assert read_prefix(file).messages == []
    assert read_episode(file.parent).steps == ()


@pytest.mark.parametrize('current', ['../../elsewhere', '/etc', 'v' + '9' * 5000, ''])
def test_the_version_that_flies_lies_in_the_run(run: Run, current: str) -> None:
    (run.path / 'policies' / 'current').write_text(current)
    with pytest.raises(LearnerError, match='expected a name such as v003') as error:
        run.version_path(run.current())
    assert len(str(error.value)) < 500


def test_bytes_that_are_no_text_are_refused_or_passed_over(run: Run) -> None:
    (run.path / 'policies' / 'current').write_bytes(b'v\xff0')
    with pytest.raises(LearnerError, match='no policy version'):
        run.version_path(run.current())
    (run.path / 'metrics.jsonl').write_bytes(b'{"iteration": 0}\n\xff\xfe\n[1]\n{"iteration": 1}\n')
    assert run.metrics() == [{'iteration': 0}, {'iteration': 1}]


def test_a_manifest_cannot_claim_a_network_larger_than_its_weights(run: Run) -> None:
    folder = run.version_path('v000')
    edit(folder / 'manifest.json', lambda text: text.replace('"hidden": [\n      4\n    ]', '"hidden": [1000000, 1000000]'))
    with pytest.raises(LearnerError, match='the architecture in the manifest claims'):
        Bundle.load(folder)


def test_a_compressed_bag_is_refused_before_it_unfolds(tmp_path: Path) -> None:
    types = load_types(MESSAGES)
    writer = Writer(tmp_path / 'bag', version=9, storage_plugin=StoragePlugin.MCAP)
    writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    with writer:
        connection = writer.add_connection('/mile/step', 'mile_msgs/msg/Step', typestore=types)
        writer.write(connection, 1, step(types, 0))
    with pytest.raises(LearnerError, match='got a compressed chunk'):
        read_episode(tmp_path / 'bag')
    edit(tmp_path / 'bag' / 'metadata.yaml', lambda text: text.replace('compression_mode:', 'compression_mode: file #'))
    with pytest.raises(LearnerError, match='expected uncompressed mcap'):
        read_episode(tmp_path / 'bag')


def test_an_error_stays_one_short_line_whatever_it_quotes(run: Run) -> None:
    task = run.path / 'task.yaml'
    task.write_text(''.join(f'{key}: "{"9" * 9000}"\n' for key in TaskConfig.__dataclass_fields__))
    edit(run.version_path('v000') / 'manifest.json', lambda text: text.replace('"seed"', '"' + 's' * 5000 + '"'))
    for read in (lambda: TaskConfig.from_yaml(task), lambda: Bundle.load(run.version_path('v000'))):
        with pytest.raises((ConfigError, LearnerError)) as error:
            read()
        assert len(str(error.value)) < 1000
