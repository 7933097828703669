"""Keeps deployments on one host apart: each gets a ROS domain of its own, and each run folder one deployment at a time."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mile_bringup.errors import UsageError

DOMAINS = range(1, 100)
"""Domain ids whose ports lie below Linux's ephemeral ones, without 0, which everybody else uses."""


@dataclass(frozen=True)
class Claim:
    """A domain that is this process's as long as the socket is open; the kernel lets go of it when the process dies."""

    domain: int
    socket: socket.socket


def named_domain(environment: Mapping[str, str]) -> int | None:
    """The ROS domain that the environment names, if it does.

    Raises:
        UsageError: it names something else.
    """
    named = environment.get('ROS_DOMAIN_ID', '')
    if named and not (named.isdecimal() and int(named) < 233):
        msg = f'ROS_DOMAIN_ID: got {named!r}, expected 0 to 232; unset it, and `mile deploy` takes a free one'
        raise UsageError(msg)
    return int(named) if named else None


def claim_domain(environment: Mapping[str, str], namespace: str) -> Claim:
    """Claim the ROS domain that the environment names, or else a free one.

    The claim is an abstract Unix socket: it lives in the network namespace, as the domain's UDP ports do.

    Raises:
        UsageError: the domain named is used by another deployment with the same namespace, or is no number.
    """
    named = named_domain(environment)
    for domain in DOMAINS if named is None else [named]:
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f'\0mile/domain_{domain}/{"" if named is None else namespace}')
        except OSError:
            claim.close()
            continue
        return Claim(domain, claim)
    msg = f'another deployment runs in ROS domain {named} with namespace {namespace!r}; unset ROS_DOMAIN_ID, or give another --namespace'
    raise UsageError(msg if named is not None else 'every ROS domain from 1 to 99 is used by a deployment; stop one')


def lock_run(path: Path) -> int:
    """Lock a run folder until the returned file descriptor is closed or the process dies.

    Raises:
        UsageError: another process has it.
    """
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        msg = f'{path}: another `mile deploy` works on this run; wait for it, or give another --run'
        raise UsageError(msg) from error
    return handle
