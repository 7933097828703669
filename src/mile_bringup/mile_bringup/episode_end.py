"""Decides when and how an episode ends, from its steps, the scene and the pad; counts steps instead of reading a clock."""

from __future__ import annotations

from mile_learner.step import Mode

BUTTONS = {'button_success': 'success', 'button_failure': 'failure', 'button_discard': 'discarded'}
"""Event types (mile_msgs/Event) that end an episode, and its outcome then."""
ACTING = (Mode.AUTONOMOUS, Mode.HUMAN)


class EpisodeEnd:
    """Watches one episode.

    Args:
        step_limit: steps of policy or human after which the episode is a 'timeout'; those on which the arm is held do not count.
        hold_limit: steps in a row on which the arm is held (or stopped) after which the episode is 'aborted'.
        success_steps: steps in a row for which the task's success test must hold.
    """

    def __init__(self, *, step_limit: int, hold_limit: int, success_steps: int = 3) -> None:
        self._step_limit = step_limit
        self._hold_limit = hold_limit
        self._success_steps = success_steps
        self._acted = 0
        self._held = 0
        self._succeeded = 0
        self._scene_success = False
        self.outcome: str | None = None
        """success, failure, discarded, timeout or aborted; None while the episode goes on. The first one stays."""

    def on_scene(self, success: bool) -> None:
        """The task's own success test, as last seen."""
        self._scene_success = success

    def on_event(self, event_type: str) -> None:
        """A button of the pad, or something else that does not matter here."""
        self._end(BUTTONS.get(event_type))

    def on_step(self, mode: Mode) -> None:
        """One more step was taken, in `mode`."""
        self._succeeded = self._succeeded + 1 if self._scene_success else 0
        self._held = 0 if mode in ACTING else self._held + 1
        self._acted += mode in ACTING
        if self._succeeded >= self._success_steps:
            self._end('success')
        elif self._acted >= self._step_limit:
            self._end('timeout')
        elif self._held >= self._hold_limit:
            self._end('aborted')

    def _end(self, outcome: str | None) -> None:
        if self.outcome is None:
            self.outcome = outcome
