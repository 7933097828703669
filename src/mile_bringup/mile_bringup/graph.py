"""The nodes of a deployment, named once; rendered by `deploy.launch.py` and started by `mile deploy`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mile_bringup.deployment import Deployment, config_dir, config_file
from mile_learner.run_folder import DEPLOY
from mile_policy_node.arm import ArmConfig
from mile_teleop.arbiter_config import ArbiterConfig


@dataclass(frozen=True)
class NodeSpec:
    """One node.

    Attributes:
        package, executable: what to run.
        name, namespace: of the node.
        parameters: plain values.
        params_files: ROS parameter files that count before them.
        required: whether its end, orderly or not, ends the deployment.
        services: what it offers once it is ready, relative to the namespace.
        remappings: (from, to) pairs.
    """

    package: str
    executable: str
    name: str
    namespace: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    params_files: tuple[str, ...] = ()
    required: bool = True
    services: tuple[str, ...] = ()
    remappings: tuple[tuple[str, str], ...] = ()


def task_file(run_dir: Path) -> Path:
    """Where the nodes of a run read its task."""
    return run_dir / 'config' / 'task.yaml'


def operator_dir(run_dir: Path) -> Path:
    """Where a run keeps its simulated operator."""
    return run_dir / 'operator'


def nodes(deployment: Deployment, run_dir: Path) -> tuple[NodeSpec, ...]:
    """The node graph of the run in `run_dir`.

    Raises:
        UsageError: no such pad or parameter file.
        ConfigError: config/arm_wx250s.yaml or config/teleop.yaml cannot be used.
    """
    task = {'task_file': str(task_file(run_dir))}
    pad = {'pad_file': str(config_file('pad', deployment.pad))}
    speed = {'speed': deployment.speed}
    params_files = (str(config_file('params', deployment.params_file)),) if deployment.params_file else ()
    arm = ArmConfig.from_yaml(config_dir() / 'arm_wx250s.yaml').to_mapping() | {'backend': deployment.arm}
    teleop = ArbiterConfig.from_yaml(config_dir() / 'teleop.yaml').to_mapping()

    def node(package: str, name: str, *services: str, **parameters: Any) -> NodeSpec:
        return NodeSpec(package, name, name, deployment.namespace, parameters, params_files, services=services)

    mode = {'mode': deployment.mode}
    person = {'seed': deployment.seed, 'operator_dir': str(operator_dir(run_dir)) if deployment.mode == DEPLOY else ''}
    operators = {
        'sim': node('mile_sim', 'operator_node', **task, **pad, **speed, **mode, **person),
        'joystick': node('mile_teleop', 'pad_node', **pad),
    }
    session = {
        'run_dir': str(run_dir),
        'iterations': deployment.iterations,
        'episodes': deployment.episodes,
        'seed': deployment.seed,
        'operator': deployment.operator,
        'wait_for_start': deployment.operator == 'joystick',
    }
    return (
        node('mile_sim', 'sim_node', 'sim/reset', **task, **speed),
        node('mile_policy_node', 'arm_node', 'reset_arm', **task, **arm),
        operators[deployment.operator],
        node('mile_policy_node', 'policy_node', 'load_policy', **task),
        node('mile_teleop', 'teleop_node', 'start_episode', 'stop_episode', **teleop, **task, **pad, **speed),
        node('mile_teleop', 'recorder_node', 'open_bag', 'close_bag'),
        node('mile_learner', 'learner_node', 'train/_action/send_goal'),
        node('mile_bringup', 'session_node', 'retrain', **task, **speed, **mode, **session),
    )
