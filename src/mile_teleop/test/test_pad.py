"""The pad mapping: signs, dead zone, clear errors, and that pressing is the inverse of reading."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mile_learner.config import ConfigError
from mile_teleop.errors import PadError
from mile_teleop.pad import Button, PadConfig, PadInput, PadMapping

CONFIG = Path(__file__).parents[3] / 'config' / 'pad_ps3.yaml'
PS3 = PadConfig.from_yaml(CONFIG)
unit = st.floats(-1.0, 1.0, width=32)


def mappings() -> st.SearchStrategy[PadMapping]:
    """PS3 pads with all sorts of tuning."""
    signs = st.tuples(*[st.sampled_from((1, -1))] * 3)
    scales = st.tuples(*[st.floats(0.05, 1.0)] * 3)
    return st.builds(
        lambda sign, scale, dead, exponent: PadMapping(
            PadConfig.from_mapping(
                {**PS3.to_mapping(), 'motion_signs': sign, 'motion_scale': scale, 'dead_zone': dead, 'exponent': exponent}
            )
        ),
        signs,
        scales,
        st.floats(0.0, 0.9),
        st.floats(1.0, 4.0),
    )


@given(mappings(), st.tuples(unit, unit, unit), st.sampled_from((-1.0, 0.0, 1.0)), st.booleans(), st.sets(st.sampled_from(list(Button))))
def test_reading_what_was_pressed_gives_it_back(
    mapping: PadMapping, motion: tuple[float, float, float], gripper: float, takeover: bool, held: set[Button]
) -> None:
    axes, buttons = mapping.press((*motion, gripper), takeover=takeover, held=held)
    got = mapping.read(np.array(axes, np.float32).tolist(), buttons)
    expected = np.clip(motion, -np.array(mapping.config.motion_scale), mapping.config.motion_scale)
    np.testing.assert_allclose(got.motion, expected, atol=1e-5)
    down = set(held) | ({Button.TAKEOVER} if takeover else set())
    down |= {Button.GRIPPER_OPEN} if gripper > 0 else {Button.GRIPPER_CLOSE} if gripper < 0 else set()
    assert got.held == down


@given(mappings(), st.lists(st.floats(-10.0, 10.0), min_size=6, max_size=6))
def test_motion_stays_in_range_whatever_the_sticks_say(mapping: PadMapping, axes: list[float]) -> None:
    got = mapping.read(axes, [0] * 17)
    assert all(abs(value) <= scale for value, scale in zip(got.motion, mapping.config.motion_scale, strict=True))


def test_left_stick_moves_away_and_left_right_stick_moves_up() -> None:
    mapping = PadMapping(PS3)
    for axis, direction in ((1, (1, 0, 0)), (0, (0, 1, 0)), (4, (0, 0, 1))):
        axes = [0.0] * 6
        axes[axis] = 1.0
        assert mapping.read(axes, [0] * 17).motion == direction


def test_a_stick_in_its_dead_zone_moves_nothing() -> None:
    axes = [0.99 * PS3.dead_zone] * 6
    assert PadMapping(PS3).read(axes, [0] * 17) == PadInput()


@pytest.mark.parametrize(
    ('axes', 'buttons', 'words'),
    [
        ([], [], 'gone'),
        ([0.0] * 5, [0] * 17, 'got 5 axes and 17 buttons, expected 6 and 17'),
        ([0.0] * 6, [0] * 11, 'got 6 axes and 11 buttons'),
        ([0.0] * 5 + [float('nan')], [0] * 17, 'not finite'),
    ],
)
def test_a_message_that_cannot_be_obeyed_is_named_in_one_line(axes: list[float], buttons: list[int], words: str) -> None:
    with pytest.raises(PadError, match=words) as caught:
        PadMapping(PS3).read(axes, buttons)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    'change', [{'start': 5}, {'estop': 17}, {'motion_axes': [0, 0, 1]}, {'motion_axes': [0, 1, 6]}, {'dead_zone': 1.0}]
)
def test_a_mapping_that_cannot_be_meant_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        PadConfig.from_mapping({**PS3.to_mapping(), **change})


@pytest.mark.parametrize('action', [(0.0, 0.0, 0.0), (0.0, 0.0, float('nan'), 0.0)])
def test_pressing_needs_four_finite_numbers(action: tuple[float, ...]) -> None:
    with pytest.raises(PadError):
        PadMapping(PS3).press(action)
