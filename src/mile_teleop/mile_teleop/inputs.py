"""What the arbiter is told, as plain data; field for field as the messages of mile_msgs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mile_learner.step import Source


@dataclass(frozen=True, slots=True)
class PolicyAnswer:
    """The policy's answer to one tick (mile_msgs/PolicyOutput); stamps in seconds since the epoch."""

    episode_id: str
    index: int
    observation: Sequence[float]
    observation_stamp: float
    image_stamp: float
    action: Sequence[float]
    valid: bool
    detail: str
    intervention_probability: float
    policy_version: str
    inference_ms: float


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What the safety gate made of one command (mile_msgs/CommandResult); `sent_target` is x, y, z [m], finger opening [m]."""

    episode_id: str
    index: int
    source: Source
    accepted: bool
    sent_target: Sequence[float]
    detail: str
