"""Every mapping that comes with the project can be used, and the same hands do the same things on all pads."""

from __future__ import annotations

from pathlib import Path

import pytest

from mile_teleop.pad import Button, PadConfig, PadMapping

FILES = sorted((Path(__file__).parents[3] / 'config').glob('pad_*.yaml'))


def test_the_pads_people_have_are_there() -> None:
    assert {'pad_ps3.yaml', 'pad_ps3_bluez.yaml', 'pad_ps4.yaml', 'pad_ps5.yaml', 'pad_xbox.yaml'} <= {path.name for path in FILES}


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.stem)
def test_a_mapping_is_valid_and_named_after_its_file(path: Path) -> None:
    config = PadConfig.from_yaml(path)
    assert path.stem == f'pad_{config.name}'
    mapping = PadMapping(config)
    for button in Button:
        axes, buttons = mapping.press((0.0, 0.0, 0.0, 0.0), held=[button])
        assert mapping.read(axes, buttons).held == {button}


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.stem)
def test_up_is_away_left_is_left_and_the_right_stick_lifts(path: Path) -> None:
    """Left and up are +1 on every pad, so no sign is ever turned."""
    config = PadConfig.from_yaml(path)
    assert config.motion_signs == (1, 1, 1)
    assert config.motion_axes[:2] == (1, 0)
