"""The step record (s, a_r, a_h, nu) as plain data, the same in bags, on topics and in training."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
ACTION_DIM = 4


class Source(IntEnum):
    """Who commands the arm; values as in mile_msgs/Step."""

    HOLD = 0
    POLICY = 1
    HUMAN = 2


class Mode(IntEnum):
    """The arbiter's mode; values as in mile_msgs/Step."""

    IDLE = 0
    AUTONOMOUS = 1
    HUMAN = 2
    HOLD = 3
    ESTOP = 4


class Gate(IntEnum):
    """Who decided that the human acts; values as in mile_msgs/Step."""

    NONE = 0
    HUMAN = 1
    ROBOT = 2


@dataclass(frozen=True)
class Step:
    """One control tick.

    Attributes:
        stamp: time of the tick [s].
        episode_id: which episode.
        index: which tick of it, from 0 without gaps.
        observation: what the policy consumed before history stacking, shape (d,); empty if none arrived in time.
        observation_stamp: when it was seen [s].
        image_stamp: when the image was taken [s]; 0 where none is used.
        robot_action: a_r, shape (4,), each in [-1, 1].
        robot_action_valid: whether a_r was computed for this tick.
        human_action: a_h, shape (4,); meaningful only where `intervening`.
        intervening: nu.
        executed_action: after arbitration, shape (4,).
        sent_target: after the safety gate, shape (4,): x, y, z [m], finger opening [m]; NaN if not confirmed.
        source: who commanded.
        mode: the arbiter's mode.
        gate: who decided on the takeover.
        intervention_probability: p(nu=1|s) under the deployed model, NaN where there is none.
        policy_version: which policy computed a_r.
        inference_ms: how long that took [ms].
        tick_late_ms: how late the tick was [ms].
    """

    stamp: float
    episode_id: str
    index: int
    observation: Array
    observation_stamp: float
    image_stamp: float
    robot_action: Array
    robot_action_valid: bool
    human_action: Array
    intervening: bool
    executed_action: Array
    sent_target: Array
    source: Source
    mode: Mode
    gate: Gate
    intervention_probability: float
    policy_version: str
    inference_ms: float
    tick_late_ms: float
