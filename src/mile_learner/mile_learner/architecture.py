"""Size and kind of a network: what has to be known before there are weights. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

from mile_learner.config import Config, ConfigError, option


@dataclass(frozen=True)
class Architecture(Config):
    """Size, kind and range of one MLP."""

    input_dim: int = option(doc='length of the stacked observation', ge=1)
    action_dim: int = option(doc='length of the action; categorical: number of actions; bernoulli: 1', ge=1)
    hidden: tuple[int, ...] = option((256, 256), doc='widths of the hidden layers', ge=1)
    log_std_min: float = option(-2.0, doc='floor of the log standard deviation: exp(-2) = 0.135 of a full-scale action; continuous actions')
    log_std_max: float = option(1.0, doc='ceiling of the log standard deviation; continuous actions')
    distribution: str = option(
        'gaussian',
        doc='over what: continuous actions (three classes), the numbers of discrete actions, or nu (a classifier of interventions)',
        choices=('gaussian', 'squashed', 'mixture', 'categorical', 'bernoulli'),
    )
    components: int = option(5, doc='Gaussians in a mixture', ge=1, le=32)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.log_std_min >= self.log_std_max:
            msg = f'log_std: got min {self.log_std_min} and max {self.log_std_max}, expected min < max'
            raise ConfigError(msg)
