"""What the progress line of `mile deploy` tells the person."""

from __future__ import annotations

import pytest

from mile_bringup.cli_deploy import _describe

EPISODE = {'phase': 'episode', 'iteration': 0, 'episode': 1, 'steps': 12}


@pytest.mark.parametrize(
    ('status', 'line'),
    [
        ({'mode': 'autonomous', 'reason': ''}, 'iteration 0 episode 1: autonomous 12 steps'),
        ({'mode': 'hold', 'reason': 'policy: silent for 0.61 s'}, 'iteration 0 episode 1: hold 12 steps, policy: silent for 0.61 s'),
        ({'mode': 'estop', 'reason': 'e-stop: service', 'iteration': None}, 'episode 1: estop 12 steps, e-stop: service'),
    ],
)
def test_it_says_why_the_arm_is_held(status: dict[str, object], line: str) -> None:
    assert _describe(EPISODE | status) == line
