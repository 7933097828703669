"""Whether the nodes of a deployment are up, as far as the graph of topics tells."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mile_learner.layout import scene_entries

HEARD = ('joy', 'arm_state', 'tick', 'policy_output', 'command', 'command_result', 'step', 'recorded', 'teleop_status')
"""Topics that have a publisher once the nodes are up."""
SCENE = 'scene'
NOBODY_SEES = 'a real arm needs a node that publishes it, or --observation pixels (docs/robot_pc.md)'
SOLE = ('tick', 'command')
"""Topics of the arbiter: two of them would mix two deployments."""


def unpublished(publishers: Callable[[str], int], layout: Sequence[str]) -> str:
    """The first topic that nobody publishes yet, empty if there is none.

    Args:
        publishers: counts them by topic.
        layout: of the observation; the scene is needed only where an entry comes from it.
    """
    needed = (*HEARD, SCENE) if scene_entries(layout) else HEARD
    return next((name for name in needed if not publishers(name)), '')


def published_twice(publishers: Callable[[str], int]) -> str:
    """The first topic that shows another deployment on the same graph, empty if there is none."""
    return next((name for name in SOLE if publishers(name) > 1), '')
