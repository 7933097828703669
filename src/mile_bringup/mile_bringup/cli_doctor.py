"""`mile doctor`: what is wrong with this machine."""

from __future__ import annotations

import argparse
from typing import Any

from mile_bringup.cli_common import Report, add_verb


def add(verbs: Any) -> None:
    """Add the verb."""
    add_verb(verbs, 'doctor', run, help='what is wrong with this machine: Python, compiler, ROS, messages, memory, disk, pads, rendering')


def run(args: argparse.Namespace) -> Report:
    """Exit code 1 if a check failed; a warning is no failure."""
    del args
    from mile_bringup.doctor import CHECKS, Health

    findings = [(name, check()) for name, check in CHECKS.items()]
    failed = any(finding.health is Health.FAIL for _, finding in findings)
    data = {'ok': not failed, 'checks': [{'name': name, 'health': f.health.value, 'detail': f.detail} for name, f in findings]}
    width = max(map(len, CHECKS))
    text = '\n'.join(f'{f.health.value:>4}  {name:<{width}}  {f.detail}' for name, f in findings)
    return Report(data, text, code=1 if failed else 0)
