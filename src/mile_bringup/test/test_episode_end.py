"""How an episode ends."""

from __future__ import annotations

import pytest

from mile_bringup.episode_end import EpisodeEnd
from mile_learner.step import Mode


def episode() -> EpisodeEnd:
    return EpisodeEnd(step_limit=10, hold_limit=20, success_steps=3)


def run(end: EpisodeEnd, mode: Mode, steps: int) -> str | None:
    for _ in range(steps):
        end.on_step(mode)
    return end.outcome


def test_success_must_be_held() -> None:
    end = episode()
    end.on_scene(True)
    assert run(end, Mode.AUTONOMOUS, 2) is None
    end.on_scene(False)
    assert run(end, Mode.AUTONOMOUS, 1) is None
    end.on_scene(True)
    assert run(end, Mode.HUMAN, 2) is None
    assert run(end, Mode.HUMAN, 1) == 'success'


def test_the_time_limit_counts_steps_on_which_somebody_acted() -> None:
    end = episode()
    assert run(end, Mode.HOLD, 15) is None
    assert run(end, Mode.HUMAN, 5) is None
    assert run(end, Mode.HOLD, 15) is None
    assert run(end, Mode.AUTONOMOUS, 4) is None
    assert run(end, Mode.AUTONOMOUS, 1) == 'timeout'


@pytest.mark.parametrize('mode', [Mode.HOLD, Mode.ESTOP])
def test_an_arm_held_for_long_aborts(mode: Mode) -> None:
    end = episode()
    assert run(end, mode, 19) is None
    assert run(end, mode, 1) == 'aborted'


@pytest.mark.parametrize(
    ('button', 'outcome'), [('button_success', 'success'), ('button_failure', 'failure'), ('button_discard', 'discarded')]
)
def test_a_button_ends_it_and_the_first_outcome_stays(button: str, outcome: str) -> None:
    end = episode()
    end.on_event('takeover')
    assert end.outcome is None
    end.on_event(button)
    end.on_event('button_failure')
    end.on_scene(True)
    assert run(end, Mode.AUTONOMOUS, 30) == outcome
