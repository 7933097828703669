"""What is reported of one injected fault, and whether that is what was to be reached."""

from __future__ import annotations

from dataclasses import dataclass, field

HOLD = 'hold'
"""The arm stands still until the fault is over."""
UNHARMED = 'unharmed'
"""Nothing that matters happens."""
ENDED = 'ended'
"""The deployment ends, and is to be resumed by the command that started it."""
TRAINING_ENDED = 'training ended'
"""The same, where no arm moves."""


@dataclass
class Outcome:
    """One fault.

    Attributes:
        fault: its name.
        expected: HOLD, UNHARMED, ENDED or TRAINING_ENDED.
        hold_ms: from the fault to the last target that the arm's motors got before they stood still [ms]; None where they need not.
        limit_ms: how long that may take: the time-out of the source that failed and one tick [ms]; None where nothing says so.
        policy_commands_after: commands of the policy when it was no longer to command: after the limit; in a takeover from the fault on.
        steps_lost: executed, but neither in a bag nor to be salvaged.
        steps_lost_limit: so many may be, in the last second of an open episode.
        committed_lost: episodes that were whole before the fault and are not what they were.
        resumed: whether it went on when the fault was over, or by the command that started it; None if that was not tried.
        told: what a person was told, the first line of it.
        orphans: processes of the deployment that outlived it.
        stale_locks: claims and locks that outlived it.
        violations: what the bag shows of broken invariants.
    """

    fault: str
    expected: str
    hold_ms: float | None = None
    limit_ms: float | None = None
    policy_commands_after: int = 0
    steps_lost: int = 0
    steps_lost_limit: int = 0
    committed_lost: int = 0
    resumed: bool | None = None
    told: str = ''
    orphans: int = 0
    stale_locks: int = 0
    violations: list[str] = field(default_factory=list)

    def missed(self) -> list[str]:
        """Every goal that was missed, in words."""
        late = self.hold_ms is not None and self.limit_ms is not None and self.hold_ms > self.limit_ms
        goals = (
            (late, f'the arm moved for {self.hold_ms or 0:.0f} ms, limit {self.limit_ms or 0:.0f} ms'),
            (self.policy_commands_after, f'{self.policy_commands_after} commands of the policy when it was not to command'),
            (self.steps_lost > self.steps_lost_limit, f'{self.steps_lost} steps lost, limit {self.steps_lost_limit}'),
            (self.committed_lost, f'{self.committed_lost} whole episodes lost'),
            (self.resumed is False, 'it did not go on'),
            (self.expected != UNHARMED and not self.told, 'nobody was told'),
            (self.orphans, f'{self.orphans} orphans'),
            (self.stale_locks, f'{self.stale_locks} stale locks'),
            (self.violations, '; '.join(self.violations)),
        )
        return [text for missed, text in goals if missed]
