"""Raw records are read back whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mile_learner.bench.results import read_results
from mile_learner.bench.suites import Cell
from mile_learner.errors import LearnerError

HEAD = {'suite': 'iterative', 'task': 'door', 'human': 'delayed', 'method': 'mile', 'seed': 0, 'demonstrations': 0}
TEST = {'kind': 'test', 'success': True, 'return': 1.0}


def _write(out: Path, head: dict[str, Any], records: list[Any], *, test: int = 2) -> None:
    (out / 'cells').mkdir(exist_ok=True)
    for there in (out / 'cells').iterdir():
        there.unlink()
    lines = [head | {'options': {'quick': False, 'test': test}}, *records]
    (out / 'cells' / f'{Cell(**{key: {**HEAD, **head}[key] for key in HEAD}).name}.jsonl').write_text(
        ''.join(json.dumps(line) + '\n' for line in lines)
    )


def _tests(*iterations: int) -> list[dict[str, Any]]:
    return [{**TEST, 'iteration': iteration} for iteration in iterations for _ in range(2)]


def _predictions(*iterations: int) -> list[dict[str, Any]]:
    return [
        {'kind': 'prediction', 'iteration': iteration, 'predictor': name, 'p': [], 'nu': []} for iteration in iterations for name in 'ab'
    ]


def test_whole_cells_are_read(tmp_path: Path) -> None:
    for head, records in (
        (HEAD, _tests(1, 2, 5, 10, 15, 20)),
        (HEAD | {'human': 'nobody'}, _tests(0)),
        (HEAD | {'suite': 'prediction'}, _predictions(2, 3, 4, 5)),
    ):
        _write(tmp_path, head, records)
        assert [cell.records for cell in read_results(tmp_path)] == [records]


@pytest.mark.parametrize(
    ('head', 'records', 'words'),
    [
        (HEAD, _tests(1, 2, 5, 10, 15, 20)[:-1], 'got 1 test episodes after iteration 20, expected 2'),
        (HEAD, _tests(1, 2), 'got 0 test episodes after iteration 5, expected 2'),
        (HEAD | {'human': 'nobody'}, _tests(0)[:-1], 'got 1 test episodes after iteration 0, expected 2'),
        (HEAD | {'suite': 'prediction'}, _predictions(2, 3, 4, 5)[:-1], 'got 1 predictors in iteration 5, expected 2'),
        (HEAD | {'suite': 'prediction'}, [], 'got 0 predictors in iteration 2, expected 1'),
        (HEAD | {'suite': 'sideways'}, _tests(1), "got 'sideways', expected one of single"),
        (HEAD, [[1, 2]], 'list'),
        (HEAD, ['text'], 'str'),
        (HEAD, [{'kind': 'test'}], 'success'),
        (HEAD, [{**TEST, 'iteration': 1, 'success': 'yes'}], 'str'),
        ({'suite': 'single'}, [], 'task'),
        (HEAD | {'metric': 'reward'}, _tests(1, 2, 5, 10, 15, 20), "metric: got 'reward', expected one of success, return"),
    ],
)
def test_a_damaged_cell_is_refused_in_one_line(tmp_path: Path, head: dict[str, Any], records: list[Any], words: str) -> None:
    _write(tmp_path, head, records)
    with pytest.raises(LearnerError, match=r's0\.jsonl: is not a whole cell of a comparison') as caught:
        read_results(tmp_path)
    assert words in str(caught.value)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('seed', ['0 (1)', '1'])
def test_a_file_that_is_not_named_as_its_cell_is_refused(tmp_path: Path, seed: str) -> None:
    """As a copy is, which would count twice."""
    _write(tmp_path, HEAD, _tests(1, 2, 5, 10, 15, 20))
    (path,) = (tmp_path / 'cells').iterdir()
    copy = path.with_name(f'iterative-door-delayed-mile-d0-s{seed}.jsonl')
    copy.write_bytes(path.read_bytes())
    with pytest.raises(LearnerError) as caught:
        read_results(tmp_path)
    name = 'iterative-door-delayed-mile-d0-s0'
    assert str(caught.value) == (
        f'{copy}: got the records of {name}, expected them in {name}.jsonl alone; delete it if it is a copy, else rename it'
    )


@pytest.mark.parametrize('text', ['', '{', '[]\n', '[' * 10**5, '\x00'])
def test_what_is_no_cell_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / 'cells').mkdir()
    (tmp_path / 'cells' / 'cell.jsonl').write_text(text)
    with pytest.raises(LearnerError, match='delete it and resume the comparison'):
        read_results(tmp_path)
