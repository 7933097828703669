"""What trains between the iterations of a deployment: config/learner_<name>.yaml. The methods import torch, reading the file does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mile_learner.config import Config, option
from mile_learner.errors import LearnerError


@dataclass(frozen=True)
class LearnerConfig(Config):
    """Read from config/learner_<name>.yaml."""

    method: str = option('mile', doc='what trains')
    options: Mapping[str, Any] = option(doc="the method's options that differ from its defaults for the task; {}: none")


def method_config(method: str, task: str, options: Mapping[str, Any]) -> Config:
    """The configuration of `method` for `task`: its defaults, and these options instead.

    Raises:
        LearnerError: unknown method.
        ConfigError: unknown or out-of-range options.
    """
    from mile_learner.methods import METHODS

    if method not in METHODS:
        msg = f'method: got {method!r}, expected one of {", ".join(METHODS)}; from demonstrations alone behaviour_cloning'
        raise LearnerError(msg)
    config = METHODS[method].configure(task)
    return type(config).from_mapping(config.to_mapping() | dict(options), source=f'options of {method}')
