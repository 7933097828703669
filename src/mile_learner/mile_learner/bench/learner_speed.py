"""How fast the learner is, as ratios within one run: training steps, a round of training, bags to tensors.

The ways to take a step are timed in turn, again and again, and ratios are medians over these turns, so that what else the machine does
meets them alike. Sizes are those of the WidowX setting (paper, Table I): 18 episodes, two hidden layers of 256, 500 epochs; steps are
timed with the stacked observations of the paper's simulated tasks, too, which are wider.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from mile_learner.bags import STEP_TYPE, read_episode
from mile_learner.bundle import Bundle, Manifest
from mile_learner.dataset import run_data
from mile_learner.intervention import intervention_probability_sampled
from mile_learner.methods import METHODS
from mile_learner.methods.base import InterventionData
from mile_learner.methods.training import adam, descend
from mile_learner.policy import Architecture, Gaussian, GaussianPolicy
from mile_learner.run_folder import Run
from mile_learner.step import ACTION_DIM

EPISODES, STEPS, EPOCHS = 18, 100, 500
BATCHES = (256, 1024)
"""The default of all methods, and that of the code that the authors of MILE released."""
HISTORY = 4
OBSERVATIONS = {'WidowX': 7, 'Meta-World': 39}
"""Width of an observation before stacking, by setting."""
SAMPLES = 1000
"""Of the human's and of the robot's action each, as in the code that the authors released."""
TURNS, EPOCHS_PER_TURN = 20, 20
BAG_READS = 5


def learner_speed(run: Path | None, *, turns: int = TURNS, epochs: int = EPOCHS, progress: bool = True) -> dict[str, Any]:
    """Measure; about four minutes with the defaults.

    Args:
        run: a run folder whose bags are read; None: leave that out.
        turns: how often each way to take a step is timed.
        epochs: of the round of training.
        progress: whether to draw a bar on standard error.

    Returns:
        steps: per setting and batch size the result of `step_speed`; round: seconds of a round of training and its size; bags: the result
        of `bag_speed`, or None; threads: of a process that trains.

    Raises:
        LearnerError: the run has no bags, or one that cannot be read.
    """
    opened = None if run is None else Run.open(run)
    with tqdm(total=len(OBSERVATIONS) * len(BATCHES) * turns + 2, desc='learner', disable=not progress) as bar:
        steps = {
            setting: {str(size): step_speed(size, width, turns, bar.update) for size in BATCHES} for setting, width in OBSERVATIONS.items()
        }
        data = random_data(EPISODES, STEPS, OBSERVATIONS['WidowX'])
        began = time.perf_counter()
        _fit('mile', data, random_bundle(OBSERVATIONS['WidowX']), epochs, BATCHES[0])
        whole = {
            'seconds': time.perf_counter() - began,
            'episodes': EPISODES,
            'steps': len(data),
            'epochs': epochs,
            'batch_size': BATCHES[0],
        }
        bar.update()
        bags = None if opened is None else bag_speed(opened)
        bar.update()
    return {'steps': steps, 'round': whole, 'bags': bags, 'threads': torch.get_num_threads()}


def step_speed(size: int, width: int, turns: int, done: Callable[[], object]) -> dict[str, float]:
    """Training steps on batches of `size` stacked observations of `width` entries each; `done` is called after every turn.

    Returns:
        mile_ms, bc_ms, networks_ms, sampled_ms: median time of a step: of MILE; of behaviour cloning; of the forward and backward pass and
        the update of MILE's two networks alone; of MILE with the sampled estimator. mile_to_networks, mile_to_bc, sampled_to_mile: ratios.
    """
    data, start = random_data(16, 128, width), random_bundle(width)
    ways: dict[str, Callable[[], int]] = {
        'mile': lambda: _fit('mile', data, start, EPOCHS_PER_TURN, size),
        'bc': lambda: _fit('bc_all', data, start, EPOCHS_PER_TURN, size),
        'networks': lambda: _train(data, start, EPOCHS_PER_TURN, size, _no_loss),
        'sampled': lambda: _train(data, start, 1, size, _sampled_loss),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(turns):
        for name, way in ways.items():
            began = time.perf_counter()
            steps = way()
            seconds[name].append((time.perf_counter() - began) / steps)
        done()
    turn = {name: np.array(values) for name, values in seconds.items()}
    pairs = (('mile', 'networks'), ('mile', 'bc'), ('sampled', 'mile'))
    return {
        **{f'{name}_ms': 1e3 * float(np.median(values)) for name, values in turn.items()},
        **{f'{one}_to_{other}': float(np.median(turn[one] / turn[other])) for one, other in pairs},
    }


def bag_speed(run: Run) -> dict[str, float]:
    """Bags of a run to tensors, beside reading and deserialising the same messages with `rosbags` alone; best of several.

    Returns:
        megabytes: size of the bags, with all their topics; steps; tensors_mb_s and rosbags_mb_s: that size by the time taken.

    Raises:
        LearnerError: no bags, or one that cannot be read.
    """
    episodes = list(run.episodes().items())
    megabytes = sum(file.stat().st_size for _, path in episodes for file in path.glob('*.mcap')) / 1e6

    def tensors() -> int:
        data = run_data([(iteration, read_episode(path)) for (iteration, _), path in episodes], HISTORY)
        return len(torch.as_tensor(data.stacked))

    def plain() -> int:
        return sum(1 for _, path in episodes for _ in _deserialised(path))

    read, steps = {}, 0
    for name, way in (('rosbags_mb_s', plain), ('tensors_mb_s', tensors)):
        times = []
        for _ in range(BAG_READS):
            began = time.perf_counter()
            steps = way()
            times.append(time.perf_counter() - began)
        read[name] = megabytes / min(times)
    return {'megabytes': megabytes, 'steps': steps, **read}


def _deserialised(path: Path) -> Iterator[Any]:
    with Reader(path) as reader:
        connections = [connection for connection in reader.connections if connection.msgtype == STEP_TYPE]
        typestore = get_typestore(Stores.ROS2_JAZZY)
        types = get_types_from_msg(connections[0].msgdef.data, STEP_TYPE)
        typestore.register({name: definition for name, definition in types.items() if name not in typestore.types})
        for connection, _, message in reader.messages(connections):
            yield typestore.deserialize_cdr(message, connection.msgtype)


def random_data(episodes: int, steps: int, width: int) -> InterventionData:
    """Observations have `width` entries; the human acts in the last 30 steps of every episode."""
    rng = np.random.default_rng(0)
    count = episodes * steps
    step = np.tile(np.arange(steps), episodes)
    intervening = step >= steps - 30
    stacked, following = rng.normal(size=(2, count, HISTORY * width)).astype(np.float32)
    robot, human = rng.uniform(-1, 1, size=(2, count, ACTION_DIM)).astype(np.float32)
    human[~intervening] = np.nan
    return InterventionData(
        stacked=stacked,
        next_stacked=following,
        robot_action=robot,
        human_action=human,
        intervening=intervening,
        episode=np.repeat(np.arange(episodes), steps),
        step=step,
        iteration=np.repeat(np.arange(episodes) // 3, steps),
        done=step == steps - 1,
        success=np.ones(count, dtype=bool),
        demonstration=np.zeros(count, dtype=bool),
    )


def random_bundle(width: int) -> Bundle:
    """Policy and mental model of observations of `width` entries, with random weights; c and sigma of Table I, WidowX."""
    torch.manual_seed(0)
    architecture = Architecture(input_dim=HISTORY * width, action_dim=ACTION_DIM)
    layout = tuple(f'o{number}' for number in range(width))
    manifest = Manifest('v000', 'speed', layout, HISTORY, architecture, architecture, c=70.0, sigma=100.0, method='random')
    return Bundle(GaussianPolicy(architecture), GaussianPolicy(architecture), manifest)


def _fit(method: str, data: InterventionData, start: Bundle, epochs: int, size: int) -> int:
    """Train as anybody would; returns the number of steps taken."""
    config = METHODS[method].configure('')
    config = type(config).from_mapping(config.to_mapping() | {'epochs': epochs, 'batch_size': size})
    METHODS[method].fit(data, start, config=config, seed=0)
    return epochs * math.ceil(len(data) / size)


@dataclasses.dataclass(frozen=True)
class _Batch:
    """What a loss below is made of: the outputs of both networks, (B, d) each, and the data."""

    policy: Gaussian
    mental_model: Gaussian
    human_action: Tensor
    intervening: Tensor
    generator: torch.Generator


def _no_loss(batch: _Batch) -> Tensor:
    """The least that has a gradient for every weight."""
    return torch.cat([*batch.policy, *batch.mental_model]).sum()


def _sampled_loss(batch: _Batch) -> Tensor:
    """J of MILE with p(ν=1|s) estimated by samples, as in the code that the authors released."""
    nu = batch.intervening
    p = intervention_probability_sampled(*batch.policy, *batch.mental_model, 70.0, 100.0, samples=SAMPLES, generator=batch.generator)
    j1 = functional.binary_cross_entropy(p.clamp(1e-7, 1 - 1e-7), nu.float())
    j2 = -batch.policy.log_prob(batch.human_action)[nu].mean()
    return (j1 + j2) / 2


def _train(data: InterventionData, start: Bundle, epochs: int, size: int, loss_of: Callable[[_Batch], Tensor]) -> int:
    """Forward, backward and update (Adam with a bounded gradient, as all methods) of both networks; returns the number of steps taken."""
    policy, mental_model = copy.deepcopy(start.policy), copy.deepcopy(start.mental_model)
    assert mental_model is not None
    parameters = [*policy.parameters(), *mental_model.parameters()]
    optimizer = adam(parameters, 1e-5)
    inputs, human_action = torch.as_tensor(data.stacked), torch.as_tensor(np.nan_to_num(data.human_action))
    intervening = torch.as_tensor(data.intervening)
    generator = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        rows = torch.randperm(len(data), generator=generator)
        shuffled = (values[rows].split(size) for values in (inputs, human_action, intervening))
        for batch, human, nu in zip(*shuffled, strict=True):
            descend(optimizer, loss_of(_Batch(policy(batch), mental_model(batch), human, nu, generator)), 10.0)
    return epochs * math.ceil(len(data) / size)


def speed_text(found: dict[str, Any]) -> str:
    """For a person."""
    whole = found['round']
    lines = []
    each = [(f'{setting}, step of {size}', step) for setting, sizes in found['steps'].items() for size, step in sizes.items()]
    for what, step in each:
        lines += [
            f'{what}: MILE {step["mile_ms"]:.2f} ms, BC {step["bc_ms"]:.2f} ms, two networks alone {step["networks_ms"]:.2f} ms',
            f'  MILE: {step["mile_to_networks"]:.2f} x its two networks alone (goal: at most 1.1), {step["mile_to_bc"]:.2f} x BC',
            f'  {SAMPLES} x {SAMPLES} samples: {step["sampled_ms"]:.1f} ms, {step["sampled_to_mile"]:.1f} x MILE (goal: at least 10)',
        ]
    lines.append(
        f'a round of {whole["epochs"]} epochs over {whole["episodes"]} episodes ({whole["steps"]} steps): {whole["seconds"]:.1f} s'
    )
    bags = found['bags']
    if bags is not None:
        lines.append(
            f'bags to tensors: {bags["tensors_mb_s"]:.1f} MB/s; rosbags alone: {bags["rosbags_mb_s"]:.1f} MB/s '
            f'({bags["megabytes"]:.1f} MB, {bags["steps"]} steps)'
        )
    return '\n'.join(lines)
