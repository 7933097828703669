"""How long an image encoder takes: its image, and its network by torch and by OpenVINO; taken in turns, so that all suffer alike."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from mile_bringup.cli_common import Report, finite, table
from mile_learner.encoders import ENCODERS, EncoderKind
from mile_learner.encoders.check import TOLERANCE, difference, sample_image
from mile_learner.encoders.encoder import THREADS, Encoder
from mile_learner.encoders.kind import chosen_backend
from mile_learner.errors import LearnerError

GOAL_HZ = 10.0


def run(*, repeats: int = 30) -> dict[str, Any]:
    """Measure every encoder, without weights where there are none: that costs the same.

    Returns:
        Per encoder: weights (pretrained or random), backend, medians of prepare_ms (resizing), torch_ms (the network on one thread, as a
        node runs it), backend_ms (the network by the backend) and encode_ms (image to features), images_per_s, the ratio of the backend's
        time to torch's, and the difference of the features.

    Raises:
        LearnerError: a package is missing.
    """
    with tqdm(total=len(ENCODERS) * repeats, unit='', desc='vision', file=sys.stderr) as progress:
        encoders = [_measure(kind, repeats, progress) for kind in ENCODERS.values()]
    return {'threads': THREADS, 'goal_images_per_s': GOAL_HZ, 'encoders': encoders}


def measure() -> Report:
    """The verb `mile bench vision`: fails if the backend differs from torch by more than 1e-3."""
    data = finite(run())
    names = ('encoder', 'weights', 'backend', 'prepare_ms', 'torch_ms', 'backend_ms', 'encode_ms', 'images_per_s', 'ratio')
    rows = [[one[name] for name in names] for one in data['encoders']]
    apart = max(one['difference'] for one in data['encoders'])
    text = f'{table(names, rows)}\n\ngoal: {GOAL_HZ:g} images per second; features differ by at most {apart:.0e} (limit {TOLERANCE:.0e})'
    return Report(data, text, code=int(apart > TOLERANCE))


def _measure(kind: EncoderKind, repeats: int, progress: tqdm[Any]) -> dict[str, Any]:
    try:
        network, weights = kind.build(), 'pretrained'
    except LearnerError:
        network, weights = kind.untrained(), 'random'
    plain, quick = Encoder(kind, network, 'torch'), Encoder(kind, network, chosen_backend())
    image = sample_image()
    prepared = plain.prepare(image)
    ways: dict[str, Callable[[], object]] = {
        'prepare_ms': lambda: plain.prepare(image),
        'torch_ms': lambda: plain.run(prepared),
        'backend_ms': lambda: quick.run(prepared),
        'encode_ms': lambda: quick.encode(image),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for _ in range(repeats):
        for name, way in ways.items():
            begun = time.perf_counter()
            way()
            times[name].append(1e3 * (time.perf_counter() - begun))
        progress.update()
    torch.set_num_threads(threads)
    medians = {name: float(np.median(values[1:])) for name, values in times.items()}
    return {
        'encoder': kind.name,
        'weights': weights,
        'features': kind.features,
        'backend': quick.backend,
        **medians,
        'images_per_s': 1e3 / medians['encode_ms'],
        'ratio': medians['backend_ms'] / medians['torch_ms'],
        'difference': difference(quick, plain),
    }
