"""What an episode was recorded under, from the bag's own configuration."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mile_learner.errors import LearnerError

Corner = tuple[float, float, float]


@dataclass(frozen=True)
class Limits:
    """What the episode was recorded under: the task's limits, and the arbiter's timeouts."""

    period_s: float
    step_size_m: float
    gripper_step_m: float
    workspace_low: Corner
    workspace_high: Corner
    pad_timeout_s: float = 0.5
    pad_lost_s: float = 2.0
    policy_timeout_s: float = 0.5
    arm_timeout_s: float = 0.5

    @classmethod
    def of(cls, metadata: Mapping[str, Any], source: Path) -> Limits:
        """From the bag's own configuration.

        Raises:
            LearnerError: the bag does not hold it.
        """
        try:
            configuration = metadata['configuration']
            task = configuration['task']
            speed = float((configuration.get('session') or {}).get('speed', 1.0))
            given = configuration.get('teleop') or {}
            timeouts = {name.name: float(given[name.name]) for name in dataclasses.fields(cls) if name.name in given}
            return cls(
                period_s=1.0 / float(task['rate_hz']) / speed,
                step_size_m=float(task['step_size_m']),
                gripper_step_m=float(task['gripper_step_m']),
                workspace_low=_corner(*task['workspace_low']),
                workspace_high=_corner(*task['workspace_high']),
                **timeouts,
            )
        except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
            msg = f'{source}: does not hold the configuration it was recorded under ({error!r}); its invariants cannot be judged'
            raise LearnerError(msg) from error


def _corner(x: Any, y: Any, z: Any) -> Corner:
    return float(x), float(y), float(z)
