"""The folder of a comparison belongs to one process at a time, and to the options in its run.json."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mile_learner.bench.cells import RunOptions
from mile_learner.bench.home import check_writable, locked
from mile_learner.bench.prepare import PrepareConfig
from mile_learner.errors import LearnerError
from mile_learner.files import write_atomically
from mile_learner.plain_text import load_json

RUN_FILE = 'run.json'
SHOWN = 3


@contextmanager
def claimed(out: Path, options: RunOptions, preparation: PrepareConfig) -> Iterator[None]:
    """Hold the folder, made if there is none, for a comparison with these options.

    Raises:
        LearnerError: it cannot be written, another process holds it, it holds a comparison with other options, or there are fewer start
            states than test episodes.
    """
    states = preparation.to_mapping()[options.starts]
    if options.test > states:
        msg = f'--episodes: got {options.test}, expected at most {states}, as many as there are start states of the kind {options.starts!r}'
        raise LearnerError(msg)
    check_writable(out, '--out')
    with locked(out, wait=False):
        _compare_options(out, {'options': _binding(options), 'preparation': preparation.to_mapping()})
        yield


def _binding(options: RunOptions) -> dict[str, Any]:
    """Those that all cells of a folder have: from what was chosen is said in each cell, and changes nothing in it."""
    return {key: value for key, value in options.to_mapping().items() if key != 'grids'}


def _compare_options(out: Path, content: Mapping[str, Any]) -> None:
    """Write the options, or compare them with those that are there; one that is missing there has its default."""
    path = out / RUN_FILE
    if not path.is_file():
        write_atomically(path, (json.dumps(content, indent=1) + '\n').encode())
        return
    try:
        there = load_json(path.read_text(encoding='utf-8'))
        options, preparation = RunOptions.from_mapping(there['options']), PrepareConfig.from_mapping(there['preparation'])
        old = _flat({'options': _binding(options), 'preparation': preparation.to_mapping()})
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f'{path}: is not what `mile bench run` writes ({error}); give another folder'
        raise LearnerError(msg) from error
    new = _flat(content)
    changed = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    if changed:
        shown = ', '.join(f'{key} is {old.get(key, "not given")} there and {new.get(key, "not given")} here' for key in changed[:SHOWN])
        more = f', and {len(changed) - SHOWN} more' if len(changed) > SHOWN else ''
        msg = f'{out}: holds a comparison with other options: {shown}{more}; resume it with its own ({path}), or give another folder'
        raise LearnerError(msg)


def _flat(values: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
    """By "chosen.task.method.option": the text of tuned options is taken apart."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        inner = json.loads(value or '{}') if key == 'chosen' else value
        name = f'{prefix}.{key}' if prefix else key
        flat |= _flat(inner, name) if isinstance(inner, dict) else {name: inner}
    return flat
