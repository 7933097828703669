"""`mile calibrate` as a black box, on runs whose bags say who held the pad, as a session writes them."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mile_bringup import graph
from mile_bringup.cli import main
from mile_bringup.deployment import LONGEST_NAME, Deployment
from mile_bringup.exchange.demonstration import write_steps
from mile_bringup.run_setup import open_run
from mile_bringup.session_config import SessionConfig, bag_metadata
from mile_learner.bags import read_episode
from mile_learner.bundle import Bundle, Manifest
from mile_learner.config import ConfigError
from mile_learner.intervention import intervention_probability
from mile_learner.policy import Architecture, GaussianPolicy
from mile_learner.run_folder import Run
from mile_learner.step import Gate, Mode, Source, Step
from mile_learner.task import TaskConfig

LAYOUT = ('x', 'y', 'z')
COSTS = {'anna': 12.0, 'ben': 25.0, '': 12.0}
SIGMA = 3.0


def bundle() -> Bundle:
    """A narrow policy, and a mental model that errs."""
    torch.manual_seed(0)
    architecture = Architecture(input_dim=3, action_dim=4, hidden=(8,))
    policy, mental = GaussianPolicy(architecture), GaussianPolicy(architecture)
    for model, factor in ((policy, 1.0), (mental, 2.0)):
        last = model.body[-1]
        assert isinstance(last, torch.nn.Linear)
        with torch.no_grad():
            last.weight[:4] *= factor
            last.bias[4:] = -2.0
    return Bundle(policy, mental, Manifest('', 'toy', LAYOUT, 1, architecture, architecture, 0.0, 100.0, 'behaviour_cloning'))


def episode(models: Bundle, c: float, seed: int, steps: int = 120) -> list[Step]:
    """Steps at which the human is in control wherever Eq. 2, with this c, says so."""
    rng = np.random.default_rng(seed)
    observations = rng.normal(size=(steps, 3)).astype(np.float32)
    actions = rng.uniform(-1, 1, (2, steps, 4)).astype(np.float32)
    stacked = torch.from_numpy(observations)
    assert models.mental_model is not None
    with torch.no_grad():
        p = intervention_probability(*models.policy(stacked), *models.mental_model(stacked), c, SIGMA).numpy()
    nu = rng.random(steps) < p
    return [
        Step(
            stamp=100.0 + index / 10,
            episode_id='e',
            index=index,
            observation=observations[index],
            observation_stamp=100.0 + index / 10,
            image_stamp=0.0,
            robot_action=actions[0, index],
            robot_action_valid=True,
            human_action=actions[1, index] if nu[index] else np.full(4, np.nan, np.float32),
            intervening=bool(nu[index]),
            executed_action=actions[int(nu[index]), index],
            sent_target=np.zeros(4, np.float32),
            source=Source.HUMAN if nu[index] else Source.POLICY,
            mode=Mode.HUMAN if nu[index] else Mode.AUTONOMOUS,
            gate=Gate.HUMAN if nu[index] else Gate.NONE,
            intervention_probability=0.5,
            policy_version='v000',
            inference_ms=1.0,
            tick_late_ms=0.0,
        )
        for index in range(steps)
    ]


def metadata(run: Run, operator_name: str) -> dict[str, Any]:
    """What session_node tells the recorder to write into a bag, in a deployment that was told this name."""
    deployment = Deployment(operator='joystick', operator_name=operator_name)
    (session,) = (node for node in graph.nodes(deployment, run.path) if node.name == 'session_node')
    config = SessionConfig.from_mapping(session.parameters)
    task = TaskConfig.from_mapping(run.config['task'])
    return {**bag_metadata(config, task, run), 'episode_id': 'e', 'outcome': 'success', 'observation_layout': list(LAYOUT)}


@pytest.fixture(scope='module')
def original(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of three episodes each of anna, of ben, and of somebody who told no name."""
    run, _ = open_run(tmp_path_factory.mktemp('calibrate') / 'run', {})
    models = bundle()
    models.save(run.version_path('v000'))
    run.promote('v000')
    for number in range(9):
        name = list(COSTS)[number % 3]
        write_steps(episode(models, COSTS[name], number), run.episode_path(0, number), metadata(run, name))
    return run


