"""How precisely do image features tell where the block is over the hole? Ridge regression, held out by episodes; one JSON array.

python benchmarks/pixels/features.py [EPISODES] > features.json        (48 episodes: some minutes for either camera)
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from mile_learner.encoders import ENCODERS
from mile_learner.encoders.encoder import Encoder, decode_image
from mile_sim import eyes
from mile_sim.block_insertion import BlockInsertion, observe
from mile_sim.camera import Camera
from mile_sim.expert import Expert, ExpertConfig

FIRST_SEED, EVERY, JITTER, FOLDS = 900_000, 4, 0.15, 5
PENALTIES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
BLOCKS = {8: 'block 8', 11: 'block 11', 15: 'block 15', 16: 'block 16'}
Columns = dict[str, list[Any]]


def positions(maps: torch.Tensor) -> torch.Tensor:
    """Of each channel, the expected position in the image under a softmax over its map scaled to mean 0 and deviation 1: (B, 2 C)."""
    z = (maps - maps.mean((2, 3), keepdim=True)) / (maps.std((2, 3), keepdim=True) + 1e-3)
    weight = torch.softmax(z.flatten(2), dim=-1).view_as(z)
    x, y = (torch.linspace(-1.0, 1.0, size) for size in (z.shape[3], z.shape[2]))
    return torch.cat([weight.sum(2) @ x, weight.sum(3) @ y], dim=1)


def reductions(network: Any, image: torch.Tensor) -> dict[str, np.ndarray]:
    """Several ways to make features of one prepared image (1, 3, 224, 224)."""
    body, found = network.body, {}
    pool = torch.nn.functional.adaptive_avg_pool2d
    with torch.no_grad():
        maps = body._swish(body._bn0(body._conv_stem((image - 127.0) / 128.0)))
        for number, block in enumerate(body._blocks, start=1):
            maps = block(maps)
            if number in BLOCKS:
                found[f'{BLOCKS[number]}, mean'] = maps.mean((2, 3))
                found[f'{BLOCKS[number]}, 4 x 4'] = pool(maps, 4).flatten(1)
                found[f'{BLOCKS[number]}, positions'] = torch.cat([positions(maps), positions(-maps)], dim=1)
        last = body._swish(body._bn1(body._conv_head(maps)))
        found |= {'last, mean': last.mean((2, 3)), 'last, 2 x 2': pool(last, 2).flatten(1), 'last, positions': positions(last)}
    return {name: value[0].numpy() for name, value in found.items()}


def collect(episodes: int) -> tuple[dict[str, Columns], np.ndarray, np.ndarray]:
    """Features by camera, states (N, 7) and episode numbers (N,) of every fourth tick of disturbed demonstrations."""
    env, kind = BlockInsertion(), ENCODERS['efficientnet_lite0']
    network = kind.build()
    encoder = Encoder(kind, network, 'torch')
    cameras = {name: Camera(env.world.model, eyes.SIZE, eyes.SIZE, name) for name in ('hole', 'wrist')}
    expert = Expert(ExpertConfig(step_size_m=env.task.step_size_m))
    seen: dict[str, Columns] = {name: {} for name in cameras}
    states, numbers = [], []
    for seed in tqdm(range(FIRST_SEED, FIRST_SEED + episodes), unit='episode'):
        env.reset(seed=seed)
        rng, over, tick = np.random.default_rng(seed), False, 0
        while not over:
            state = observe(env.world)
            if tick % EVERY == 0:
                states.append(state)
                numbers.append(seed)
                for name, camera in cameras.items():
                    image = decode_image(eyes.compress(camera.render(env.world.data), eyes.JPEG_QUALITY))
                    for way, features in reductions(network, encoder.prepare(image)).items():
                        seen[name].setdefault(way, []).append(features)
            action = expert.intention(state) + np.append(rng.normal(0.0, JITTER, 3), 0.0)
            _, _, success, truncated, _ = env.step(np.clip(action, -1.0, 1.0))
            over, tick = success or truncated, tick + 1
    return seen, np.stack(states), np.array(numbers)


def errors(features: np.ndarray, states: np.ndarray, numbers: np.ndarray) -> dict[str, float]:
    """Root mean square errors [mm] at the best penalty: in x and y, everywhere, and near the hole."""
    wanted, arm = 1e3 * states[:, 4:7].astype(float), states[:, :3].astype(float)
    near = (np.abs(wanted[:, 2]) < 15) & (np.hypot(wanted[:, 0], wanted[:, 1]) < 8)
    order = np.random.default_rng(0).permutation(np.unique(numbers))
    predicted = {penalty: np.zeros_like(wanted) for penalty in PENALTIES}
    for fold in range(FOLDS):
        test = np.isin(numbers, order[fold::FOLDS])
        scaled = np.concatenate([_scaled(features, ~test), _scaled(arm, ~test), np.ones((len(arm), 1))], axis=1)
        train, mean = scaled[~test], wanted[~test].mean(axis=0)
        kernel = train @ train.T
        for penalty, result in predicted.items():
            weights = np.linalg.solve(kernel + penalty * len(train) * np.eye(len(train)), wanted[~test] - mean)
            result[test] = scaled[test] @ (train.T @ weights) + mean
    squares = {penalty: (result - wanted)[:, :2] ** 2 for penalty, result in predicted.items()}
    best = min(squares, key=lambda penalty: squares[penalty].sum())
    (x, y), (near_x, near_y) = (np.sqrt(squares[best][rows].mean(axis=0)).round(2).tolist() for rows in (slice(None), near))
    return {'penalty': best, 'x': x, 'y': y, 'near_x': near_x, 'near_y': near_y, 'images': len(near), 'near_images': int(near.sum())}


def _scaled(columns: np.ndarray, train: np.ndarray) -> np.ndarray:
    mean, std = columns[train].mean(axis=0), columns[train].std(axis=0)
    told = std > 1e-5
    result: np.ndarray = np.clip((columns - mean)[:, told] / np.maximum(std[told], 1e-3), -10, 10) / np.sqrt(max(told.sum(), 1))
    return result


def main() -> None:
    """Print one row per camera and kind of features."""
    torch.set_num_threads(1)
    seen, states, numbers = collect(int(sys.argv[1]) if len(sys.argv) > 1 else 48)
    rows: list[dict[str, Any]] = [{'camera': '', 'features': 'the arm alone', 'numbers': 0, **errors(states[:, :0], states, numbers)}]
    for camera, columns in seen.items():
        for way, values in columns.items():
            features = np.stack(values)
            rows.append({'camera': camera, 'features': way, 'numbers': features.shape[1], **errors(features, states, numbers)})
    print(json.dumps(rows, indent=1))


if __name__ == '__main__':
    main()
