"""Films of an episode."""

from pathlib import Path

import imageio.v3 as imageio
import pytest
import torch

from mile_learner.bundle import Bundle, Manifest
from mile_learner.policy import Architecture, GaussianPolicy
from mile_sim.block_insertion import LAYOUT
from mile_sim.camera import Camera
from mile_sim.errors import SimError
from mile_sim.expert import ExpertConfig
from mile_sim.film import main, still
from mile_sim.operator import Operator, OperatorConfig, save_operator
from mile_sim.world import World


@pytest.fixture(autouse=True)
def renderer() -> None:
    try:
        Camera(World().model, 16, 16).close()
    except SimError as error:
        pytest.skip(str(error))


def test_it_films_the_expert_as_a_film_and_a_picture(tmp_path: Path) -> None:
    film, picture = tmp_path / 'film.mp4', tmp_path / 'still.png'
    assert main([str(film), '--still', str(picture), '--width', '64', '--height', '48']) == 0
    assert len(list(imageio.imiter(film))) >= 40
    assert imageio.imread(picture).shape == (48, 64, 3)


def test_it_films_a_policy_and_shows_who_is_in_control(tmp_path: Path) -> None:
    torch.manual_seed(0)
    architecture = Architecture(input_dim=28, action_dim=4, hidden=(8,))
    manifest = Manifest(
        version='v000',
        task='block_insertion',
        observation_layout=LAYOUT,
        history=4,
        architecture=architecture,
        mental_architecture=None,
        c=5.0,
        sigma=1.0,
        method='none',
    )
    Bundle(GaussianPolicy(architecture), None, manifest).save(tmp_path / 'v000')
    eager = OperatorConfig(c=-100.0, sigma=1.0, hold_s=60.0)
    (tmp_path / 'operator').mkdir()
    save_operator(Operator(eager, GaussianPolicy(architecture), ExpertConfig(), history=4), tmp_path / 'operator')
    film, picture = tmp_path / 'film.gif', tmp_path / 'still.png'
    seen = ['--policy', str(tmp_path / 'v000'), '--operator', str(tmp_path / 'operator'), '--width', '64', '--height', '48']
    assert main([str(film), '--still', str(picture), *seen]) == 0
    assert tuple(imageio.imread(picture)[1, 1]) == (230, 120, 20), 'the picture is of an intervention'
    corners = [frame[1, 1] for frame in imageio.imiter(film)]
    assert abs(corners[20].astype(int) - (230, 120, 20)).max() < 30, 'the operator is in control'
    assert abs(corners[0].astype(int) - (230, 120, 20)).max() > 30, 'it reacts late'


def test_a_film_that_cannot_be_made_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / 'film.mp4'), '--policy', str(tmp_path / 'nothing')]) == 2
    assert capsys.readouterr().err.count('\n') == 1


@pytest.mark.parametrize(
    'arguments', [['film.avi'], ['nowhere/film.mp4'], ['film.mp4', '--still', 'still.jpg'], ['film.mp4', '--still', 'nowhere/p.png']]
)
def test_a_film_that_has_nowhere_to_go_is_refused_before_the_work(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match='2'):
        main(arguments)
    assert f'got {arguments[-1]}, expected the name of a ' in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ('intervening', 'number'),
    [((False,) * 9, 6), ((False, True, False), 1), ((False, True, True, True, False, True), 2), ((True,), 0), ((False, True, True), 2)],
)
def test_the_picture_is_from_the_middle_of_the_first_intervention(intervening: tuple[bool, ...], number: int) -> None:
    assert still(intervening) == number
