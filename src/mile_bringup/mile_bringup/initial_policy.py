"""What a run starts with: a first policy, its mental model, and the simulated operator, all kept in the run.

By default all of them are prepared from a seed. In a run with demonstrations the first policy is cloned from these by
`mile train RUN --method behaviour_cloning`; it is shown to the operator, and what the operator expects is learned from the shown episodes.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mile_bringup.errors import UsageError
from mile_bringup.graph import operator_dir
from mile_learner.errors import quoted
from mile_learner.manifest import read_manifest
from mile_learner.run_folder import DEMONSTRATIONS, SHOWN_EPISODES, Run, shown_folder

INITIAL_VERSION = 'v000'


def ensure_initial_policy(run: Run) -> None:
    """Prepare policy and operator, unless the run has them or demonstrations; whatever a kill left undone is done. A policy flies then.

    Raises:
        UsageError: there are demonstrations, but no policy was cloned from them.
        SimError: no initial policy could be made.
        LearnerError: the run, or what was prepared, is damaged.
    """
    demonstrated = bool(run.recorded(DEMONSTRATIONS))
    if demonstrated and not run.versions():
        clone = f'mile train {quoted(run.path)} --method behaviour_cloning'
        msg = f'{run.path}: has demonstrations, but no policy yet; clone one from them: {clone}'
        raise UsageError(msg)
    operator = operator_dir(run.path)
    if not demonstrated and not (run.versions() and operator.is_dir()):
        from mile_learner.bundle import Bundle
        from mile_sim.prepare import OPERATOR_FOLDER, prepare

        folder = prepare(run.task, run.seed)
        if not run.versions():
            Bundle.load(folder / INITIAL_VERSION).save(run.version_path(INITIAL_VERSION))
        if not operator.is_dir():
            with _whole(operator) as temporary:
                shutil.copytree(folder / OPERATOR_FOLDER, temporary, dirs_exist_ok=True)
    if not (run.path / 'policies' / 'current').is_file():
        run.promote(INITIAL_VERSION)


def must_be_shown(run: Run) -> bool:
    """Whether nobody knows yet what to expect of the policy that flies, and too few episodes of it were shown to learn that."""
    version = run.current()
    unknown = read_manifest(run.version_path(version)).mental_architecture is None
    return unknown and len(run.recorded(shown_folder(version))) < SHOWN_EPISODES


def ensure_mental_models(run: Run) -> None:
    """Learn, from the shown episodes, what the operator expects of the policy that flies, unless that is known; the result flies.

    Raises:
        UsageError: it was not shown often enough.
        LearnerError: the shown episodes cannot be trained on.
    """
    if must_be_shown(run):
        show = f'mile deploy --run {quoted(run.path)} --mode show --episodes {SHOWN_EPISODES}'
        msg = f'{run.path}: {run.current()} must be shown to the operator first, {SHOWN_EPISODES} episodes: {show}'
        raise UsageError(msg)
    manifest = read_manifest(run.version_path(run.current()))
    if manifest.mental_architecture is None:
        from mile_learner.initial import warm_start

        with _progress('mental model') as report:
            manifest = warm_start(run, progress=report)
        run.promote(manifest.version)
    if not operator_dir(run.path).is_dir():
        _save_operator(run, manifest.parent or manifest.version)


def _save_operator(run: Run, shown: str) -> None:
    """A simulated operator who saw this version being shown; its mental model is its own, from another random start than the learner's."""
    from mile_learner.initial import WarmStartConfig, expectation
    from mile_sim.expert import ExpertConfig
    from mile_sim.operator import Operator, OperatorConfig, save_operator

    task, manifest = run.task, read_manifest(run.version_path(shown))
    config = WarmStartConfig(hidden=manifest.architecture.hidden)
    with _progress('operator') as report:
        model, _ = expectation(run, manifest, config, run.seed, report)
    person = OperatorConfig(c=config.c, sigma=config.sigma)
    with _whole(operator_dir(run.path)) as temporary:
        save_operator(Operator(person, model, ExpertConfig(step_size_m=task.step_size_m), history=task.history), temporary)


@contextmanager
def _whole(target: Path) -> Iterator[Path]:
    """A temporary folder that gets its name when it is whole."""
    temporary = target.with_name(f'.{target.name}')
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    yield temporary
    temporary.rename(target)


@contextmanager
def _progress(name: str) -> Iterator[Any]:
    from tqdm import tqdm

    with tqdm(unit='epoch', desc=name, file=sys.stderr) as bar:

        def report(epoch: int, epochs: int, _: Mapping[str, float]) -> bool:
            bar.total = epochs
            bar.update(epoch - bar.n)
            return True

        yield report
