"""The load bench: what it makes of its numbers, and its short form over real processes."""

from __future__ import annotations

from typing import Any

import pytest

from mile_bringup.bench_load import measure, report, summary

TICKS = {'n': 10, 'missed': 0, 'late_ms_p50': 0.1, 'late_ms_p99': 1.0, 'late_ms_max': 2.0, 'record_ms_p99': 3.0}
FLAT = {'first': 100.0, 'last': 100.0, 'growth': 0.0}
WELL = {
    'before_training': TICKS,
    'with_training': TICKS,
    'steps_dropped': 0,
    'images': {'n': 60, 'dropped': 0},
    'trainings': 1,
    'memory_mb': {'teleop_node': FLAT, 'learner_node': FLAT},
}


def test_a_machine_that_carries_it_misses_no_goal() -> None:
    assert report(WELL).code == 0
    assert report(WELL).data['missed'] == []


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        ({'steps_dropped': 2}, '2 steps dropped'),
        ({'images': {'n': 60, 'dropped': 3}}, '3 of 60 images dropped'),
        ({'with_training': TICKS | {'missed': 4}}, '4 ticks missed'),
        ({'with_training': TICKS | {'late_ms_p99': 4.5}}, 'p99 of the lateness is 4.5 ms, goal 4.0 ms'),
        ({'memory_mb': {'a': FLAT | {'growth': 6.0}, 'b': FLAT | {'growth': 5.0}}}, 'memory grew by 11.0 MB, goal 10 MB'),
    ],
)
def test_every_goal_can_be_missed(change: dict[str, Any], said: str) -> None:
    result = report(WELL | change)
    assert result.code == 1
    assert result.data['missed'] == [said]


def test_memory_is_judged_once_it_has_settled() -> None:
    assert summary([100.0, 150.0, *[200.0] * 4])['growth'] == pytest.approx(0.0)
    assert summary([float(second) for second in range(300)])['growth'] == pytest.approx(200.0)


@pytest.mark.ros
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_short_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('ROS_DOMAIN_ID', '57')
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    data = measure(6.0).data
    assert data['steps_dropped'] == 0
    assert data['with_training']['n'] > 100
    assert data['images']['n'] > 100
    assert set(data['memory_mb']) >= {'teleop_node', 'recorder_node', 'learner_node', 'left', 'right'}
