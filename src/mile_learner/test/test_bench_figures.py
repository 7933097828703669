"""Figures of a comparison say the same of a method wherever they show it."""

from __future__ import annotations

from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from mile_learner.bench import figures


def test_a_learner_has_one_colour_in_every_panel_though_not_every_panel_shows_it() -> None:
    point = {'iteration': 1, 'mean': 0.5, 'low': 0.4, 'high': 0.6}
    shown = {'left': ('mile', 'iwr', 'sirius'), 'right': ('mile', 'sirius')}
    assisted = {'episodes': 0, 'succeeded': 0}
    shared = {'assisted': assisted, 'metric': 'success'}
    tasks = {task: {**shared, 'methods': {name: [point] for name in names}} for task, names in shown.items()}
    colours = {}
    for task, names in shown.items():
        axes = Figure().subplots()
        figures._curves({'tasks': tasks}, 'iteration', axes, task)
        handles, labels = axes.get_legend_handles_labels()
        assert set(labels) == set(names)
        colours[task] = {label: handle.lines[0].get_color() for handle, label in zip(handles, labels, strict=True)}
        axes = Figure().subplots()
        figures._bars({'tasks': tasks}, axes, task)
        bars = {label.get_text(): bar.get_facecolor() for label, bar in zip(axes.get_yticklabels(), axes.patches, strict=True)}
        assert bars == {name: to_rgba(colour) for name, colour in colours[task].items()}
    assert colours['right'].items() < colours['left'].items()
    assert len(set(colours['left'].values())) == 3


def test_a_method_has_one_colour_in_every_figure_and_variants_take_what_is_left() -> None:
    def colours(*names: str) -> dict[str, str]:
        return figures._colours({'tasks': {'door': {'methods': {name: [] for name in ('no_training', *names)}}}})

    few, many = colours('mile', 'iwr'), colours('mile', 'mile[epochs=2]', 'bc_all', 'mile[epochs=3]', 'iwr', 'dagger')
    assert few == {name: many[name] for name in few}
    assert len(set(many.values())) == len(many)
    assert len(colours('mile', *(f'mile[epochs={k}]' for k in range(20)))) == 21
