"""Which sources may be obeyed now, and why not: pad, arm, policy, and the recorder, without which nothing may move."""

from __future__ import annotations

from mile_teleop.arbiter_config import ArbiterConfig
from mile_teleop.inputs import PolicyAnswer
from mile_teleop.pad import PadMapping
from mile_teleop.watchdog import PadWatch, Watchdog


class Vitals:
    """Gathers the signs of life of all sources; times are monotonic [s].

    Args:
        config: the time-outs.
        mapping: what the pad's messages mean.
    """

    def __init__(self, config: ArbiterConfig, mapping: PadMapping) -> None:
        self.pad = PadWatch(mapping, config.pad_timeout_s, config.pad_lost_s)
        self._arm = Watchdog('arm', config.arm_timeout_s)
        self._recorder = Watchdog('recorder', config.recorder_timeout_s)
        self._policy = Watchdog('policy', config.policy_timeout_s)
        self._arm_fault = self._policy_fault = ''
        self.policy_unheard = 'policy: no answer yet'
        """Why it is not known yet that the policy is there and sees; empty once it was."""

    def begin_episode(self, now: float) -> None:
        """The policy has until its time-out to answer the first tick."""
        self._policy.feed(now)
        self._policy_fault = ''

    def arm_lives(self, now: float, *, ready: bool, fault: str) -> None:
        """The arm told how it is."""
        self._arm.feed(now)
        self._arm_fault = f'arm: {fault}' if fault else '' if ready else 'arm: not ready'

    def recorder_lives(self, now: float) -> None:
        """The recorder writes what it gets."""
        self._recorder.feed(now)

    def policy_answers(self, now: float, fault: str) -> None:
        """The policy answered the running tick, perhaps with what is no use."""
        self._policy_fault = fault
        if not fault:
            self._policy.feed(now)

    def policy_is_there(self, answer: PolicyAnswer) -> None:
        """The policy answered a tick of no episode; without an observation it still waits for something itself."""
        self.policy_unheard = '' if len(answer.observation) else f'policy: {answer.detail}'

    def fault(self, now: float) -> str:
        """Why the arm may not be moved by anybody; empty if it may."""
        return self.pad.fault(now) or self._arm_fault or self._arm.fault(now) or self._recorder.fault(now)

    def policy_fault(self, now: float) -> str:
        """Why the policy is not obeyed; empty if it is."""
        return self._policy_fault or self._policy.fault(now)
