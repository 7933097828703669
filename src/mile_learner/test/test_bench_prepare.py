"""What all methods of a comparison share: made from the seed alone, resumed, extended; and which humans follow the robot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mile_learner.bench.prepare import gates_for, prepare, prepared_path


def test_preparation_is_in_the_band_calibrated_disjoint_and_reproducible(
    toy_task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench_toy import TINY

    prepared = prepare(toy_task, 0, TINY)
    account = prepared.account()
    assert 0.1 <= account['initial']['success'] <= 0.4
    assert account['expert']['success'] >= 0.8
    for gate, dial in account['humans'].items():
        assert dial['rate'] < 0.3, gate
    starts = prepared.starts
    assert len({*starts['train'], *starts['tune'], *starts['test']}) == TINY.train + TINY.tune + TINY.test
    assert prepare(toy_task, 1, TINY).starts['test'] == starts['test']
    assert not set(prepare(toy_task, 1, TINY).starts['train']) & set(starts['train'])
    assert 'differs from the paper' in (prepared.folder / 'account.md').read_text()
    monkeypatch.setenv('MILE_HOME', str(tmp_path))
    again = prepare(toy_task, 0, TINY).account()
    weights = [name for name in account['sha256'] if name.endswith('safetensors')]
    assert weights
    assert [again['sha256'][name] for name in weights] == [account['sha256'][name] for name in weights]
    assert again['humans'] == account['humans']


def test_humans_are_prepared_when_they_are_asked_for_and_what_is_there_stays(
    toy_task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench_toy import TINY

    monkeypatch.setenv('MILE_HOME', str(tmp_path))
    first = prepare(toy_task, 0, TINY, gates=gates_for(['delayed'])).account()
    assert list(first['humans']) == ['as_published', 'delayed']
    later = prepare(toy_task, 0, TINY, gates=gates_for(['holding'])).account()
    assert list(later['humans']) == ['as_published', 'delayed', 'holding']
    assert {gate: later['humans'][gate] for gate in first['humans']} == first['humans']
    assert {name: later['sha256'][name] for name in first['sha256']} == first['sha256']


@pytest.mark.parametrize(('gate', 'follows'), [('as_published', False), ('informed', True), ('holding', True)])
def test_whose_mental_model_follows_the_robot(toy_task: str, gate: str, follows: bool) -> None:
    from bench_toy import TINY

    prepared = prepare(toy_task, 0, TINY)
    starts = prepared.starts['train'][:4]
    robots = [prepared.bundle(gate), prepare(toy_task, 1, TINY).bundle(gate)]
    seen = [prepared.play(starts, bundle=robots[0], supervisor=prepared.human(gate, robot)) for robot in robots]
    same = all(np.array_equal(one.intervening, other.intervening) for one, other in zip(*seen, strict=True))
    assert same != follows


def test_an_interrupted_preparation_goes_on(toy_task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench_toy import TINY

    monkeypatch.setenv('MILE_HOME', str(tmp_path))

    def interrupt(part: str) -> None:
        if part.startswith('human'):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(toy_task, 0, TINY, note=interrupt)
    made = prepared_path(toy_task, 0, TINY) / 'initial' / 'manifest.json'
    before = made.stat().st_mtime_ns
    notes: list[str] = []
    prepare(toy_task, 0, TINY, note=notes.append)
    assert made.stat().st_mtime_ns == before
    assert not any(note.startswith('initial') for note in notes)
