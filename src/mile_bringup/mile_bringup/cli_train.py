"""`mile train`: a new policy version from a run's bags."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from mile_bringup.cli_common import Report, absolute, add_verb, finite, whole
from mile_bringup.errors import UsageError
from mile_learner.errors import quoted

if TYPE_CHECKING:
    from collections.abc import Callable

    from mile_learner.manifest import Manifest
    from mile_learner.run_folder import Run

CLONING = 'behaviour_cloning'


def add(verbs: Any) -> None:
    """Add the verb."""
    parser = add_verb(verbs, 'train', run, help="make a new policy version from all of a run's episodes; it flies once it is promoted")
    parser.add_argument('run_dir', metavar='RUN', type=absolute, help='folder of the run')
    parser.add_argument('--method', default='mile', help=f'what trains (default: mile); {CLONING}: a first policy from demonstrations')
    parser.add_argument(
        '--set',
        dest='options',
        metavar='KEY=VALUE',
        action='append',
        default=[],
        help="change one of the method's options, e.g. epochs=100",
    )
    parser.add_argument('--seed', type=whole(0, 2**31 - 1), help="of the training (default: one for each version, from the run's)")
    parser.add_argument('--with-salvaged', action='store_true', help='train on what `mile repair` salvaged of torn episodes, too')
    parser.add_argument('--promote', action='store_true', help='let the new version fly; the first one of a run always does')


def run(args: argparse.Namespace) -> Report:
    """Train, and say what came of it. Ctrl-C leaves at most a checkpoint behind, from which the same command goes on."""
    from tqdm import tqdm

    from mile_bringup.isolation import lock_run
    from mile_learner.run_folder import Run

    options, of = _options(args.options), Run.open(args.run_dir)
    lock_run(args.run_dir)
    with ExitStack() as shown:
        bar: tqdm[Any] | None = None

        def show(epoch: int, epochs: int, losses: Mapping[str, float]) -> bool:
            nonlocal bar
            if bar is None:
                bar = shown.enter_context(tqdm(total=epochs, unit='epoch', desc=args.method))
            bar.set_postfix({name: f'{value:.3f}' for name, value in losses.items() if 'loss' in name}, refresh=False)
            bar.update(epoch - bar.n)
            return True

        manifest = _train(of, args, options, show)
    if args.promote or list(of.versions()) == [manifest.version]:
        of.promote(manifest.version)
    data = {'run': str(of.path), 'version': manifest.version, 'current': of.current(), 'metrics': dict(manifest.metrics)}
    hint = '' if of.current() == manifest.version else f'\nlet it fly: mile policies {quoted(of.path)} promote {manifest.version}'
    numbers = '\n'.join(f'{name}: {value}' for name, value in manifest.metrics.items())
    return Report(finite(data), f'{manifest.version}, from {manifest.parent or "demonstrations"}\n{numbers}{hint}')


def _train(
    of: Run, args: argparse.Namespace, options: dict[str, Any], progress: Callable[[int, int, Mapping[str, float]], bool]
) -> Manifest:
    from mile_learner.initial import clone_demonstrations
    from mile_learner.train import train

    if args.method == CLONING:
        return clone_demonstrations(of, overrides=options, seed=args.seed, progress=progress)
    return train(of, method=args.method, overrides=options, seed=args.seed, progress=progress, with_salvaged=args.with_salvaged)


def _options(texts: list[str]) -> dict[str, Any]:
    """From 'key=value' to YAML values.

    Raises:
        UsageError: not of that form.
    """
    from mile_learner.plain_text import load_yaml

    options = {}
    for text in texts:
        key, equals, value = text.partition('=')
        if not equals:
            msg = f'--set: got {text!r}, expected KEY=VALUE'
            raise UsageError(msg)
        try:
            options[key] = load_yaml(value)
        except ValueError as error:
            msg = f'--set: got {text!r}, expected a plain YAML value after {key}= ({error})'
            raise UsageError(msg) from error
    return options
