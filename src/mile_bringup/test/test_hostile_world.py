"""The invariants in random hostile worlds around the real arbiter, arm and gate; and the judge finds what is broken on purpose."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mile_bringup.bench_invariants import measure, setting
from mile_bringup.errors import BringupError
from mile_bringup.hostile_world import HostileWorld, InvariantBroken
from mile_policy_node.arm import Arm
from mile_policy_node.gate import SafetyGate
from mile_teleop.arbiter import Arbiter
from mile_teleop.open_step import OpenStep
from mile_teleop.takeover import Takeover
from mile_teleop.watchdog import PadWatch, Watchdog


def test_a_hundred_thousand_hostile_transitions_break_nothing_and_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    file = tmp_path / 'state.json'
    measure(20_000, 0, file)
    assert json.loads(file.read_text())['transitions'] < 40_000
    report = measure(100_000, 0, file)
    assert report.data['transitions'] >= 100_000
    assert set(report.data['checked']) == {f'I{number}' for number in range(1, 10)}
    assert min(report.data['checked'].values()) > 100
    with pytest.raises(BringupError, match='holds the account of seed 0'):
        measure(1, 1, file)


def live_through(worlds: int, *, with_arm: bool) -> None:
    shared = setting()
    for seed in range(worlds):
        HostileWorld(shared, seed, with_arm=with_arm).run(5000)


def never(*_: object) -> str:
    return ''


def forget(takeover: Takeover) -> None:
    takeover.engaged, takeover._awaits_press = False, ''


BREAKS: dict[str, tuple[str, type, str, Callable[..., object]]] = {
    'silence is obeyed': ('I5', Watchdog, 'fault', never),
    'a lost pad is obeyed': ('I[56]', PadWatch, 'loss', never),
    'a reset of the e-stop is enough': ('I[127]', Takeover, 'await_press', never),
    'the next episode is enough': ('I7', Takeover, 'begin', forget),
    'an arm that had a fault is driven on': ('I7', Arbiter, '_doubt_arm', lambda self, episode_id, **_: None),  # noqa: ARG005
    'an old answer is obeyed': ('I[1458]', OpenStep, 'is_answered_by', lambda self, answer: self.answer is None),  # noqa: ARG005
    'the gripper jumps': ('I3', SafetyGate, '_grip', lambda self, command, causes: 0.05 if command > 0 else 0.022),  # noqa: ARG005
    'doubled commands are executed': ('I1', Arm, '_objection', never),
    'late commands are executed': ('I5', Arm, '_lateness', lambda self, command, now: 0.0),  # noqa: ARG005
}


@pytest.mark.parametrize('name', BREAKS)
def test_what_is_broken_on_purpose_is_found(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    invariant, owner, attribute, replacement = BREAKS[name]
    monkeypatch.setattr(owner, attribute, replacement)
    with pytest.raises(InvariantBroken, match=invariant):
        live_through(40, with_arm=owner in (SafetyGate, Arm))
