"""A configuration accepts what is in range and refuses everything else with one line that helps."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mile_learner.config import Config, ConfigError, option
from mile_learner.task import TaskConfig

TASK = Path(__file__).parents[3] / 'config' / 'task_block_insertion.yaml'


@dataclass(frozen=True)
class Example(Config):
    rate: float = option(10.0, doc='rate [Hz]', ge=5.0, le=50.0)
    count: int = option(3, doc='how many', gt=0)
    kind: str = option('a', doc='which', choices=('a', 'b'))
    box: tuple[float, float] = option((0.0, 1.0), doc='limits [m]', ge=-2.0, le=2.0)
    name: str = option(doc='required')


def test_values_in_range_are_kept() -> None:
    example = Example.from_mapping({'rate': 20, 'box': [0, 2], 'name': 'x'})
    assert (example.rate, example.box, example.kind) == (20.0, (0.0, 2.0), 'a')
    assert isinstance(example.rate, float)


@pytest.mark.parametrize(('text', 'number'), [('1e-3', 1e-3), ('+2E1', 20.0), ('-1.5e0', -1.5), ('5.e-1', 0.5)])
def test_numbers_that_yaml_takes_for_text_are_numbers(tmp_path: Path, text: str, number: float) -> None:
    path = tmp_path / 'example.yaml'
    path.write_text(f'{{rate: 10, box: [{text}, 0], name: x}}' if abs(number) < 2 else f'{{rate: {text}, name: x}}')
    example = Example.from_yaml(path)
    assert number in (example.rate, *example.box)


@pytest.mark.parametrize(
    ('values', 'expected'),
    [
        ({'rat': 20.0, 'name': 'x'}, "unknown key 'rat'; did you mean 'rate'?"),
        ({}, "key 'name' is missing"),
        ({'rate': 100.0, 'name': 'x'}, 'rate: got 100.0, expected >= 5.0 and <= 50.0'),
        ({'rate': float('nan'), 'name': 'x'}, 'expected a finite number'),
        ({'rate': '1e9999', 'name': 'x'}, 'expected a finite number'),
        ({'rate': '1e', 'name': 'x'}, "rate: got '1e', expected float"),
        ({'count': '1e1', 'name': 'x'}, "count: got '1e1', expected int"),
        ({'rate': 'fast', 'name': 'x'}, "rate: got 'fast', expected float"),
        ({'count': 0, 'name': 'x'}, 'count: got 0, expected > 0'),
        ({'count': True, 'name': 'x'}, 'count: got True, expected int'),
        ({'kind': 'c', 'name': 'x'}, "expected one of 'a', 'b'"),
        ({'box': [0.0], 'name': 'x'}, 'box: got 1 values, expected 2'),
        ({'box': [0.0, 3.0], 'name': 'x'}, 'box: got 3.0'),
    ],
)
def test_bad_values_are_refused_in_one_line(values: dict[str, object], expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Example.from_mapping(values, source='test')
    assert expected in str(caught.value)
    assert '\n' not in str(caught.value)


@given(st.dictionaries(st.text(max_size=8), st.none() | st.booleans() | st.floats() | st.text(max_size=4) | st.lists(st.integers())))
def test_arbitrary_mappings_never_crash(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        Example.from_mapping({**values, 'definitely_unknown': 1})


@pytest.mark.parametrize('content', ['- a\n- b\n', 'a: [', '\x00', ''])
def test_files_that_hold_no_mapping_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / 'broken.yaml'
    path.write_text(content)
    with pytest.raises(ConfigError, match=r'broken\.yaml'):
        Example.from_yaml(path)


def test_the_shipped_task_is_valid() -> None:
    task = TaskConfig.from_yaml(TASK)
    assert task.step_limit == round(task.time_limit_s * task.rate_hz)


@pytest.mark.parametrize('change', [{'workspace_low': [0.4, 0.0, 0.0]}, {'gripper_closed_m': 0.06}])
def test_a_task_whose_limits_contradict_each_other_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match='<'):
        TaskConfig.from_mapping({**TaskConfig.from_yaml(TASK).to_mapping(), **change})
