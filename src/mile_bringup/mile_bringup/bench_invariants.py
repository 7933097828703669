"""Many hostile worlds one after another: the invariants as a property, checked at every transition; interrupted it goes on where it was."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mile_bringup.cli_common import Report
from mile_bringup.deployment import config_dir
from mile_bringup.errors import BringupError
from mile_bringup.hostile_setting import Setting
from mile_bringup.hostile_world import HostileWorld, InvariantBroken
from mile_learner.files import write_atomically
from mile_learner.plain_text import load_json
from mile_learner.task import TaskConfig
from mile_teleop.arbiter_config import ArbiterConfig
from mile_teleop.pad import PadConfig, PadMapping

LIFE = 5000
"""Transitions of one world."""
WITH_ARM = 5
"""Every so many-th world has the real arm and gate, whose kinematics take most of the time."""
SAVED_EVERY = 20


def setting() -> Setting:
    """The task and the pad that the worlds are about, as configured."""
    pad = PadMapping(PadConfig.from_yaml(config_dir() / 'pad_ps3.yaml'))
    return Setting.of(
        TaskConfig.from_yaml(config_dir() / 'task_block_insertion.yaml'), pad, ArbiterConfig.from_yaml(config_dir() / 'teleop.yaml')
    )


def measure(transitions: int, seed: int, state_file: Path | None) -> Report:
    """Live through worlds until so many transitions were made in sum; `state_file` keeps the account, to go on from.

    Raises:
        BringupError: the account belongs to another seed, or an invariant is broken (the message names the world).
    """
    state = _account(state_file, seed)
    shared, checked = setting(), Counter(state['checked'])
    with tqdm(total=transitions, initial=min(state['transitions'], transitions), unit='transition', unit_scale=True) as bar:
        while state['transitions'] < transitions:
            begin = time.monotonic()
            number = state['worlds']
            world = HostileWorld(shared, seed * 1_000_003 + number, with_arm=number % WITH_ARM == 0)
            try:
                world.run(LIFE)
            except InvariantBroken as broken:
                raise BringupError(str(broken)) from broken
            checked.update(world.checked)
            state['worlds'] += 1
            state['episodes'] += world.episodes
            state['transitions'] += world.transitions
            state['seconds'] += time.monotonic() - begin
            state['checked'] = dict(sorted(checked.items(), key=lambda item: int(item[0][1:])))
            bar.update(world.transitions)
            if state_file is not None and (state['worlds'] % SAVED_EVERY == 0 or state['transitions'] >= transitions):
                write_atomically(state_file, json.dumps(state).encode())
    lines = [f'{name}: checked {count} times, held' for name, count in state['checked'].items()]
    head = f'{state["transitions"]} transitions in {state["worlds"]} worlds with {state["episodes"]} episodes, {state["seconds"]:.0f} s'
    return Report({**state, 'held': True}, '\n'.join([head, *lines]))


def _account(state_file: Path | None, seed: int) -> dict[str, Any]:
    if state_file is None or not state_file.is_file():
        return {'seed': seed, 'worlds': 0, 'episodes': 0, 'transitions': 0, 'seconds': 0.0, 'checked': {}}
    state: dict[str, Any] = load_json(state_file.read_text(encoding='utf-8'))
    if state['seed'] != seed:
        msg = f'{state_file}: holds the account of seed {state["seed"]}, got seed {seed}; give another file'
        raise BringupError(msg)
    return state
