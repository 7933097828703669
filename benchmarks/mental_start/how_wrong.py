"""How far from the robot's actions a mental model of the block insertion begins, beside how far the human's are.

python benchmarks/mental_start/how_wrong.py SEEDS > how_wrong.json

Per seed 0 .. SEEDS - 1, in the suite's fifteen episodes, root mean squares over steps and dimensions of an action, from -1 to 1:

3           of the steps with nu = 0, the robot's action minus the mode of a clone of three episodes
human       the same of the simulated human's own model
correction  of the steps with nu = 1, the human's action minus the robot's
"""

import json
import sys

import torch
from tqdm import tqdm

from mile_learner.bench.cells import collect
from mile_learner.bench.prepare import PrepareConfig, prepare
from mile_learner.bench.suites import SUITES, Cell

TASK, HUMAN = 'block_insertion', 'as_published'


def of_seed(seed: int) -> dict[str, float]:
    """The figures of a seed."""
    prepared = prepare(TASK, seed, PrepareConfig(), humans=[HUMAN])
    cell = Cell('single', TASK, HUMAN, 'mile', seed)
    data = collect(cell, SUITES[cell.suite], prepared, prepared.bundle(HUMAN), 1, lambda _: None)
    inputs, alone = torch.as_tensor(data.stacked, dtype=torch.float32), ~data.intervening
    models = {'3': prepared.shown, 'human': prepared.mental.policy}
    with torch.no_grad():
        modes = {name: model(inputs).mode().numpy() for name, model in models.items()}
    differences = {name: (data.robot_action - mode)[alone] for name, mode in modes.items()}
    differences['correction'] = (data.human_action - data.robot_action)[data.intervening]
    return {'seed': seed, **{name: round(float((values**2).mean() ** 0.5), 4) for name, values in differences.items()}}


if __name__ == '__main__':
    json.dump([of_seed(seed) for seed in tqdm(range(int(sys.argv[1])))], sys.stdout, indent=1)
