"""Numbers and pictures of episodes and iterations."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest

from mile_bringup import report, summary
from mile_bringup.cli import main
from mile_bringup.cli_common import finite, table
from mile_bringup.cli_inspect import episode_numbers
from mile_bringup.exchange.demonstration import write_steps
from mile_bringup.plots import timeline
from mile_learner.bags import EpisodeRecord
from mile_learner.bundle import Bundle, Manifest
from mile_learner.policy import Architecture, GaussianPolicy
from mile_learner.run_folder import Run
from mile_learner.run_state import Episode, next_action
from mile_learner.step import Gate, Mode, Source, Step
from mile_learner.train import train

PNG = b'\x89PNG\r\n\x1a\n'


def episode(nu: str, outcome: str = 'success', version: str = 'v000') -> EpisodeRecord:
    """An episode at 10 Hz with an intervention wherever `nu` has a 1."""
    steps = []
    for index, letter in enumerate(nu):
        human = letter == '1'
        action = np.full(4, 0.5, np.float32)
        steps.append(
            Step(
                stamp=100.0 + index / 10,
                episode_id='e',
                index=index,
                observation=np.zeros(3, np.float32),
                observation_stamp=100.0,
                image_stamp=0.0,
                robot_action=action,
                robot_action_valid=True,
                human_action=-action if human else np.full(4, np.nan, np.float32),
                intervening=human,
                executed_action=-action if human else action,
                sent_target=np.zeros(4, np.float32),
                source=Source.HUMAN if human else Source.POLICY,
                mode=Mode.HUMAN if human else Mode.AUTONOMOUS,
                gate=Gate.HUMAN if human else Gate.NONE,
                intervention_probability=0.75 if human else float('nan') if index == 0 else 0.25,
                policy_version=version,
                inference_ms=1.0,
                tick_late_ms=0.5,
            )
        )
    return EpisodeRecord(Path('iter_00/episode_000'), {'outcome': outcome, 'policy_version': version, 'operator_name': 'ada'}, tuple(steps))


@pytest.mark.parametrize(
    ('nu', 'ratio', 'segments'), [('0000', 0.0, 0), ('1111', 1.0, 1), ('1001', 0.5, 2), ('0110', 0.5, 1), ('', 0.0, 0)]
)
def test_segments_are_contiguous_spans(nu: str, ratio: float, segments: int) -> None:
    result = summary.summarise(episode(nu), 2, 1)
    assert (result.intervention_ratio, result.segments, result.steps) == (ratio, segments, len(nu))
    assert (result.iteration, result.index, result.outcome, result.policy_version) == (2, 1, 'success', 'v000')
    assert result.operator_name == 'ada'
    assert result.duration_s == pytest.approx(max(len(nu) - 1, 0) / 10)


def test_an_iterations_ratio_is_over_steps_not_over_episodes() -> None:
    episodes = [
        summary.summarise(episode('11'), 0, 0),
        summary.summarise(episode('00000000', 'timeout'), 0, 1),
        summary.summarise(episode('1'), 1, 0),
    ]
    record = summary.iteration_record(episodes, 0)
    assert record == {
        'iteration': 0,
        'policy_version': 'v000',
        'episodes': 2,
        'successes': 1,
        'steps': 10,
        'intervention_ratio': pytest.approx(0.2),
        'segments': 1,
    }


def test_an_episode_in_numbers() -> None:
    numbers = episode_numbers(episode('0110010'))
    assert numbers['segments'] == [{'start': 1, 'steps': 2}, {'start': 5, 'steps': 1}]
    assert numbers['mean_p_where_intervening'] == 0.75
    assert numbers['mean_p_elsewhere'] == 0.25, 'without the step that has no p'
    assert numbers['modes'] == {'idle': 0, 'autonomous': 4, 'human': 3, 'hold': 0, 'estop': 0}


def test_a_timeline_is_a_png_and_nothing_else_is_left(tmp_path: Path) -> None:
    timeline(episode('0110010'), tmp_path / 'timeline.png')
    assert [path.name for path in tmp_path.iterdir()] == ['timeline.png']
    assert (tmp_path / 'timeline.png').read_bytes().startswith(PNG)


def test_a_report_holds_the_table_and_the_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    episodes = [summary.summarise(episode('0110'), 0, 0), summary.summarise(episode('0000', 'timeout', 'v001'), 1, 0)]
    monkeypatch.setattr(summary, 'episode_summaries', lambda _: episodes)
    run = Run.create(tmp_path / 'run', {})
    first = summary.iteration_record(episodes, 0)
    run.append_metrics(
        {**first, 'trained_version': 'v001', 'training': {'loss': 1.25, 'action_loss': 0.5, 'steps': 4, 'warnings': ['std <']}}
    )
    records, text = report.write_report(run)
    assert [record['iteration'] for record in records] == [0, 1]
    head, row_0, row_1, warning = (line.split() for line in text.splitlines())
    assert ' '.join(warning) == 'v001: std <'
    assert head[-2:] == ['action_loss', 'loss']
    assert row_0 == ['0', 'v000', '1', '1/1', '0.500', '1', 'v001', '0.500', '1.250']
    assert row_1 == ['1', 'v001', '1', '0/1', '0.000', '0', '-', '-', '-']
    picture = (run.path / 'report.png').read_bytes()
    page = (run.path / 'report.html').read_text()
    assert picture.startswith(PNG)
    assert base64.b64encode(picture).decode() in page
    assert '<td>1.250</td>' in page
    assert '<p>v001: std &lt;</p>' in page


def test_a_training_by_hand_ends_no_iteration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With one episode of three recorded."""
    run = Run.create(tmp_path / 'run', {})
    layout, size = ('x', 'y', 'z'), Architecture(input_dim=3, action_dim=4, hidden=(8,))
    Bundle(GaussianPolicy(size), None, Manifest('', 'toy', layout, 1, size, None, 0.0, 1.0, 'test')).save(run.version_path('v000'))
    run.promote('v000')
    recorded = episode('0110')
    write_steps(list(recorded.steps), run.episode_path(0, 0), {**recorded.metadata, 'observation_layout': list(layout)})
    assert main(['train', str(run.path), '--method', 'iwr', '--set', 'epochs=1', '--json']) == 0
    assert json.loads(capsys.readouterr().out)['version'] == 'v001'
    summary.conclude(run)
    assert (run.current(), run.metrics()) == ('v000', [])
    assert next_action(run.state(), 2, 3) == Episode(0, 1)
    assert 'trained_version' not in summary.iteration_table(run)[0]

    train(run, method='iwr', overrides={'epochs': 1}, iteration=0)
    summary.conclude(run)
    assert run.current() == 'v002'
    assert next_action(run.state(), 2, 3) == Episode(1, 0)
    assert [record['trained_version'] for record in summary.iteration_table(run)] == ['v002']


def test_tables_and_json_have_no_nan() -> None:
    assert table(('a', 'b'), [[float('nan'), None]]).splitlines()[1].split() == ['-', '-']
    assert finite({'a': [float('inf'), (1.0, float('nan'))]}) == {'a': [None, [1.0, None]]}
