"""ROS parameters from a frozen configuration dataclass: declared once, typed, ranged, read-only."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.node import Node

C = TypeVar('C')


def declare_from(node: Node, config_class: type[C]) -> C:
    """Declare one read-only parameter per field of `config_class` and build it from their values.

    Fields carry `metadata['doc']` (see `mile_learner.config.option`). A field without default is a required parameter.

    Raises:
        ValueError: a required parameter was not given, or the class refuses the values.
    """
    values: dict[str, Any] = {}
    for field in dataclasses.fields(config_class):  # type: ignore[arg-type]
        descriptor = ParameterDescriptor(description=field.metadata.get('doc', ''), read_only=True, dynamic_typing=True)
        default = None if field.default is dataclasses.MISSING else field.default
        if isinstance(default, tuple):
            default = list(default)
        value = node.declare_parameter(field.name, default, descriptor).value
        if value is None:
            if field.default is dataclasses.MISSING:
                msg = f'{node.get_name()}: parameter {field.name!r} is missing; it is: {descriptor.description}'
                raise ValueError(msg)
            continue
        values[field.name] = value
    return config_class(**values)
