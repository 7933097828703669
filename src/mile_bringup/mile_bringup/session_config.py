"""Parameters of session_node, and what its bags say of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mile_bringup.deployment import check_operator_name
from mile_learner.config import Config, option
from mile_learner.run_folder import DEMONSTRATE, DEPLOY, SHOW, Run
from mile_learner.task import TaskConfig


@dataclass(frozen=True, kw_only=True)
class SessionConfig(Config):
    """Parameters of session_node."""

    run_dir: str = option(doc='folder of the run')
    task_file: str = option(doc="path of the task's YAML file")
    mode: str = option(DEPLOY, doc='what the episodes are for', choices=(DEPLOY, DEMONSTRATE, SHOW))
    iterations: int = option(doc='iterations, with training after each', ge=1)
    episodes: int = option(doc='episodes per iteration, or to demonstrate or show', ge=1)
    seed: int = option(0, doc='of the start states', ge=0)
    operator: str = option('sim', doc='who presses the pad; goes into the bags')
    operator_name: str = option('', doc='name of who holds the pad, empty if nobody said; goes into the bags')
    speed: float = option(1.0, doc='times real time; goes into the bags', gt=0.0)
    wait_for_start: bool = option(False, doc="an episode waits for the pad's start button")
    method: str = option('mile', doc='what trains')
    method_options: str = option('', doc="the method's options, as a JSON object")
    startup_timeout_s: float = option(120.0, doc='how long a service may take to appear [s]', gt=0.0)
    reply_timeout_s: float = option(60.0, doc='how long a service may take to answer [s]', gt=0.0)
    training_silence_s: float = option(60.0, doc='how long the learner may say nothing while it trains [s]', gt=0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_operator_name(self.operator_name)


def bag_metadata(config: SessionConfig, task: TaskConfig, run: Run) -> dict[str, Any]:
    """What every bag of a session says about itself; the arbiter's settings are to be added, as it says them."""
    return {
        'task': task.name,
        'operator': config.operator,
        'operator_name': config.operator_name,
        'configuration': {
            'task': task.to_mapping(),
            'session': config.to_mapping(),
            'run': dict(run.config),
        },
    }
