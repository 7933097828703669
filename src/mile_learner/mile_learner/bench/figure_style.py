"""What a method looks like and is called in every figure of a comparison, how its interval is drawn, and what axes are called."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.colors import to_hex, to_rgb

from mile_learner.bench.suites import REFERENCES
from mile_learner.methods import METHODS

Report = dict[str, Any]
AXES = {'success': 'success, fraction of test episodes', 'return': 'return'}
"""Of a task's metric."""
BARS = 'error bars: 95 % bootstrap interval over seeds'
BARS_ASIDE = f'{BARS}\ncurves are moved apart sideways'
ASIDE = 0.0055
"""How far one curve is moved from the next, as a fraction of the axis."""

_NAMES = {'bc_interventions': 'BC on interventions', 'bc_intervention': 'BC + classifier', 'no_training': 'initial policy'}
"""Where the one in the registry is easily mistaken for another, or says too little beside a curve."""
_PALETTE = ('C0', 'C1', 'C2', 'C3', 'C4', 'C5', 'C6', 'C8', '#005f56', 'C9', '#e7298a', '#393b79', '#ffd92f', '#a6761d')
"""No grey: that is for lines and predictors to compare with."""
_GREYS = {'previous_rate': '0.45', 'majority': '0.75'}
_SHADES = (0.55, -0.35, 0.25)
"""How far a variant's colour lies towards white, or below 0 towards black."""
_HATCHES = ('//', '..', '\\\\', 'xx', '--', 'oo', '++', '||')
_LINES = ('--', '-.', ':', '-')
_MARKERS = ('s', '^', 'D', 'v', 'P', 'X', '*')


@dataclass(frozen=True)
class Style:
    """How a method is drawn: bars have its colour, hatch and edge (also the hatch's colour), curves its colour, line and marker."""

    colour: str
    hatch: str = ''
    edge: str = '0.25'
    line: str = '-'
    marker: str = 'o'


def label(name: str) -> str:
    """What a method, or a variant or predictor made of one, is called in figures; as in the registry if nothing is said of it."""
    base = _base(name)
    return _NAMES.get(base, base) + name.removeprefix(base)


def styles(names: Iterable[str]) -> dict[str, Style]:
    """By name, each another one, as far as 24 variants of a method.

    A method has the colour of its place in the registry, so that every figure has the same; one that is not there takes what is left. The
    variants of a method have shades of its colour, each with another hatch, line or marker.
    """
    names = [name for name in dict.fromkeys(names) if name not in REFERENCES]
    places = {name: place for place, name in enumerate(name for name in METHODS if name not in REFERENCES)}
    bases = dict.fromkeys(map(_base, names))
    own = {name: _PALETTE[places[name] % len(_PALETTE)] for name in bases if name in places} | _GREYS
    left = [colour for colour in _PALETTE if colour not in own.values()] or list(_PALETTE)
    own |= {name: left[number % len(left)] for number, name in enumerate(name for name in bases if name not in own)}
    variants: Counter[str] = Counter()
    found = {}
    for name in names:
        base = _base(name)
        if name == base:
            found[name] = Style(own[name])
            continue
        number = variants[base]
        variants[base] += 1
        shade = _SHADES[number % len(_SHADES)]
        hatch, line, marker = (ways[number % len(ways)] for ways in (_HATCHES, _LINES, _MARKERS))
        found[name] = Style(_shaded(own[base], shade), hatch, '0.25' if shade > 0 else '0.9', line, marker)
    return found


def _base(name: str) -> str:
    """The method that "name[option=value]" or "name, how" is made of."""
    match = re.match(r'\w+', name)
    return match[0] if match else name


def _shaded(colour: str, towards_white: float) -> str:
    end = 1.0 if towards_white > 0 else 0.0
    return to_hex([part + (end - part) * abs(towards_white) for part in to_rgb(colour)])


def errors(points: Sequence[Report]) -> list[list[float]]:
    """Distances from the means to the ends of the intervals, below and above; zero where there is none."""
    return [
        [0.0 if math.isnan(p['low']) else p['mean'] - p['low'] for p in points],
        [0.0 if math.isnan(p['high']) else p['high'] - p['mean'] for p in points],
    ]


def aside(x: Sequence[float], place: int, of: int) -> list[float]:
    """`x` moved a little sideways, so that the error bars of `of` curves over the same x stand beside each other."""
    step = ASIDE * (max(x) - min(x))
    return [value + step * (place - (of - 1) / 2) for value in x]


def curve(axes: Any, x: Sequence[float], points: Sequence[Report], name: str, style: Style) -> None:
    """The means over `x`, with their intervals."""
    means, look = [p['mean'] for p in points], {'color': style.colour, 'linestyle': style.line, 'marker': style.marker}
    axes.errorbar(x, means, yerr=errors(points), label=label(name), **look, markersize=4, linewidth=1.3, elinewidth=1.0)


def bar_looks(drawn: Iterable[Style]) -> dict[str, Any]:
    """What matplotlib's bars are given to look like that, one each."""
    drawn = list(drawn)
    looks = {'color': [style.colour for style in drawn], 'hatch': [style.hatch for style in drawn]}
    return {**looks, 'edgecolor': [style.edge for style in drawn], 'linewidth': 0.5, 'capsize': 3}


def note(points: Iterable[Report], text: str) -> str:
    """`text` about the intervals, or that there are none in the place of `BARS`."""
    return text if any(not math.isnan(p['low']) for p in points) else text.replace(BARS, 'one seed: no intervals')
