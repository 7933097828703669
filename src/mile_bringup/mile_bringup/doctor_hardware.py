"""Checks of what is attached: pad, camera, arm. What is missing is no fault of the machine, but no arm moves without it."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from mile_bringup.deployment import config_dir
from mile_bringup.doctor import Finding, Health, last_line, probe
from mile_policy_node.camera import CameraConfig

PADS = """
import os
from mile_teleop.pad_device import SDL_ENVIRONMENT
os.environ.update(SDL_ENVIRONMENT)
from pygame import joystick
joystick.init()
pads = [joystick.Joystick(number) for number in range(joystick.get_count())]
shape = '{!r} ({} axes, {} buttons)'
print('; '.join(shape.format(p.get_name(), p.get_numaxes() + 2 * p.get_numhats(), p.get_numbuttons()) for p in pads))
"""
VENDOR_PACKAGE = 'interbotix_xs_modules'
LATENCY_MS = 1
"""The adapter keeps a byte that it received back for up to this long; its default of 16 ms is too slow for a control loop."""


def pads() -> Finding:
    """Game pads, as pad_node sees them."""
    result = probe(PADS)
    if result.returncode != 0:
        return Finding(Health.FAIL, f'pads cannot be listed ({last_line(result.stderr)})', 'set up again')
    found = last_line(result.stdout)
    if not result.stdout.strip():
        return Finding(Health.MISSING, 'no pad', 'connect one and be in the group input; then make its mapping: mile doctor --pad')
    return Finding(Health.OK, found)


def camera(source: str | None = None) -> Finding:
    """The camera that config/camera.yaml names, or `source`."""
    source = source or CameraConfig.from_yaml(config_dir() / 'camera.yaml').source
    path = Path(source)
    if not path.exists():
        return Finding(
            Health.MISSING, f'no camera at {source}', 'connect it, or set `source` in config/camera.yaml to one of /dev/v4l/by-id'
        )
    if not os.access(path, os.R_OK):
        return Finding(Health.FAIL, f'{source} may not be opened by this user', 'sudo usermod -aG video $USER, then log in again')
    return Finding(Health.OK, source)


def arm(port: Path = Path('/dev/ttyDXL'), devices: Path = Path('/sys/bus/usb-serial/devices')) -> Finding:
    """The WidowX's USB adapter, under the name that the vendor's udev rule gives it, and its latency timer."""
    if not port.exists():
        return Finding(Health.MISSING, f'no arm at {port}', "connect and power it, with the vendor's udev rules installed")
    if not os.access(port, os.R_OK | os.W_OK):
        return Finding(Health.FAIL, f'{port} may not be opened by this user', 'sudo usermod -aG dialout $USER, then log in again')
    timer = devices / port.resolve().name / 'latency_timer'
    if timer.is_file() and (latency := int(timer.read_text())) > LATENCY_MS:
        return Finding(Health.FAIL, f'{port}: latency timer of {latency} ms', f'echo {LATENCY_MS} | sudo tee {timer}; or by a udev rule')
    return Finding(Health.OK, str(port))


def vendor() -> Finding:
    """The vendor's ROS packages, which drive the arm."""
    if importlib.util.find_spec(VENDOR_PACKAGE) is None:
        return Finding(
            Health.MISSING, f'no {VENDOR_PACKAGE}', "install the vendor's ROS 2 packages for X-series arms and source their workspace"
        )
    return Finding(Health.OK, VENDOR_PACKAGE)


HARDWARE: dict[str, Callable[[], Finding]] = {'pad': pads, 'camera': partial(camera, None), 'arm': arm, "arm's packages": vendor}
