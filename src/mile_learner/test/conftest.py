"""What several tests of the learner need."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from mile_learner.bags import STEP_TYPE, encode_metadata
from mile_learner.bench.tasks import TASKS
from mile_learner.bundle import Bundle, Manifest
from mile_learner.policy import Architecture, GaussianPolicy
from mile_learner.step import Gate, Mode, Source, Step

STEP_MSG = Path(__file__).parents[2] / 'mile_msgs' / 'msg' / 'Step.msg'


def _make_bundle(seed: int = 0, *, mental: bool = True) -> Bundle:
    torch.manual_seed(seed)
    architecture = Architecture(input_dim=12, action_dim=4, hidden=(16, 16))
    policy, mental_model = GaussianPolicy(architecture), GaussianPolicy(architecture)
    policy.set_normaliser(torch.randn(100, 12) * 3 + 1, std_floor=1e-2)
    manifest = Manifest(
        version='v000',
        task='toy',
        observation_layout=('x', 'y', 'z'),
        history=4,
        architecture=architecture,
        mental_architecture=architecture if mental else None,
        c=5.0,
        sigma=3.0,
        method='behaviour_cloning',
    )
    return Bundle(policy, mental_model if mental else None, manifest)


@pytest.fixture
def make_bundle() -> Callable[..., Bundle]:
    """Makes small random bundles: make_bundle(seed=0, mental=True)."""
    return _make_bundle


def _make_step(index: int, *, intervening: bool = False, episode_id: str = 'e0', dim: int = 3) -> Step:
    """A step as the arbiter records it, of the policy or of the human."""
    rng = np.random.default_rng(index)
    robot_action, human_action = (rng.uniform(-1, 1, 4).astype(np.float32) for _ in range(2))
    return Step(
        stamp=1000.0 + index / 10,
        episode_id=episode_id,
        index=index,
        observation=rng.normal(size=dim).astype(np.float32),
        observation_stamp=999.9 + index / 10,
        image_stamp=0.0,
        robot_action=robot_action,
        robot_action_valid=True,
        human_action=human_action if intervening else np.full(4, np.nan, dtype=np.float32),
        intervening=intervening,
        executed_action=human_action if intervening else robot_action,
        sent_target=np.zeros(4, dtype=np.float32),
        source=Source.HUMAN if intervening else Source.POLICY,
        mode=Mode.HUMAN if intervening else Mode.AUTONOMOUS,
        gate=Gate.HUMAN if intervening else Gate.NONE,
        intervention_probability=0.25,
        policy_version='v000',
        inference_ms=1.5,
        tick_late_ms=0.1,
    )


def _write_episode(path: Path, steps: Sequence[Step], **metadata: Any) -> Path:
    """Write a bag as the recorder does, with the schema of mile_msgs/Step."""
    typestore = get_typestore(Stores.ROS2_JAZZY)
    typestore.register(get_types_from_msg(STEP_MSG.read_text(encoding='utf-8'), STEP_TYPE))
    header, time = typestore.types['std_msgs/msg/Header'], typestore.types['builtin_interfaces/msg/Time']
    message_type = typestore.types[STEP_TYPE]

    def stamp(seconds: float) -> Any:
        nanoseconds = round(seconds * 1e9)
        return time(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)

    path.parent.mkdir(parents=True, exist_ok=True)
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection('/mile/step', STEP_TYPE, typestore=typestore)
        for position, step in enumerate(steps):
            fields = {field.name: getattr(step, field.name) for field in dataclasses.fields(step)}
            stamps = {name: stamp(fields.pop(name)) for name in ('stamp', 'observation_stamp', 'image_stamp')}
            fields |= {'header': header(stamp=stamps.pop('stamp'), frame_id=''), **stamps}
            writer.write(connection, 10**12 + position * 10**8, typestore.serialize_cdr(message_type(**fields), STEP_TYPE))
        defaults = {'episode_id': 'e0', 'task': 'toy', 'outcome': 'success', 'observation_layout': ['x', 'y', 'z']}
        for key, value in encode_metadata(defaults | metadata).items():
            writer.set_custom_data(key, value)
    return path


@pytest.fixture
def make_step() -> Callable[..., Step]:
    """Makes one step: make_step(index, intervening=False, episode_id='e0', dim=3)."""
    return _make_step


@pytest.fixture
def write_episode() -> Callable[..., Path]:
    """Writes a bag: write_episode(path, steps, **metadata)."""
    return _write_episode


@pytest.fixture
def toy_task(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of `bench_toy.TASK` in the registry; preparations of it are kept for the whole test session."""
    folder = str(Path(__file__).parent)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join(filter(None, [folder, os.environ.get('PYTHONPATH')])))
    monkeypatch.setitem(TASKS, 'point', 'bench_toy:TASK')
    monkeypatch.setenv('MILE_HOME', str(tmp_path_factory.getbasetemp() / 'home'))
    return 'point'
