"""The nodes of a deployment, named once; rendered by `deploy.launch.py` and started by `mile deploy`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mile_bringup.deployment import Deployment, config_file


@dataclass(frozen=True)
class NodeSpec:
    """One node.

    Attributes:
        package, executable: what to run.
        name, namespace: of the node.
        parameters: plain values.
        required: whether its end, orderly or not, ends the deployment.
        services: what it offers once it is ready, relative to the namespace.
        remappings: (from, to) pairs.
    """

    package: str
    executable: str
    name: str
    namespace: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    required: bool = True
    services: tuple[str, ...] = ()
    remappings: tuple[tuple[str, str], ...] = ()


def nodes(deployment: Deployment, *, run_dir: Path, task_file: Path) -> tuple[NodeSpec, ...]:
    """The node graph.

    Args:
        deployment: its options.
        run_dir: folder of the run.
        task_file: the resolved task (see `Deployment.resolved_task`).

    Raises:
        UsageError: no such pad.
    """
    task = {'task_file': str(task_file)}
    pad = {'pad_file': str(config_file('pad', deployment.pad))}
    speed = {'speed': deployment.speed}

    def node(package: str, name: str, *services: str, **parameters: Any) -> NodeSpec:
        return NodeSpec(package, name, name, deployment.namespace, parameters, services=services)

    arm = (
        node('mile_policy_node', 'arm_node', 'reset_arm', **task, backend=deployment.arm),
        node('mile_sim', 'sim_node', 'sim/reset', **task, **speed),
    )
    operators = {
        'sim': node('mile_sim', 'operator_node', **task, **pad, **speed, seed=deployment.seed),
        'joystick': NodeSpec('joy', 'joy_node', 'joy_node', deployment.namespace, {'autorepeat_rate': 20.0}),
    }
    return (
        *arm,
        operators[deployment.operator],
        node('mile_policy_node', 'policy_node', 'load_policy', **task),
        node('mile_teleop', 'teleop_node', 'start_episode', 'stop_episode', **task, **pad, **speed),
        node('mile_teleop', 'recorder_node', 'open_bag', 'close_bag'),
        node('mile_learner', 'learner_node', 'train/_action/send_goal'),
        node(
            'mile_bringup',
            'session_node',
            **task,
            **speed,
            run_dir=str(run_dir),
            iterations=deployment.iterations,
            episodes=deployment.episodes,
            seed=deployment.seed,
            operator=deployment.operator,
            wait_for_start=deployment.operator == 'joystick',
        ),
    )
