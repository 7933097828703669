"""What a cell was made with, and what a report says where that differs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from mile_learner.bench import provenance
from mile_learner.bench.provenance import ABSENT, PACKAGES, differences_text, made_with


@pytest.fixture(autouse=True)
def _afresh() -> Iterator[None]:
    made_with.cache_clear()
    yield
    made_with.cache_clear()


def test_every_package_that_can_give_other_numbers_is_said() -> None:
    found = made_with()
    assert {'numpy', 'metaworld', 'box2d', 'torch', 'mujoco'} < set(PACKAGES)
    assert found['numpy'] == version('numpy')
    assert set(found) == {*PACKAGES, 'mile_learner', 'mile_sim', 'cpu'}


def test_a_package_that_is_not_installed_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, 'PACKAGES', ('no-such-package',))
    monkeypatch.setattr(provenance, 'SOURCES', ('no_such_package',))
    found = made_with()
    assert found == {'no-such-package': ABSENT, 'no_such_package': ABSENT, 'cpu': found['cpu']}


def test_a_revision_follows_from_the_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / 'simulated'
    package.mkdir()
    (package / '__init__.py').touch()
    monkeypatch.setattr(sys, 'path', [str(tmp_path), *sys.path])
    monkeypatch.setattr(provenance, 'SOURCES', ('simulated',))
    seen = []
    for text in ('weight = 1', 'weight = 2', 'weight = 1'):
        (package / 'world.py').write_text(text)
        made_with.cache_clear()
        seen.append(made_with()['simulated'])
    assert seen[0] == seen[2] != seen[1]


def test_what_was_not_noted_yet_is_no_difference() -> None:
    before = {'mile_learner': 'a', 'torch': '2'}
    assert differences_text([before, before | {'numpy': '2', 'mile_sim': 'b'}]) == []
    text, _ = differences_text([before, before | {'numpy': '2'}, before | {'numpy': '1'}])
    assert text == '**Not all cells were made alike** (cells with each): numpy 1 (1), 2 (1).'
    text, _ = differences_text([{}, {'torch': '2'}])
    assert text.endswith('torch 2 (1), unknown (1).'), 'a cell that says nothing may have been made with anything'
