"""A run to break: with a policy and a simulated operator that were never trained, for nothing but their timing counts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mile_bringup.deployment import Deployment
from mile_bringup.graph import operator_dir
from mile_bringup.run_setup import open_run, write_task_file
from mile_learner.bundle import Bundle, Manifest
from mile_learner.layout import layout_width
from mile_learner.policy import Architecture, GaussianPolicy
from mile_learner.run_folder import Run
from mile_sim.expert import ExpertConfig
from mile_sim.operator import Operator, OperatorConfig, save_operator

FIRST = 'v000'
BY_CHANCE = OperatorConfig(c=1750.0, sigma=1000.0, release_probability=1.0)
"""Takes over with p = Phi(-1.75 + 0.05) = 0.04 at each tick, whatever the robot does, and hands back after `hold_s`."""


def make_run(path: Path, options: Mapping[str, Any]) -> tuple[Run, Deployment]:
    """A new run in `path`, its first policy flying.

    Raises:
        ConfigError: options out of range.
    """
    run, deployment = open_run(path, options)
    add_untrained(run)
    run.promote(FIRST)
    write_task_file(run)
    return run, deployment


def add_untrained(run: Run) -> None:
    """Put policy and simulated operator into a run as a kill during its preparation would leave them: they do not fly yet."""
    task = run.task
    torch.manual_seed(0)
    architecture = Architecture(input_dim=task.history * layout_width(task.observation_layout), action_dim=4, hidden=(16,))
    manifest = Manifest('', task.name, task.observation_layout, task.history, architecture, architecture, 5.0, 3.0, 'untrained')
    Bundle(GaussianPolicy(architecture), GaussianPolicy(architecture), manifest).save(run.version_path(FIRST))
    operator_dir(run.path).mkdir()
    operator = Operator(BY_CHANCE, GaussianPolicy(architecture), ExpertConfig(), history=task.history)
    save_operator(operator, operator_dir(run.path))
