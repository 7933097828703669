"""The latency bench over real processes: it measures what it says, and the policy is silent after a takeover."""

from __future__ import annotations

import pytest

from mile_bringup.bench_latency import latencies, run
from mile_learner.step import Source

pytestmark = pytest.mark.ros


def test_it_measures_takeovers_relay_and_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('ROS_DOMAIN_ID', '61')
    monkeypatch.setenv('ROS_PYTHON_CHECK_FIELDS', '1')
    data = run(repeats=3, seconds=1.0)
    assert data['takeover_ms']['n'] == 3
    assert data['relay_ms']['n'] >= 1
    assert 0.0 < data['takeover_ms']['p50'] <= data['takeover_ms']['max']
    assert (data['policy_commands_after_takeover'], data['takeovers_lost']) == (0, 0)
    assert set(data['ticks']) == {'10', '50'}
    assert data['ticks']['50']['n'] > data['ticks']['10']['n'] > 1


def test_it_counts_what_must_not_happen() -> None:
    ms = 1_000_000
    commands = [
        (5 * ms, Source.POLICY),
        (12 * ms, Source.POLICY),
        (13 * ms, Source.HUMAN),
        (14 * ms, Source.POLICY),
        (31 * ms, Source.HUMAN),
    ]
    log = {'commands': [(at, int(source)) for at, source in commands], 'relayed': [(0, 4 * ms), (2, 9 * ms)]}
    data = latencies([(10 * ms, 20 * ms), (21 * ms, 30 * ms)], [ms, 2 * ms, 3 * ms], log)
    assert (data['policy_commands_after_takeover'], data['takeovers_lost']) == (1, 1)
    assert data['takeover_ms'] == {'n': 1, 'p50': 3.0, 'p99': 3.0, 'max': 3.0}
    assert data['relay_ms']['n'] == 2
    assert data['relay_ms']['p50'] == pytest.approx(4.5)
