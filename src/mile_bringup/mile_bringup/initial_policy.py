"""What a run starts with: the prepared policy as version v000, and the simulated operator; both are copied into the run."""

from __future__ import annotations

import shutil
from pathlib import Path

from mile_bringup.graph import operator_dir
from mile_learner.run_folder import Run
from mile_learner.task import TaskConfig

INITIAL_VERSION = 'v000'


def ensure_initial_policy(run: Run) -> None:
    """Prepare, unless the run has a policy version and an operator; whatever a kill left undone is done.

    Raises:
        SimError: no initial policy could be made.
        LearnerError: the run, or what was prepared, is damaged.
    """
    operator = operator_dir(run.path)
    if not run.versions() or not operator.is_dir():
        from mile_learner.bundle import Bundle
        from mile_sim.prepare import OPERATOR_FOLDER, prepare

        folder = prepare(TaskConfig.from_mapping(run.config['task'], source='run.yaml: task'), int(run.config['seed']))
        if not run.versions():
            Bundle.load(folder / INITIAL_VERSION).save(run.version_path(INITIAL_VERSION))
        if not operator.is_dir():
            _copy(folder / OPERATOR_FOLDER, operator)
    if not (run.path / 'policies' / 'current').is_file():
        run.promote(INITIAL_VERSION)


def _copy(source: Path, target: Path) -> None:
    """Copy a folder so that a whole one appears, or none."""
    temporary = target.with_name(f'.{target.name}')
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.copytree(source, temporary)
    temporary.rename(target)
