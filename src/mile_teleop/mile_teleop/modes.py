"""Who is in charge: the modes and the transitions between them.

IDLE        no episode is running; nothing is commanded
AUTONOMOUS  the policy's answer to each tick is commanded
HUMAN       the pad is commanded; the policy runs as a shadow
HOLD        the arm keeps its target: a source is lost, a hand-back is fresh, or a person is waited for
ESTOP       latched; only an explicit reset leaves it
"""

from __future__ import annotations

from collections.abc import Mapping

from mile_learner.step import Mode, Source

TRANSITIONS: Mapping[Mode, frozenset[Mode]] = {
    Mode.IDLE: frozenset({Mode.AUTONOMOUS, Mode.HUMAN, Mode.HOLD, Mode.ESTOP}),
    Mode.AUTONOMOUS: frozenset({Mode.HUMAN, Mode.HOLD, Mode.IDLE, Mode.ESTOP}),
    Mode.HUMAN: frozenset({Mode.HOLD, Mode.IDLE, Mode.ESTOP}),
    Mode.HOLD: frozenset({Mode.AUTONOMOUS, Mode.HUMAN, Mode.IDLE, Mode.ESTOP}),
    Mode.ESTOP: frozenset({Mode.HOLD, Mode.IDLE}),
}
"""HUMAN never leads straight to AUTONOMOUS: a hand-back passes through HOLD, for the grace period or at least to the next tick."""

SOURCE: Mapping[Mode, Source] = {
    Mode.IDLE: Source.HOLD,
    Mode.AUTONOMOUS: Source.POLICY,
    Mode.HUMAN: Source.HUMAN,
    Mode.HOLD: Source.HOLD,
    Mode.ESTOP: Source.HOLD,
}
"""The one source that a mode obeys."""
