"""What all methods of a comparison share: made from the seed alone, resumed, extended; and which humans follow the robot."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mile_learner.bench import calibration, cli
from mile_learner.bench import prepare as bench_prepare
from mile_learner.bench.account import missed_rates
from mile_learner.bench.cells import demonstrations
from mile_learner.bench.cli_arguments import add_arguments
from mile_learner.bench.dqn_expert import Dqn, DqnConfig
from mile_learner.bench.human_config import parse_human
from mile_learner.bench.prepare import humans_for, prepare, prepared_path
from mile_learner.bench.sac_expert import Sac, SacConfig
from mile_learner.bench.suites import Cell
from mile_learner.bench.tasks import InitialRecipe, source_digest
from mile_learner.errors import LearnerError
from mile_learner.files import sha256_of
from mile_learner.methods.behaviour_cloning import BehaviourCloningConfig


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
    for manifest in tmp_path.rglob('manifest.json'):
        manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {'created': '2020-01-01T00:00:00+00:00'}))
    (tmp_path / 'bench' / prepared.folder.name / 'account.json').unlink()
    later = prepare(toy_task, 0, TINY)
    assert later.account()['sha256'] != again['sha256']
    assert later.shared_digest() == prepared.shared_digest(), 'the same networks, whenever they were made'
    assert again['humans'] == {human: account['humans'][human] for human in again['humans']}


def test_humans_are_prepared_when_they_are_asked_for_and_what_is_there_stays(
    toy_task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench_toy import TINY

    monkeypatch.setenv('MILE_HOME', str(tmp_path))
    first = prepare(toy_task, 0, TINY, humans=humans_for(['delayed'])).account()
    assert list(first['humans']) == ['as_published', 'delayed']
    later = prepare(toy_task, 0, TINY, humans=humans_for(['holding'])).account()
    assert list(later['humans']) == ['as_published', 'delayed', 'holding']
    assert {gate: later['humans'][gate] for gate in first['humans']} == first['humans']
    assert {name: later['sha256'][name] for name in first['sha256']} == first['sha256']


CHANGES: dict[str, Any] = {
    'cdf_ratio': 0.5,
    'hidden': (16,),
    'horizon': 30,
    'history': 1,
    'initial': InitialRecipe(guess=0.2, limit=1.0, longest=30),
    'expert': functools.partial(abs, 0.5),
    'training': lambda: Path('sac-point-0123456789'),
}


@pytest.mark.parametrize('field', [*CHANGES, 'humans', 'cloning'])
def test_whatever_a_preparation_depends_on_is_another_folder(toy_task: str, monkeypatch: pytest.MonkeyPatch, field: str) -> None:
    from bench_toy import TASK, TINY

    before = prepared_path(toy_task, 0, TINY)
    assert prepared_path(toy_task, 0, TINY) == before
    if field == 'humans':
        monkeypatch.setattr(bench_prepare, 'parse_human', lambda text, rate: dataclasses.replace(parse_human(text, rate), memory=0.5))
    elif field == 'cloning':
        monkeypatch.setattr(bench_prepare, 'cloning_config', lambda *_: BehaviourCloningConfig(patience=1))
    else:
        monkeypatch.setattr(bench_prepare, 'get_task', lambda _: dataclasses.replace(TASK, **{field: CHANGES[field]}))
    assert prepared_path(toy_task, 0, TINY) != before


@pytest.mark.usefixtures('toy_task')
@pytest.mark.parametrize(('algorithm', 'other'), [(Sac, SacConfig(hidden=(64,))), (Dqn, DqnConfig(discount=0.9))])
def test_an_expert_that_is_trained_otherwise_is_another_folder(algorithm: Any, other: Any) -> None:
    from bench_toy import TASK

    given = {'prior': TASK.expert(0.0)} if algorithm is Sac else {}
    tasks = [
        dataclasses.replace(TASK, training=lambda config=config: algorithm(TASK, config, **given).folder)
        for config in (type(other)(), other)
    ]
    assert tasks[0].recipe() != tasks[1].recipe()


def test_the_folder_is_the_same_in_another_process(toy_task: str) -> None:
    from bench_toy import TINY

    names = (toy_task, 'block_insertion')
    program = f"""
