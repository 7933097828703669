"""The measurement of the learner's speed: it measures something of everything that it names, and says it."""

from __future__ import annotations

import json
import math

import pytest

from mile_learner.bench import learner_speed as bench


def test_it_reports_finite_ratios_of_every_way_to_take_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, 'BATCHES', (64, 128))
    monkeypatch.setattr(bench, 'SAMPLES', 10)
    monkeypatch.setattr(bench, 'EPOCHS_PER_TURN', 1)
    found = bench.learner_speed(None, turns=1, epochs=1, progress=False)
    assert {setting: set(sizes) for setting, sizes in found['steps'].items()} == {key: {'64', '128'} for key in bench.OBSERVATIONS}
    for step in [step for sizes in found['steps'].values() for step in sizes.values()]:
        assert {'mile_ms', 'bc_ms', 'networks_ms', 'sampled_ms', 'mile_to_networks', 'mile_to_bc', 'sampled_to_mile'} == set(step)
        assert all(math.isfinite(value) and value > 0 for value in step.values())
        assert step['mile_to_networks'] == pytest.approx(step['mile_ms'] / step['networks_ms'])
    assert found['round']['seconds'] > 0
    assert found['round']['steps'] == bench.EPISODES * bench.STEPS
    assert found['bags'] is None
    assert json.loads(json.dumps(found)) == found
    assert bench.speed_text(found).count('two networks alone') == 8
