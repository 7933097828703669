"""How the arbiter hands over, and whom it trusts for how long."""

from __future__ import annotations

from dataclasses import dataclass

from mile_learner.config import Config, option
from mile_teleop.takeover import HOLD_STYLE, TOGGLE_STYLE


@dataclass(frozen=True)
class ArbiterConfig(Config):
    """Read from config/teleop.yaml. Time-outs guard processes and links and do not scale with `speed`; the grace period does."""

    takeover: str = option(HOLD_STYLE, doc='the takeover button is held (dead-man) or toggled', choices=(HOLD_STYLE, TOGGLE_STYLE))
    hand_back_grace_s: float = option(0.6, doc='the arm holds this long after a hand-back [s]', ge=0.0, le=10.0)
    gripper_speed: float = option(3.5, doc='how fast the buttons move the gripper, from -1 (closed) to +1 (open) [1/s]', gt=0.0, le=100.0)
    pad_timeout_s: float = option(0.5, doc='a pad silent for longer is not obeyed [s]', gt=0.0, le=5.0)
    pad_lost_s: float = option(2.0, doc='a pad silent, or stuck in a state that is not rest, for longer is lost [s]', gt=0.0, le=60.0)
    policy_timeout_s: float = option(0.5, doc='a policy without a valid answer for longer is not obeyed [s]', gt=0.0, le=5.0)
    arm_timeout_s: float = option(0.5, doc='an arm silent for longer is not commanded [s]', gt=0.0, le=5.0)
    recorder_timeout_s: float = option(1.0, doc='while the recorder is silent for longer, the arm holds [s]', gt=0.0, le=60.0)
    record_wait_s: float = option(1.0, doc='a step waits so long for its answers, then it is recorded without [s]', ge=0.0, le=3.0)

    @property
    def warning(self) -> str:
        """What is allowed, but not safe with every driver of a pad; empty if nothing is."""
        if self.hand_back_grace_s > self.pad_timeout_s:
            return ''
        return (
            f'hand_back_grace_s is {self.hand_back_grace_s:g} s, pad_timeout_s {self.pad_timeout_s:g} s: when a pad vanishes in a takeover '
            'and its driver makes up releases (ROS joy does), the policy drives before the silence is noticed; make the first longer'
        )
