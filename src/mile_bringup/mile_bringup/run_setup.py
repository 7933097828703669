"""Makes a run ready to be deployed: a new folder with its run.yaml, or an old one opened again; then its initial policy."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import yaml

from mile_bringup.deployment import Deployment, absolute_files, config_file
from mile_bringup.errors import UsageError
from mile_bringup.graph import learner_config, nodes, task_file
from mile_bringup.params_file import check_params_file
from mile_learner.files import write_atomically
from mile_learner.learner_config import method_config
from mile_learner.run_folder import RUN_FILE, Run
from mile_teleop.pad import PadConfig

PACKAGES = ('mile_bringup', 'torch', 'numpy', 'mujoco')


def open_run(path: Path, given: Mapping[str, Any]) -> tuple[Run, Deployment]:
    """Open the run at `path`, or create it; `given` options count before those the run was created with.

    Raises:
        UsageError: an option differs that a run keeps for its whole life, the folder is something else, or a named file is missing.
        ConfigError: values out of range, also in the configuration files of the nodes; nothing was made or started then.
    """
    if (path / RUN_FILE).is_file():
        deployment = Deployment.of_run(path / RUN_FILE, given)
        check_nodes(deployment, path)
        return Run.open(path), deployment
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        msg = f'{path}: exists and is not a run; give a new folder'
        raise UsageError(msg)
    deployment = Deployment.from_mapping(absolute_files(given), source='options')
    config = {
        'created': datetime.now(timezone.utc).isoformat(timespec='seconds'),
        'seed': deployment.seed,
        'task': _plain(deployment.resolved_task().to_mapping()),
        'deployment': deployment.remembered().to_mapping(),
        'versions': {'python': platform.python_version(), **{name: importlib.metadata.version(name) for name in PACKAGES}},
    }
    check_nodes(deployment, path)
    return Run.create(path, config), deployment


def check_nodes(deployment: Deployment, path: Path) -> None:
    """Read every configuration file as its node will, so that a mistake is told before anything starts.

    Raises:
        UsageError: a file that is named is not there.
        ConfigError: a file cannot be used.
        LearnerError: the learner's file names no method.
        SimError: the task's observation is one that the simulated world does not have.
    """
    PadConfig.from_yaml(config_file('pad', deployment.pad))
    graph = nodes(deployment, path)
    if deployment.params_file:
        check_params_file(config_file('params', deployment.params_file), graph)
    learner = learner_config(deployment)
    task = deployment.resolved_task()
    method_config(learner.method, task.name, learner.options)
    if not deployment.real_arm:
        from mile_sim.block_insertion import LAYOUT
        from mile_sim.eyes import check_layout

        check_layout(task.observation_layout, LAYOUT)


def write_task_file(run: Run) -> None:
    """Write the run's task where its nodes read it.

    Raises:
        ConfigError: the run's task is damaged.
    """
    path = task_file(run.path)
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, yaml.safe_dump(_plain(run.task.to_mapping()), sort_keys=False).encode())


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Tuples as lists, which YAML can say safely."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
