"""What the arbiter wants done; the node does it. Stamps in seconds since the epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from mile_learner.step import Mode, Source, Step

Action: TypeAlias = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class PublishTick:
    """A tick has begun: ask the policy for its action."""

    stamp: float
    episode_id: str
    index: int


@dataclass(frozen=True, slots=True)
class PublishCommand:
    """Command the arm: (dx, dy, dz, gripper), each finite and in [-1, 1]."""

    stamp: float
    episode_id: str
    index: int
    source: Source
    action: Action


@dataclass(frozen=True, slots=True)
class PublishStep:
    """A tick is over: record it."""

    step: Step


@dataclass(frozen=True, slots=True)
class PublishEvent:
    """Something happened that belongs in the record; `type` as in mile_msgs/Event."""

    stamp: float
    type: str
    episode_id: str
    index: int
    detail: str


@dataclass(frozen=True, slots=True)
class PublishStatus:
    """Who is in charge has changed."""

    stamp: float
    episode_id: str
    index: int
    mode: Mode
    source: Source
    reason: str
    policy_version: str


@dataclass(frozen=True, slots=True)
class RestartClock:
    """A tick began out of turn: the next one is due one period from now."""


Effect: TypeAlias = PublishTick | PublishCommand | PublishStep | PublishEvent | PublishStatus | RestartClock
