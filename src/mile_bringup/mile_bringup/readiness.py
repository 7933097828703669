"""Whether the nodes of a deployment are up, as far as the graph of topics tells."""

from __future__ import annotations

from collections.abc import Callable

HEARD = ('joy', 'scene', 'arm_state', 'tick', 'policy_output', 'command', 'command_result', 'step', 'recorded', 'teleop_status')
"""Topics that have a publisher once the nodes are up."""
SOLE = ('tick', 'command')
"""Topics of the arbiter: two of them would mix two deployments."""


def unpublished(publishers: Callable[[str], int]) -> str:
    """The first topic that nobody publishes yet, empty if there is none; `publishers` counts them by topic."""
    return next((name for name in HEARD if not publishers(name)), '')


def published_twice(publishers: Callable[[str], int]) -> str:
    """The first topic that shows another deployment on the same graph, empty if there is none."""
    return next((name for name in SOLE if publishers(name) > 1), '')
