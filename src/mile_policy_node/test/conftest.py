"""What several tests of this package need."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch

from mile_learner.bundle import Bundle, Manifest
from mile_learner.policy import Architecture, GaussianPolicy
from mile_learner.task import TaskConfig

ROS_ENVIRONMENT = {'ROS_DOMAIN_ID': '71', 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST', 'ROS_PYTHON_CHECK_FIELDS': '1'}
TASK_FILE = Path(__file__).with_name('task.yaml')


@pytest.fixture(scope='module')
def task() -> TaskConfig:
    """The task of these tests."""
    return TaskConfig.from_yaml(TASK_FILE)


@pytest.fixture(scope='module')
def save_bundle(tmp_path_factory: pytest.TempPathFactory, task: TaskConfig) -> Callable[..., Path]:
    """Writes a small random policy version for the task: save_bundle(version='v000', **manifest)."""

    def save(version: str = 'v000', *, weight: float | None = None, **manifest: Any) -> Path:
        torch.manual_seed(0)
        architecture = Architecture(input_dim=task.history * len(task.observation_layout), action_dim=4, hidden=(8,))
        policy, mental_model = GaussianPolicy(architecture), GaussianPolicy(architecture)
        if weight is not None:
            next(policy.body.parameters()).data[:] = weight
        values: dict[str, Any] = {
            'version': version,
            'task': task.name,
            'observation_layout': task.observation_layout,
            'history': task.history,
            'architecture': architecture,
            'mental_architecture': architecture,
            'c': 5.0,
            'sigma': 3.0,
            'method': 'behaviour_cloning',
        }
        folder = tmp_path_factory.mktemp('policies') / version
        Bundle(policy, mental_model, Manifest(**(values | manifest))).save(folder)
        return folder

    return save


@pytest.fixture(scope='module')
def wait_for() -> Callable[..., Any]:
    """Waits until a condition is true and returns what it returned: wait_for(condition, what)."""

    def wait(condition: Callable[[], Any], what: str, timeout_s: float = 30.0) -> Any:
        deadline = time.monotonic() + timeout_s
        while not (result := condition()):
            assert time.monotonic() < deadline, f'timed out: {what}'
            time.sleep(0.005)
        return result

    return wait


@pytest.fixture(scope='module')
def ros_environment(request: pytest.FixtureRequest) -> dict[str, str]:
    """Of every process of a test module, which may name its own in `ENVIRONMENT`."""
    return ROS_ENVIRONMENT | getattr(request.module, 'ENVIRONMENT', {})


@pytest.fixture(scope='module')
def spin(ros_environment: dict[str, str]) -> Iterator[Callable[..., Any]]:
    """Spins nodes of the test in one thread: spin(NodeClass, *args) -> node."""
    import rclpy
    from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

    context = rclpy.Context()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ros_environment.items():
            patch.setenv(name, value)
        rclpy.init(context=context)
    executor = SingleThreadedExecutor(context=context)
    nodes = []

    def run() -> None:
        with contextlib.suppress(ExternalShutdownException):
            executor.spin()

    def add(node_class: type, *args: Any) -> Any:
        node = node_class(*args, context=context)
        nodes.append(node)
        executor.add_node(node)
        return node

    thread = Thread(target=run)
    thread.start()
    yield add
    executor.shutdown()
    thread.join()
    for node in nodes:
        node.destroy_node()
    rclpy.shutdown(context=context)


@pytest.fixture(scope='module')
def start_process(ros_environment: dict[str, str]) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a node as a process: start_process('arm_node', task_file=...); it must run until the end, and then stop cleanly."""
    processes: list[subprocess.Popen[str]] = []

    def start(name: str, **parameters: Any) -> subprocess.Popen[str]:
        arguments = [item for key, value in parameters.items() for item in ('-p', f'{key}:={value}')]
        command = [sys.executable, '-c', f'from mile_policy_node.{name} import main; raise SystemExit(main())', '--ros-args', *arguments]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | ros_environment | {'OMP_NUM_THREADS': '1'})
        processes.append(process)
        return process

    yield start
    running = [process for process in processes if process.returncode is None]
    for process in running:
        process.send_signal(signal.SIGINT)
    for process in running:
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 0, errors