@pytest.fixture
def run(original: Run) -> Run:
    """The same, for tests that leave it as it is."""
    return original


@pytest.fixture
def mile(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs the command: its JSON, or its text, and nothing else, on standard output."""

    def call(*arguments: str, code: int = 0) -> Any:
        assert main(['calibrate', *arguments]) == code
        captured = capsys.readouterr()
        if code:
            assert captured.out == ''
            return captured.err
        return json.loads(captured.out) if '--json' in arguments else captured.out

    return call


def test_a_bag_says_who_held_the_pad(run: Run) -> None:
    records = [read_episode(path) for path in run.episodes().values()]
    assert [record.operator_name for record in records] == ['anna', 'ben', 'unnamed'] * 3
    assert {record.metadata['operator'] for record in records} == {'joystick'}


def test_each_operator_gets_c_and_sigma_of_their_own(run: Run, mile: Callable[..., Any]) -> None:
    found = mile(str(run.path), '--per-operator', '--json')
    assert (found['version'], found['mental_model'], found['decisions']) == ('v000', 'learned', 'all')
    assert (found['steps'], found['episodes']) == (1080, 9)
    assert found['deployed'] == {'c': 0.0, 'sigma': 100.0, 'mental_model': 'learned', 'decisions': 'all'}
    assert list(found['operators']) == ['anna', 'ben', 'unnamed']
    for name, c in COSTS.items():
        of = found['operators'][name or 'unnamed']
        assert (of['steps'], of['episodes']) == (360, 3)
        assert of['c_interval'][0] < c < of['c_interval'][1]
        assert of['sigma_interval'][0] < SIGMA < of['sigma_interval'][1]
    assert found['operators']['anna']['c_interval'][1] < found['operators']['ben']['c_interval'][0]
    (warning,) = found['warnings']
    assert warning.startswith('v000: floor: with c = 0 and sigma = 100 the model predicts at least 0.50 interventions per step, but')


def test_a_person_is_told_what_the_numbers_are_about(run: Run, mile: Callable[..., Any]) -> None:
    text = mile(str(run.path), '--rate', '0.25')
    assert 'the models: v000 and what its mental model expects of the robot; nu = 1: every step of a takeover' in text
    assert 'v000 has  ' in text
    noted = mile(str(run.path), '--mental-model', 'noted', '--decisions', 'onset')
    assert 'the models: v000 and the robot action noted at the step; nu = 1: the onset of a takeover' in noted
    assert 'what v000 has is another: --mental-model learned --decisions all' in noted
    assert 'v000 has  ' not in noted, 'its c and sigma are about another'
    assert 'not determined' in noted, 'the noted actions had nothing to do with the takeovers'
    assert mile(str(run.path), '--mental-model', 'noted', '--json')['c_interval'] == [None, None]


def test_a_wanted_rate_gets_its_c(run: Run, mile: Callable[..., Any]) -> None:
    rare, often = (mile(str(run.path), '--rate', rate, '--json') for rate in ('0.1', '0.25'))
    assert often['c_for_rate'] < rare['c_for_rate']
    assert often['wanted_rate'] == 0.25
    assert rare['sigma'] == often['sigma']
    assert mile(str(run.path), '--json')['c_for_rate'] is None


@pytest.fixture
def copy(original: Run, tmp_path: Path) -> Run:
    """A run of the same episodes, to be changed."""
    return Run.open(shutil.copytree(original.path, tmp_path / 'copy'))


def test_what_is_written_is_a_version_of_the_same_weights(copy: Run, mile: Callable[..., Any]) -> None:
    found = mile(str(copy.path), '--write', '--rate', '0.1', '--json')
    manifest = copy.versions()[found['written']]
    assert (manifest.version, manifest.parent, manifest.method) == ('v001', 'v000', 'calibrate')
    assert (manifest.c, manifest.sigma) == (found['c_for_rate'], found['sigma'])
    assert copy.current() == 'v000'
    assert f'let it fly: mile policies {copy.path} promote v002' in mile(str(copy.path), '--write')


def test_what_a_trained_version_foresaw_is_a_calibration_of_its_own(copy: Run, mile: Callable[..., Any]) -> None:
    models = bundle()
    with torch.no_grad():
        models.policy.body[-1].bias += 1e-3  # type: ignore[union-attr, operator]
    trained = Bundle(models.policy, models.mental_model, dataclasses.replace(models.manifest, parent='v000', method='mile'))
    trained.save(copy.version_path('v001'))
    copy.promote('v001')
    for number in range(3):
        write_steps(
            episode(models, COSTS['ben'], 20 + number), copy.episode_path(1, number), metadata(copy, 'ben') | {'policy_version': 'v001'}
        )
    found = mile(str(copy.path), '--ahead', '--json')
    assert found['ahead']
    assert (found['version'], found['steps'], found['episodes']) == ('v001', 360, 3), 'those of v000 are left out'
    assert found['c_interval'][0] < COSTS['ben'] < found['c_interval'][1]
    assert not (behind := mile(str(copy.path), '--json'))['ahead']
    assert behind['episodes'] == 12
    assert 'the models: the version that flew, not yet trained on the episode, and what its mental' in mile(str(copy.path), '--ahead')


def test_an_operator_who_never_took_over_has_nothing_to_fit(copy: Run, mile: Callable[..., Any]) -> None:
    write_steps(episode(bundle(), 1000.0, 9, steps=2), copy.episode_path(0, 9), metadata(copy, 'carl'))
    found = mile(str(copy.path), '--per-operator', '--json')
    assert found['operators']['carl'] is None
    assert 'carl: nothing to fit: all 2 steps have nu = 0' in found['warnings']
    assert 'carl' in mile(str(copy.path), '--per-operator')


@pytest.mark.parametrize(
    ('arguments', 'line'),
    [
        (['--write', '--per-operator'], 'expected one of the two; a version has one c and one sigma'),
        (['--ahead'], 'got no episode that a trained version flew, expected at least one; deploy another iteration'),
        (['--ahead', '--mental-model', 'noted'], 'got the noted actions, expected a mental model'),
        (['--write', '--mental-model', 'noted'], 'got 1080 steps that do not determine c, expected more'),
    ],
)
def test_what_cannot_be_done_is_one_line(run: Run, mile: Callable[..., Any], arguments: list[str], line: str) -> None:
    error = mile(str(run.path), *arguments, code=2)
    assert line in error
    assert len(error.splitlines()) == 1
    assert list(run.versions()) == ['v000']


@pytest.mark.parametrize('name', ['[anna]', '{', '-anna', ' anna', 'anna ', '7', 'an\nna', 'a' * (LONGEST_NAME + 1)])
def test_a_name_that_could_be_mistaken_for_something_else_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r'operator_name: got .*, expected a letter first'):
        Deployment(operator_name=name)
    with pytest.raises(ConfigError, match=r'operator_name: got .*, expected a letter first'):
        SessionConfig(run_dir='r', task_file='t', iterations=1, episodes=1, operator_name=name)


def test_names_are_not_ascii_alone(run: Run, tmp_path: Path) -> None:
    for number, name in enumerate(('Jørgen', 'Anna Maria', 'no', 'null')):
        path = write_steps(episode(bundle(), 6.0, 0, steps=3), tmp_path / f'episode_{number}', metadata(run, name))
        assert read_episode(path).operator_name == name
    assert dataclasses.replace(Deployment(), operator_name='no').remembered().operator_name == 'no'
