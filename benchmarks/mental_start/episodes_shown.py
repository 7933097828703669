"""MILE on LunarLander by what its mental model was cloned from, and what becomes of the steps that nobody objected to.

python benchmarks/mental_start/episodes_shown.py SEEDS > episodes_shown.json

Per seed 0 .. SEEDS - 1, in the suite's first five episodes, for every mental model, trained and frozen:

wrong        of the steps with nu = 0 the share where its most probable action, before training, is not the robot's
left_wrong   of these the share where the trained policy's is not the robot's
left_right   the same of the other steps with nu = 0
learned      of the steps with nu = 1 the share where the trained policy's is the human's

and the trained policy's return and success over 100 test episodes. "copy" is a copy of the initial policy, "human" that of the simulated
human, a number a clone of so many episodes of the robot; the method with intervention_weight=0 is J2 alone, and uses none.
"""

import copy
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from mile_learner.bench.cells import RunOptions, collect, fit
from mile_learner.bench.cloning import clone_episodes
from mile_learner.bench.prepare import PrepareConfig, Prepared, prepare
from mile_learner.bench.rollouts import summary
from mile_learner.bench.suites import SUITES, Cell
from mile_learner.methods.base import InterventionData
from mile_learner.network import Policy

TASK, HUMAN = 'lunar_lander', 'as_published'
SHOWN = (3, 10, 30)
LEARNED, FROZEN, ALONE = 'mile', 'mile[mental_model=bc_frozen]', 'mile[intervention_weight=0]'
OPTIONS = RunOptions(chosen=json.dumps(json.loads(Path('benchmarks/tune_lunar_lander/chosen.json').read_text(encoding='utf-8'))['chosen']))


def mental_models(prepared: Prepared) -> dict[str, Policy]:
    """By what they are made of; the first three episodes shown are those of `Prepared.shown`."""
    starts = (np.random.default_rng(prepared.seed_of(11)).integers(10**6, size=max(SHOWN)) + 7 * 10**8).tolist()
    episodes = prepared.play(starts, bundle=prepared.initial)
    epochs, seed = prepared.config.epochs, prepared.seed_of(12)
    clones = {str(count): clone_episodes(prepared.task, episodes[:count], epochs, seed).policy for count in SHOWN}
    return {'copy': prepared.initial.policy, 'human': prepared.mental.policy, **clones}


def train_and_test(prepared: Prepared, data: InterventionData, method: str, model: Policy) -> dict[str, float | None]:
    """The figures of one method that begins with this mental model."""
    start = prepared.bundle(HUMAN)
    start.mental_model = copy.deepcopy(model)
    trained = fit(Cell('single', TASK, HUMAN, method, prepared.seed), data, start, 1, OPTIONS, lambda _: None)
    inputs, alone = torch.as_tensor(data.stacked, dtype=torch.float32), ~data.intervening
    with torch.no_grad():
        wrong = (model(inputs).mode().numpy() != data.robot_action)[:, 0]
        chosen = trained.policy(inputs).mode().numpy()
    left = (chosen != data.robot_action)[:, 0]
    masks = {'wrong': (wrong, alone), 'left_wrong': (left, alone & wrong), 'left_right': (left, alone & ~wrong)}
    masks['learned'] = ((chosen == data.human_action)[:, 0], data.intervening)
    shares = {name: round(float(values[rows].mean()), 4) if rows.any() else None for name, (values, rows) in masks.items()}
    return shares | summary(prepared.play(prepared.starts['test'], bundle=trained))


def of_seed(seed: int) -> list[dict[str, Any]]:
    """All figures of a seed."""
    prepared = prepare(TASK, seed, PrepareConfig(), humans=[HUMAN])
    cell = Cell('single', TASK, HUMAN, LEARNED, seed)
    data = collect(cell, SUITES[cell.suite], prepared, prepared.bundle(HUMAN), 1, lambda _: None)
    models = mental_models(prepared)
    runs = [(method, name) for name in models for method in (LEARNED, FROZEN)] + [(ALONE, 'copy')]
    return [{'seed': seed, 'method': m, 'mental_model': name, **train_and_test(prepared, data, m, models[name])} for m, name in runs]


if __name__ == '__main__':
    json.dump([line for seed in tqdm(range(int(sys.argv[1]))) for line in of_seed(seed)], sys.stdout, indent=1)