from bench_toy import TINY
from mile_learner.bench.prepare import prepared_path
from mile_learner.bench.tasks import register_task
register_task('{toy_task}', 'bench_toy:TASK')
print(*(prepared_path(name, 0, TINY) for name in {names}))
"""
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(prepared_path(name, 0, TINY)) for name in names]


def test_the_file_of_a_task_from_elsewhere_counts(toy_task: str) -> None:
    assert source_digest(toy_task) == sha256_of(Path(__file__).with_name('bench_toy.py'))
    assert source_digest('block_insertion') == ''


def test_the_account_covers_the_weights_of_a_trained_expert(toy_task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench_toy import TASK, TINY

    monkeypatch.setenv('MILE_HOME', str(tmp_path))
    training = tmp_path / 'bench' / 'sac-point-0123456789'
    training.mkdir(parents=True)
    for name in ('000000400.safetensors', 'ranking.json', '.lock'):
        (training / name).write_text(name)
    monkeypatch.setattr(bench_prepare, 'get_task', lambda _: dataclasses.replace(TASK, training=lambda: training))
    prepared = prepare(toy_task, 0, TINY, humans=['as_published'])
    hashes = prepared.account()['sha256']
    covered = {(prepared.folder / name).resolve() for name in hashes}
    weights = {path for path in tmp_path.rglob('*') if path.suffix in ('.safetensors', '.json') and path.name != 'account.json'}
    assert covered == weights
    assert all(sha256_of(prepared.folder / name) == digest for name, digest in hashes.items())


def test_a_variant_of_a_human_is_calibrated_beside_the_plain_ones(toy_task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench_toy import TINY

    monkeypatch.setenv('MILE_HOME', str(tmp_path))
    variant = 'delayed[rate=0.1,memory=0.5]'
    plain = prepare(toy_task, 0, TINY, humans=humans_for(['delayed']))
    before = {path: path.stat().st_mtime_ns for path in plain.folder.glob('human_*.json')}
    prepared = prepare(toy_task, 0, TINY, humans=humans_for([variant]))
    assert prepared.folder == plain.folder
    account = prepared.account()
    assert list(account['humans']) == ['as_published', 'delayed', variant]
    assert 'human_delayed_rate_0.1_memory_0.5_.json' in account['sha256']
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in before.items())
    assert account['humans'][variant]['rate'] < account['humans']['delayed']['rate'], 'each is calibrated to the rate that it is asked for'
    prepare(toy_task, 0, TINY, humans=humans_for(['holding']))
    assert variant in prepared.account()['humans'], 'what is there stays in the account'


def test_a_rate_that_the_pilots_miss_is_reported_and_warned_of(
    toy_task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from bench_toy import TINY

    monkeypatch.setenv('MILE_HOME', str(tmp_path))
    monkeypatch.setattr(cli, '_preparation', lambda **_: TINY)
    monkeypatch.setattr(calibration, 'TOLERANCE', 0.0)
    human = 'as_published[rate=0.1]'
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert cli.main(parser.parse_args(['prepare', '--tasks', toy_task, '--humans', human, '--seeds', '1', '--workers', '1'])) == 0
    (account_file,) = tmp_path.rglob('account.json')
    account = json.loads(account_file.read_text())
    dials = account['humans']
    assert {name: (dial['wanted'], dial['reached']) for name, dial in dials.items()} == {'as_published': (0.25, False), human: (0.1, False)}
    (warning,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith('warning'))
    assert f'{human} {dials[human]["rate"]:.2f} (wanted 0.10)' in warning
    assert missed_rates(account) in warning
    text = account_file.with_name('account.md').read_text()
    assert f'**{missed_rates(account)}**' in text
    assert f' | 0.1 | {dials[human]["rate"]:.3g} | ' in text
    run = ['run', 'single', '--tasks', toy_task, '--humans', human, '--methods', 'iwr[epochs=2]', '--seeds', '1', '--workers', '1']
    assert cli.main(parser.parse_args([*run, '--out', str(tmp_path / 'out'), '--episodes', '2'])) == 0
    assert warning in capsys.readouterr().out.splitlines(), 'who runs a comparison is told, too'
    reached = {name: dial | {'reached': True} for name, dial in dials.items()}
    assert missed_rates(account | {'humans': reached}) == ''


def test_a_human_demonstrates_with_its_own_hand(toy_task: str) -> None:
    from bench_toy import TINY

    shown = {}
    for human in ('as_published', 'as_published[bias=0.4]'):
        prepared = prepare(toy_task, 0, TINY, humans=humans_for([human]))
        (shown[human],) = demonstrations(Cell('demos', toy_task, human, 'bc_all', 0, 2), prepared, lambda _: None)
    plain, biased = (data.human_action - data.oracle_action for data in shown.values())
    inside = np.abs(shown['as_published[bias=0.4]'].human_action) < 1
    assert biased[inside].mean() == pytest.approx(0.4, abs=0.1)
    assert abs(plain.mean()) < 0.1


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


@pytest.mark.parametrize('content', ['', '{', '[]', '{"humans": 3}', '{"humans": {}'])
def test_a_damaged_account_is_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / 'account.json').write_text(content)
    with pytest.raises(LearnerError, match='is no account of a preparation'):
        bench_prepare.is_whole(tmp_path, ['delayed'])
