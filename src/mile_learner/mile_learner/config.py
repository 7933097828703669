"""Typed, ranged configuration: frozen dataclasses that say their units and refuse what is out of range.

A configuration class is a frozen dataclass that derives from `Config` and declares its fields with `option`.
The same declaration serves YAML files, ROS parameters (`mile_ros.parameters`) and command-line overrides.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import operator
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from mile_learner.plain_text import load_yaml

C = TypeVar('C', bound='Config')
_EXPONENT = re.compile(r'[-+]?\d+(\.\d*)?[eE][-+]?\d+')
"""A number that YAML 1.1 takes for text, such as 1e-3."""
_BOUNDS = {'ge': ('>=', operator.ge), 'gt': ('>', operator.gt), 'le': ('<=', operator.le), 'lt': ('<', operator.lt)}


class ConfigError(ValueError):
    """A configuration that cannot be used; the message is one line for the person who wrote it."""


def option(
    default: Any = dataclasses.MISSING,
    *,
    doc: str,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    choices: tuple[Any, ...] | None = None,
) -> Any:
    """Declare one field: its default, what it means (with the unit in brackets), and its range (per element for tuples)."""
    metadata = {'doc': doc, 'ge': ge, 'gt': gt, 'le': le, 'lt': lt, 'choices': choices}
    return dataclasses.field(default=default, metadata=metadata, kw_only=True)


@dataclasses.dataclass(frozen=True)
class Config:
    """Base of all configuration classes; checks every declared range on construction."""

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for field in dataclasses.fields(self):
            value = _convert(field.name, getattr(self, field.name), hints[field.name])
            object.__setattr__(self, field.name, value)
            for element in value if isinstance(value, tuple) else (value,):
                _check(field.name, element, field.metadata)

    @classmethod
    def from_mapping(cls: type[C], values: Mapping[str, Any], *, source: str = 'configuration') -> C:
        """Build from a mapping; unknown keys are errors that name the nearest valid key.

        Raises:
            ConfigError: unknown or missing key, wrong type, value out of range.
        """
        fields = {field.name: field for field in dataclasses.fields(cls)}
        for key in values:
            if key not in fields:
                near = difflib.get_close_matches(str(key), fields, n=1)
                hint = f'did you mean {near[0]!r}?' if near else f'valid keys: {", ".join(fields)}'
                msg = f'{source}: unknown key {key!r}; {hint}'
                raise ConfigError(msg)
        for name, field in fields.items():
            if name not in values and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                msg = f'{source}: key {name!r} is missing; it is: {field.metadata.get("doc", name)}'
                raise ConfigError(msg)
        try:
            return cls(**dict(values))
        except ConfigError as error:
            msg = f'{source}: {str(error)[:300]}'
            raise ConfigError(msg) from None

    @classmethod
    def from_yaml(cls: type[C], path: Path) -> C:
        """Read one YAML mapping.

        Raises:
            ConfigError: no such file, not YAML, not a mapping, or content that `from_mapping` refuses.
        """
        return cls.from_mapping(read_yaml_mapping(path), source=str(path))

    def to_mapping(self) -> dict[str, Any]:
        """Plain values, ready for JSON or YAML."""
        return dataclasses.asdict(self)


def read_yaml_mapping(path: Path) -> dict[str, Any]:
    """Read a YAML file that must hold one mapping.

    Raises:
        ConfigError: no such file, not YAML, or not a mapping.
    """
    try:
        content = load_yaml(path.read_text(encoding='utf-8'))
    except OSError as error:
        msg = f'{path}: cannot be read ({error.strerror}); give the path of an existing YAML file'
        raise ConfigError(msg) from error
    except ValueError as error:
        msg = f'{path}: is not YAML ({" ".join(str(error).split())})'
        raise ConfigError(msg) from error
    if not isinstance(content, dict):
        msg = f'{path}: got {type(content).__name__}, expected a mapping of keys to values'
        raise ConfigError(msg)
    return content


def _convert(name: str, value: Any, hint: Any) -> Any:
    """Bring lists to tuples, and whole numbers and 1e-3 to floats; refuse every other mismatch."""
    origin = getattr(hint, '__origin__', hint)
    if origin is tuple:
        args = hint.__args__
        if not isinstance(value, (list, tuple)):
            msg = f'{name}: got {value!r}, expected a list'
            raise ConfigError(msg)
        if args[-1] is not Ellipsis and len(value) != len(args):
            msg = f'{name}: got {len(value)} values, expected {len(args)}'
            raise ConfigError(msg)
        return tuple(_convert(name, element, args[0]) for element in value)
    if origin is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if origin is float and isinstance(value, str) and _EXPONENT.fullmatch(value):
        return float(value)
    if isinstance(origin, type) and (not isinstance(value, origin) or (origin is not bool and isinstance(value, bool))):
        msg = f'{name}: got {value!r}, expected {origin.__name__}'
        raise ConfigError(msg)
    return value


def _check(name: str, value: Any, rules: Mapping[str, Any]) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        msg = f'{name}: got {value}, expected a finite number'
        raise ConfigError(msg)
    bounds = [(sign, holds, rules[key]) for key, (sign, holds) in _BOUNDS.items() if rules.get(key) is not None]
    if not all(holds(value, limit) for _, holds, limit in bounds):
        msg = f'{name}: got {value!r}, expected {" and ".join(f"{sign} {limit}" for sign, _, limit in bounds)}'
        raise ConfigError(msg)
    choices = rules.get('choices')
    if choices is not None and value not in choices:
        msg = f'{name}: got {value!r}, expected one of {", ".join(map(repr, choices))}'
        raise ConfigError(msg)
