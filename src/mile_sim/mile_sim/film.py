"""Films an episode: the expert, or a policy version with or without the simulated operator, as mp4 or GIF, and one still picture."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import imageio.v2 as imageio
import numpy as np
from numpy.typing import NDArray

from mile_learner.bundle import Bundle
from mile_learner.errors import LearnerError
from mile_learner.files import unfit_name
from mile_learner.history import HistoryStack
from mile_sim.block_insertion import BlockInsertion
from mile_sim.camera import CAMERAS
from mile_sim.errors import SimError
from mile_sim.expert import Expert
from mile_sim.operator import Operator, load_operator

Frame = NDArray[np.uint8]
_BORDER = 6
_ORANGE = (230, 120, 20)


def frames(env: BlockInsertion, seed: int, policy: Bundle | None = None, operator: Operator | None = None) -> Iterator[tuple[Frame, bool]]:
    """One image (height, width, 3) per tick from the start state of `seed`, and whether the operator is in control: an orange border.

    Without a policy the expert acts.
    """
    observation, _ = env.reset(seed=seed)
    expert = Expert()
    stack = HistoryStack(policy.manifest.history if policy is not None else 1, len(observation))
    if operator is not None:
        operator.reset(seed)
    over, tick = False, 0
    while not over:
        stacked = stack.push(observation)
        action = policy.act(stacked)[0] if policy is not None else expert.action(observation)
        decision = operator.decide(stacked, tick / env.task.rate_hz) if operator is not None else None
        intervening = decision is not None and decision.intervening
        yield _frame(env, intervening), intervening
        observation, _, success, truncated, _ = env.step(decision.action if decision is not None and intervening else action)
        over, tick = success or truncated, tick + 1
    yield _frame(env, False), False


def still(intervening: Sequence[bool]) -> int:
    """The number of the frame to show of an episode: the middle of the operator's first intervention, or two thirds along without one."""
    if True not in intervening:
        return 2 * len(intervening) // 3
    first = intervening.index(True)
    return (first + (*intervening, False).index(False, first)) // 2


def _frame(env: BlockInsertion, intervening: bool) -> Frame:
    image = env.render()
    assert image is not None
    if intervening:
        framed = np.full_like(image, _ORANGE)
        framed[_BORDER:-_BORDER, _BORDER:-_BORDER] = image[_BORDER:-_BORDER, _BORDER:-_BORDER]
        return framed
    return image


def main(args: Sequence[str] | None = None) -> int:
    """Film as asked on the command line; exit code 0, or 2 and one line where that cannot be done."""
    parser = argparse.ArgumentParser(prog='film', description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('output', type=Path, help='the film: .mp4 or .gif')
    parser.add_argument('--still', type=Path, help='also write one picture, of the first intervention if there is one: .png')
    parser.add_argument('--policy', type=Path, help='folder of a policy version; without it the expert acts')
    parser.add_argument('--operator', type=Path, help='folder of a simulated operator, who watches the policy')
    parser.add_argument('--seed', type=int, default=0, help='of the start state')
    parser.add_argument('--width', type=int, default=640, help='[pixel]')
    parser.add_argument('--height', type=int, default=480, help='[pixel]')
    parser.add_argument('--camera', choices=CAMERAS, default='front', help='which camera')
    options = parser.parse_args(args)
    for name, path, suffixes in (('output', options.output, ('.mp4', '.gif')), ('--still', options.still, ('.png',))):
        if path is not None and (wrong := unfit_name(path, *suffixes)):
            parser.error(f'{name}: {wrong}')
    if options.operator is not None and options.policy is None:
        parser.error('--operator: nobody to watch; give --policy too')
    env = BlockInsertion(render_mode='rgb_array', width=options.width, height=options.height, camera=options.camera)
    try:
        policy = Bundle.load(options.policy) if options.policy is not None else None
        operator = load_operator(options.operator) if options.operator is not None else None
        shown = list(frames(env, options.seed, policy, operator))
    except (SimError, LearnerError) as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        env.close()
    film = [frame for frame, _ in shown]
    if options.output.suffix == '.mp4':
        imageio.mimwrite(options.output, film, fps=env.task.rate_hz)
    else:
        imageio.mimwrite(options.output, film, duration=1000 / env.task.rate_hz, loop=0)
    if options.still is not None:
        imageio.imwrite(options.still, film[still([intervening for _, intervening in shown])])
    return 0


if __name__ == '__main__':
    sys.exit(main())
