"""Size and range of a Gaussian policy's network: what has to be known before there are weights. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

from mile_learner.config import Config, ConfigError, option


@dataclass(frozen=True)
class Architecture(Config):
    """Size and range of one Gaussian MLP."""

    input_dim: int = option(doc='length of the stacked observation', ge=1)
    action_dim: int = option(doc='length of the action', ge=1)
    hidden: tuple[int, ...] = option((256, 256), doc='widths of the hidden layers', ge=1)
    log_std_min: float = option(-2.0, doc='floor of the log standard deviation: exp(-2) = 0.135 of a full-scale action')
    log_std_max: float = option(1.0, doc='ceiling of the log standard deviation')

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.log_std_min >= self.log_std_max:
            msg = f'log_std: got min {self.log_std_min} and max {self.log_std_max}, expected min < max'
            raise ConfigError(msg)
