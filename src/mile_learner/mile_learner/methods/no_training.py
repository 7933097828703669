"""No training: the initial policy as it is, the lower reference of every comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mile_learner.bundle import Bundle
from mile_learner.config import Config
from mile_learner.methods.base import InterventionData
from mile_learner.methods.training import Report


@dataclass(frozen=True)
class NoTrainingConfig(Config):
    """Nothing to choose."""


class NoTraining:
    """Returns the bundle that it was given."""

    def configure(self, task: str) -> NoTrainingConfig:  # noqa: ARG002
        """Nothing to choose."""
        return NoTrainingConfig()

    def fit(self, data: InterventionData, start: Bundle, *, config: Any, seed: int, progress: Report | None = None) -> Bundle:  # noqa: ARG002
        """The same bundle again."""
        return start
