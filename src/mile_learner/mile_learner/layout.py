"""Observation layouts: the names of what the policy consumes, in order. `name:n` stands for n numbers, every other name for one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mile_learner.config import ConfigError

ARM_ENTRIES = ('ee_x', 'ee_y', 'ee_z', 'gripper')
"""Entries that the arm provides: position of the end effector, opening between the finger pads [m]."""


def entry_width(entry: str) -> int:
    """How many numbers an entry stands for.

    Raises:
        ConfigError: what follows the colon is no positive whole number.
    """
    _, colon, count = entry.partition(':')
    if colon and not (count.isdecimal() and int(count) > 0):
        msg = f'observation_layout: got {entry!r}, expected a name, or name:n for n numbers'
        raise ConfigError(msg)
    return int(count) if colon else 1


def layout_width(layout: Iterable[str]) -> int:
    """Length of the observation vector.

    Raises:
        ConfigError: an entry that is not `name` or `name:n`.
    """
    return sum(entry_width(entry) for entry in layout)


def number_names(layout: Iterable[str]) -> list[str]:
    """A name for each number of the observation vector: `name`, or `name[0]` to `name[n - 1]`.

    Raises:
        ConfigError: an entry that is not `name` or `name:n`.
    """
    names: list[str] = []
    for entry in layout:
        name, colon, _ = entry.partition(':')
        names += [f'{name}[{index}]' for index in range(entry_width(entry))] if colon else [name]
    return names


def image_entry(layout: Sequence[str]) -> str:
    """The entry that an image encoder fills; empty if the layout needs no image.

    Raises:
        ConfigError: there are several.
    """
    entries = [entry for entry in layout if ':' in entry]
    if len(entries) > 1:
        msg = f'observation_layout: got {", ".join(entries)}, expected at most one image encoder'
        raise ConfigError(msg)
    return entries[0] if entries else ''


def scene_entries(layout: Sequence[str]) -> tuple[str, ...]:
    """The entries that neither the arm nor an image encoder provides: the scene has to.

    Raises:
        ConfigError: there are several image encoders.
    """
    image = image_entry(layout)
    return tuple(entry for entry in layout if entry not in (*ARM_ENTRIES, image))
