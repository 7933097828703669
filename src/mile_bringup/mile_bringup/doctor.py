"""Checks of the machine. Each says what it found and, where something is wrong or missing, what to do next."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path


class Health(Enum):
    """How bad it is."""

    OK = 'ok'
    WARN = 'warn'
    MISSING = 'missing'
    FAIL = 'FAIL'


@dataclass(frozen=True)
class Finding:
    """What one check found, and the next thing to do about it; empty where all is well."""

    health: Health
    detail: str
    do: str = ''


PROBE_TIMEOUT_S = 60.0
RENDER = """
import mujoco
model = mujoco.MjModel.from_xml_string('<mujoco/>')
renderer = mujoco.Renderer(model, 32, 32)
renderer.update_scene(mujoco.MjData(model))
renderer.render()
"""


def python() -> Finding:
    """The interpreter's version."""
    version = '.'.join(map(str, sys.version_info[:3]))
    return Finding(Health.OK, f'{version} at {sys.executable}')


def compiler() -> Finding:
    """What builds the message package."""
    missing = [tool for tool in ('c++', 'cmake', 'make') if shutil.which(tool) is None]
    if missing:
        return Finding(Health.WARN, f'{", ".join(missing)} not found; needed to build the messages', 'apt install build-essential cmake')
    return Finding(Health.OK, shutil.which('c++') or '')


def ros() -> Finding:
    """The client library and its middleware."""
    result = probe('import rclpy; from rclpy.utilities import get_rmw_implementation_identifier as rmw; print(rmw())')
    if result.returncode != 0:
        return Finding(Health.FAIL, f'rclpy does not load ({last_line(result.stderr)})', 'set up again, or source the ROS 2 workspace')
    return Finding(Health.OK, f'rclpy with {last_line(result.stdout)}')


def messages() -> Finding:
    """The project's own message types, with their middleware support."""
    result = probe('from mile_msgs.msg import Step; from rclpy.type_support import check_for_type_support as c; c(Step)')
    if result.returncode != 0:
        return Finding(Health.FAIL, f'mile_msgs does not load ({last_line(result.stderr)})', 'build the workspace: colcon build')
    return Finding(Health.OK, 'mile_msgs')


def shared_memory() -> Finding:
    """What nodes of one host talk through."""
    shm = Path('/dev/shm')
    if not shm.is_dir():
        return Finding(Health.WARN, '/dev/shm is missing; nodes fall back to UDP', 'in a container give --ipc=host or --shm-size=512m')
    free = shutil.disk_usage(shm).free / 2**20
    segments = sum(1 for _ in shm.glob('fastrtps_*'))
    detail = f'{free:.0f} MiB free in /dev/shm, {segments} Fast DDS segments'
    if free < 64:
        return Finding(Health.WARN, detail, 'killed processes leave segments behind: rm /dev/shm/*fastrtps* while nothing runs')
    return Finding(Health.OK, detail)


def disk() -> Finding:
    """Room for bags in the current folder."""
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    detail = f'{free:.1f} GiB free at {Path.cwd()}'
    if free > 5:
        return Finding(Health.OK, detail)
    return Finding(Health.FAIL if free < 1 else Health.WARN, detail, 'make room, or use another folder; a run needs at least 1 GiB')


def rendering() -> Finding:
    """Offscreen rendering of the simulated cameras."""
    tried = [os.environ['MUJOCO_GL']] if os.environ.get('MUJOCO_GL') else ['egl', 'osmesa']
    for backend in tried:
        if probe(RENDER, MUJOCO_GL=backend).returncode == 0:
            return Finding(Health.OK, f'MuJoCo renders with MUJOCO_GL={backend}')
    return Finding(Health.WARN, f'MuJoCo cannot render with {" or ".join(tried)}; no camera images', 'apt install libegl1 or libosmesa6')


CHECKS: dict[str, Callable[[], Finding]] = {
    'python': python,
    'compiler': compiler,
    'ros': ros,
    'messages': messages,
    'shared memory': shared_memory,
    'disk': disk,
    'rendering': rendering,
}


def probe(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own: a library that crashes is a finding, not the end."""
    argv = [sys.executable, '-c', code]
    try:
        return subprocess.run(argv, env={**os.environ, **environment}, capture_output=True, text=True, timeout=PROBE_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(argv, 1, '', f'no answer within {PROBE_TIMEOUT_S:.0f} s')


def last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else 'no message'
