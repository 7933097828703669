"""Figures of a comparison say the same of a method wherever they show it, and what their intervals and axes are."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from matplotlib.colors import rgb_to_hsv, to_rgb, to_rgba
from matplotlib.figure import Figure

from mile_learner.bench import figures
from mile_learner.bench.figure_style import aside, label, styles
from mile_learner.bench.suites import REFERENCES
from mile_learner.methods import METHODS

NAN = math.nan
POINT = {'iteration': 1, 'mean': 0.5, 'low': 0.4, 'high': 0.6, 'interventions': 10.0}


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> dict[str, Figure]:
    """Every figure that is saved, by the name of its file, in place of the file."""
    found: dict[str, Figure] = {}
    monkeypatch.setattr(Figure, 'savefig', lambda figure, path, **_: found.update({path.name: figure}))
    return found


def _entry(shown: dict[str, list[str]], suite: str = 'single', point: dict[str, Any] = POINT, metric: str = 'success') -> dict[str, Any]:
    """What `comparison_numbers` gives, of methods by task; MILE is 20 [10, 30] points ahead of all."""
    interval = [0.2, 0.1, 0.3] if math.isfinite(point['low']) else [0.2, NAN, NAN]
    tasks = {
        task: {
            'metric': metric,
            'seeds': [0, 1],
            'assisted': {'episodes': 0},
            'methods': {name: [point, {**point, 'iteration': 2}] if suite == 'widowx' else [point] for name in names},
        }
        for task, names in shown.items()
    }
    others = dict.fromkeys(name for names in shown.values() for name in names if name != 'mile')
    against = {name: {'paired_difference': interval, 'tasks': {task: interval for task in shown if name in shown[task]}} for name in others}
    return {'suite': suite, 'human': 'delayed', 'demonstrations': 0, 'tasks': tasks, 'compared': 'mile', 'against': against}


def test_a_learner_has_one_colour_in_every_panel_though_not_every_panel_shows_it() -> None:
    shown = {'left': ['mile', 'iwr', 'sirius'], 'right': ['mile', 'sirius']}
    entry = _entry(shown)
    colours = {}
    for task, names in shown.items():
        axes = Figure().subplots()
        figures._curves(entry, 'iteration', axes, task)
        handles, labels = axes.get_legend_handles_labels()
        assert set(labels) == set(names)
        colours[task] = {label: handle.lines[0].get_color() for handle, label in zip(handles, labels, strict=True)}
        axes = Figure().subplots()
        figures._bars(entry, axes, task)
        bars = {label.get_text(): bar.get_facecolor() for label, bar in zip(axes.get_yticklabels(), axes.patches, strict=True)}
        assert bars == {name: to_rgba(colour) for name, colour in colours[task].items()}
    assert colours['right'].items() < colours['left'].items()
    assert len(set(colours['left'].values())) == 3


def test_a_method_looks_the_same_in_every_figure_and_its_variants_like_it() -> None:
    few, many = styles(['mile', 'iwr']), styles(['mile', 'mile[epochs=2]', 'bc_all', 'mile[epochs=3]', 'iwr', 'own', 'dagger'])
    assert few == {name: many[name] for name in few}
    assert len({style.colour for style in many.values()}) == len(many)
    hue = {name: rgb_to_hsv(to_rgb(style.colour))[0] for name, style in many.items()}
    assert hue['mile[epochs=2]'] == pytest.approx(hue['mile'], abs=0.02)
    assert 'no_training' not in styles(['no_training'])


def test_many_variants_of_a_method_can_be_told_apart() -> None:
    found = list(styles(['mile', *(f'mile[epochs={k}]' for k in range(20))]).values())
    assert len({(style.colour, style.hatch) for style in found}) == 21
    assert len({(style.colour, style.line, style.marker) for style in found}) == 21


def test_no_learner_is_grey_as_the_lines_to_compare_with_are() -> None:
    found = styles([name for name in METHODS if name not in REFERENCES])
    assert len({style.colour for style in found.values()}) == len(found)
    assert min(rgb_to_hsv(to_rgb(style.colour))[1] for style in found.values()) > 0.3


def test_two_methods_whose_names_are_nearly_one_are_called_otherwise() -> None:
    assert label('bc_interventions[epochs=2]') == 'BC on interventions[epochs=2]'
    assert label('bc_intervention') == 'BC + classifier'
    assert [label(name) for name in ('mile_iwr', 'mile, calibrated', 'own')] == ['mile_iwr', 'mile, calibrated', 'own']


def _places(x: str, values: tuple[int, int]) -> list[list[float]]:
    """Where on the axis each of eight curves over the same two values has its points, the initial policy's first."""
    names = ['mile', 'mile_iwr', 'bc_all', 'hg_dagger', 'iwr', 'sirius', 'rlif', 'dagger']
    axes, entry = Figure().subplots(), _entry({'door': [*names, 'no_training']}, 'widowx')
    for name, points in entry['tasks']['door']['methods'].items():
        points[:] = [{**POINT, x: value} for value in ((0,) if name == 'no_training' else values)]
    figures._curves(entry, x, axes, 'door')
    return [list(handle.lines[0].get_xdata()) for handle in axes.get_legend_handles_labels()[0] if hasattr(handle, 'lines')]


def test_error_bars_of_many_curves_stand_beside_each_other() -> None:
    ends = [end for *_, end in _places('iteration', (1, 20))]
    assert len({round(end, 3) for end in ends}) == 8
    assert aside([5, 10], 0, 1) == [5, 10], 'one curve stays where it is'
    assert max(abs(end - 20) for end in ends) < 0.5


