"""Renders the node graph as processes: argument lists, parameter files, environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml
from ament_index_python.packages import PackageNotFoundError, get_package_prefix

from mile_bringup.errors import BringupError
from mile_bringup.graph import NodeSpec
from mile_bringup.supervisor import Command
from mile_learner.files import write_atomically


def node_command(node: NodeSpec, config_dir: Path) -> Command:
    """The process of one node; its parameters are written to `<config_dir>/<name>.yaml`.

    Raises:
        BringupError: the package is not installed, or has no such executable.
    """
    try:
        executable = Path(get_package_prefix(node.package)) / 'lib' / node.package / node.executable
    except PackageNotFoundError as error:
        msg = (
            f'{node.name}: ROS package {node.package} is not installed; install it (apt install ros-$ROS_DISTRO-{node.package}) or build it'
        )
        raise BringupError(msg) from error
    if not executable.is_file():
        msg = f'{node.name}: {executable} is missing; build the workspace'
        raise BringupError(msg)
    config_dir.mkdir(parents=True, exist_ok=True)
    parameters = config_dir / f'{node.name}.yaml'
    content = {f'/{node.namespace}/{node.name}': {'ros__parameters': dict(node.parameters)}}
    write_atomically(parameters, yaml.safe_dump(content, sort_keys=False).encode())
    remappings = (('__node', node.name), ('__ns', f'/{node.namespace}'), *node.remappings)
    arguments = [part for source, target in remappings for part in ('-r', f'{source}:={target}')]
    arguments += ['--enclave', enclave(node.namespace, node.name)]
    arguments += [part for file in (str(parameters), *node.params_files) for part in ('--params-file', file)]
    return Command(node.name, (str(executable), '--ros-args', *arguments), node.required)


def enclave(namespace: str, name: str) -> str:
    """Where a node's keys are in an SROS 2 keystore, if security is on; see config/security_policy.xml."""
    return f'/{namespace}/{name}'


def on_this_host(environment: Mapping[str, str]) -> dict[str, str]:
    """What keeps ROS on this host, unless the user said otherwise; Humble knows only the older variable."""
    humble = {'ROS_LOCALHOST_ONLY': '1'} if environment.get('ROS_DISTRO') == 'humble' else {}
    defaults = {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST', **humble}
    return {name: environment.get(name, value) for name, value in defaults.items()}


def shared_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What all nodes get, however they are started: one thread each, as nine of them share the cores, and ROS on this host."""
    return {'OMP_NUM_THREADS': environment.get('OMP_NUM_THREADS', '1'), **on_this_host(environment)}


def node_environment(environment: Mapping[str, str], *, domain: int, log_dir: Path) -> dict[str, str]:
    """The environment of all nodes: on this host alone unless the user said otherwise, in one domain, logs in one place."""
    return {
        **environment,
        **shared_environment(environment),
        'ROS_DOMAIN_ID': str(domain),
        'ROS_LOG_DIR': str(log_dir / 'ros'),
        'PYTHONUNBUFFERED': '1',
        'RCUTILS_COLORIZED_OUTPUT': '0',
    }
