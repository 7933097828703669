"""The parameter file of `--params-file`, read before ROS reads it: rcl passes over what it does not know, and says nothing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mile_bringup.graph import NodeSpec
from mile_learner.config import ConfigError, read_yaml_mapping

EVERY_NODE = '/**'
WHOLE = ('teleop_node', 'arm_node', 'camera_node')
"""Nodes of which the graph knows every parameter."""


def check_params_file(path: Path, nodes: Iterable[NodeSpec]) -> None:
    """Whether a parameter file reaches nodes of the graph, and parameters that they have.

    Raises:
        ConfigError: it does not.
    """
    known = {f'/{node.namespace}/{node.name}': node for node in nodes}
    for name, content in read_yaml_mapping(path).items():
        if name != EVERY_NODE and name not in known:
            msg = f'{path}: got {name!r}, expected {EVERY_NODE} or one of {", ".join(known)}'
            raise ConfigError(msg)
        values = content.get('ros__parameters') if isinstance(content, dict) and len(content) == 1 else None
        if not isinstance(values, dict):
            msg = f'{path}: {name}: got {str(content)[:80]}, expected a mapping ros__parameters: of parameters to values'
            raise ConfigError(msg)
        node = known.get(name)
        unknown = [key for key in values if node is not None and node.name in WHOLE and key not in node.parameters]
        if unknown:
            msg = f'{path}: {name}: got {unknown[0]!r}, expected one of {", ".join(known[name].parameters)}'
            raise ConfigError(msg)
        strings = [key for key, value in values.items() if node and isinstance(value, str) and _is_number(node.parameters.get(key))]
        if strings:
            msg = f'{path}: {name}: {strings[0]}: got {values[strings[0]]!r}, expected a number'
            raise ConfigError(msg)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