def test_what_was_spent_is_drawn_where_it_was_spent() -> None:
    assert _places('interventions', (107, 3223)) == [[0, 107, 3223]] * 8


@pytest.mark.parametrize('suite', ['single', 'widowx'])
@pytest.mark.parametrize(('metric', 'score'), [('success', 'success, fraction of test episodes'), ('return', 'return')])
def test_a_figure_says_what_its_error_bars_and_axes_are(
    saved: dict[str, Figure], tmp_path: Path, suite: str, metric: str, score: str
) -> None:
    figures.comparisons([_entry({'door': ['mile', 'iwr']}, suite, metric=metric)], tmp_path)
    paired = saved.pop(f'{suite}-delayed-paired.png')
    assert len(saved) == (1 if suite == 'single' else 2)
    for figure in saved.values():
        assert 'error bars: 95 % bootstrap interval over seeds' in figure.get_suptitle()
        (axes,) = figure.axes
        assert score in (axes.get_xlabel(), axes.get_ylabel())
        assert suite == 'single' or (axes.get_xlabel() and axes.get_ylabel())
        assert ('moved apart sideways' in figure.get_suptitle()) == (axes.get_xlabel() == 'iterations of training')
    assert "mile minus the other, paired by seed\nerror bars: 95 % interval by Student's t" in paired.get_suptitle()
    told = ' '.join(paired.axes[0].get_xlabel().split())
    assert told == (
        'difference in success, points' if metric == 'success' else 'difference, share of the way from the initial to the expert return, %'
    )
    assert paired.axes[0].get_lines()[0].get_xdata()[0] == pytest.approx(20.0), 'in points'


def test_without_intervals_a_figure_says_so_and_nothing_paired_is_drawn(saved: dict[str, Figure], tmp_path: Path) -> None:
    (tmp_path / 'single-delayed-paired.png').write_text('of an earlier report')
    figures.comparisons([_entry({'door': ['mile', 'iwr']}, point={**POINT, 'low': NAN, 'high': NAN})], tmp_path)
    assert set(saved) == {'single-delayed.png'}
    assert saved['single-delayed.png'].get_suptitle().endswith('\none seed: no intervals')
    assert not list(tmp_path.iterdir())


def _prediction(losses: dict[str, float]) -> dict[str, Any]:
    """What `prediction_numbers` gives, of log-losses by predictor on one task."""
    score = {name: {'mean': loss, 'low': loss - 0.1, 'high': loss + 0.1} for name, loss in losses.items()}
    precision = {'mean': 0.3, 'low': 0.2, 'high': 0.4}
    content = {
        name: {'scores': {'log_loss': score[name], 'average_precision': precision}, 'reliability': [(0.1, 0.2, 9)]} for name in losses
    }
    return {'suite': 'prediction', 'human': 'delayed', 'tasks': {'door': content}}


@pytest.mark.parametrize(('majority', 'told'), [(2.7, ['2.7']), (0.7, [])])
def test_the_figure_of_predictions_has_every_predictor(saved: dict[str, Figure], tmp_path: Path, majority: float, told: list[str]) -> None:
    losses = {'bc_intervention': 0.5, 'majority': majority, 'mile': 0.6, 'mile, calibrated': 0.7, 'previous_rate': 0.4}
    figures.prediction(_prediction(losses), tmp_path)
    figure = saved['prediction-delayed.png']
    loss, precision, calibration = figure.axes
    names = ['mile', 'mile, calibrated', 'BC + classifier', 'majority', 'previous_rate']
    assert [text.get_text() for text in precision.get_xticklabels()] == names
    assert calibration.get_legend_handles_labels()[1] == names
    assert [axes.get_ylabel() for axes in (loss, precision)] == ['log-loss, nats per step', 'average precision, fraction']
    assert 'error bars: 95 % bootstrap interval' in figure.get_suptitle()
    assert [bar.get_height() for bar in loss.patches] == [0.6, 0.7, 0.5, majority, 0.4]
    assert 0.8 < loss.get_ylim()[1] < 1.0, 'the others fill the panel'
    assert [text.get_text() for text in loss.texts] == told, 'a bar that is cut off says its value'


def test_a_calibration_curve_leaves_out_bins_of_a_few_steps(saved: dict[str, Figure], tmp_path: Path) -> None:
    entry = _prediction({'mile': 0.6, 'majority': 0.7})
    entry['tasks']['door']['mile']['reliability'] = [(0.05, 0.1, 4000), (0.15, 0.2, 20), (0.95, 0.0, 19)]
    figures.prediction(entry, tmp_path)
    axes = saved['prediction-delayed.png'].axes[2]
    curve = next(line for line in axes.get_lines() if line.get_label() == 'mile')
    assert curve.get_xydata().tolist() == [[0.05, 0.1], [0.15, 0.2]]
    assert 'bins of 20 steps and more' in axes.get_ylabel()


def test_no_bar_of_the_average_precision_leaves_its_panel(saved: dict[str, Figure], tmp_path: Path) -> None:
    entry = _prediction({'mile': 0.6, 'majority': 0.7})
    better = {
        name: {**content, 'scores': {**content['scores'], 'average_precision': {'mean': 0.8, 'low': 0.7, 'high': 0.9}}}
        for name, content in entry['tasks']['door'].items()
    }
    figures.prediction({**entry, 'tasks': {'door': entry['tasks']['door'], 'moon': better}}, tmp_path)
    panels = saved['prediction-delayed.png'].axes[2:4]
    assert panels[0].get_ylim() == panels[1].get_ylim()
    assert panels[0].get_ylim()[1] > 0.9
