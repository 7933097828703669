"""`--fake-hardware`: the driver of the real arm over fake motors in the simulated world, and what the fake found the driver to do wrong."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mile_bringup.errors import UsageError

VENDOR_API = 'interbotix_xs_modules'


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What nodes need beside `environ`: where the vendor's Python API is not installed, a fake of it on their path.

    Raises:
        UsageError: neither is there.
    """
    if importlib.util.find_spec(VENDOR_API) is not None:
        return {}
    folder = Path(__file__).resolve().parents[3] / 'fakes' / 'python'
    if not (folder / VENDOR_API).is_dir():
        msg = (
            f"fake hardware: needs {folder} of the checkout, or the vendor's {VENDOR_API}; run it from the checkout that `make setup` made"
        )
        raise UsageError(msg)
    return {'PYTHONPATH': os.pathsep.join(filter(None, (str(folder), environ.get('PYTHONPATH', ''))))}


def findings_file(run_dir: Path) -> Path:
    """Where the fake hardware of a run writes what it found."""
    return run_dir / 'log' / 'fake_xs_sdk.json'


def findings(run_dir: Path) -> dict[str, Any]:
    """What the fake hardware found when the run's nodes ran last; empty if they never did."""
    path = findings_file(run_dir)
    return dict(json.loads(path.read_text())) if path.is_file() else {}


def describe(found: Mapping[str, Any]) -> str:
    """The findings for a person."""
    if not found:
        return 'fake hardware: never commanded'
    broken = ', '.join(f'{rule} {count}' for rule, count in found['broken'].items())
    seen = f'{found["commands"]} commands, at most {found["most_commands_per_s"]} per second and {found["largest_step_rad"]} rad apart'
    return '\n'.join([f'fake hardware: {seen}; broken: {broken}', *found['cases']])
