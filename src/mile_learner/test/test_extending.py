"""The examples of docs/extending.md, taken from the page: a new method is one file and one registry line, a new task a file and a name."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from mile_learner.bench.cells import RunOptions
from mile_learner.bench.prepare import PrepareConfig, prepare
from mile_learner.bench.report import make_report
from mile_learner.bench.results import read_results
from mile_learner.bench.run import run_comparison
from mile_learner.bench.suites import cells_of, suite_named
from mile_learner.bench.tasks import TASKS
from mile_learner.methods import METHODS

PAGE = Path(__file__).parents[3] / 'docs' / 'extending.md'
LITTLE = PrepareConfig(
    train=12, tune=20, test=10, epochs=40, mental_episodes=5, mental_epochs=5, pilots=3, trials=4, human_episodes=8, attempts=12
)


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Follows the page; returns the files that were written."""
    files = dict(re.findall(r'```python\n# (\S+)\n(.*?)```', PAGE.read_text(encoding='utf-8'), re.DOTALL))
    for name, text in files.items():
        (tmp_path / Path(name).name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv('MILE_HOME', str(tmp_path / 'home'))
    monkeypatch.setitem(METHODS, 'bc_successes', importlib.import_module('bc_successes').BcSuccesses())
    monkeypatch.setitem(TASKS, 'cart_pole', 'cart_pole:TASK')
    return list(files)


def test_the_examples_of_the_page_run(added: list[str], tmp_path: Path) -> None:
    assert added == ['mile_learner/methods/bc_successes.py', 'cart_pole.py']
    (variant,) = re.findall(r"--methods '(.*)'", PAGE.read_text(encoding='utf-8'))
    methods = ['mile', 'bc_successes', variant]
    cells = cells_of(suite_named('single'), tasks=['cart_pole'], humans=['as_published'], methods=methods, seeds=[0])
    account = prepare('cart_pole', 0, LITTLE).account()
    assert 0.1 <= account['initial']['success'] <= 0.4
    assert account['expert']['success'] == 1.0
    assert run_comparison(tmp_path / 'out', cells, RunOptions(quick=True, test=10), LITTLE, workers=1, progress=False) == []
    results = {result.method: result for result in read_results(tmp_path / 'out')}
    rates = [results[method].of('fit')[0]['configuration']['learning_rate'] for method in methods[1:]]
    assert rates == [1e-4, 1e-3]
    assert len({results[method].of('fit')[0]['data'] for method in methods}) == 1
    report = make_report(tmp_path / 'out')
    assert set(report['comparisons'][0]['tasks']['cart_pole']['methods']) == {*methods, 'no_training', 'expert'}
