"""The nodes of a deployment, named once; rendered by `deploy.launch.py` and started by `mile deploy`.

`ros2 launch` runs in the distribution's own Python: nothing that requirements/ install may be imported here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mile_bringup.deployment import Deployment, config_dir, config_file
from mile_bringup.fake_hardware import findings_file
from mile_learner.learner_config import LearnerConfig
from mile_learner.run_folder import DEPLOY
from mile_policy_node.arm import ArmConfig
from mile_policy_node.camera import CameraConfig
from mile_teleop.arbiter_config import ArbiterConfig

EYES = 'wrist'
"""The simulated camera through which the initial policy has learned to look (mile_sim.eyes)."""
IMAGES_PER_TICK = 1.5


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
        UsageError: no such pad, learner or parameter file.
        ConfigError: the arm's or the learner's file, config/teleop.yaml or config/camera.yaml cannot be used.
    """
    task = {'task_file': str(task_file(run_dir))}
    pad = {'pad_file': str(config_file('pad', deployment.pad))}
    speed = {'speed': deployment.speed}
    params_files = (str(config_file('params', deployment.params_file)),) if deployment.params_file else ()
    arm_config = _arm_config(deployment)
    arm = arm_config.to_mapping()
    teleop = ArbiterConfig.from_yaml(config_dir() / 'teleop.yaml').to_mapping()

    def node(package: str, name: str, *services: str, **parameters: Any) -> NodeSpec:
        return NodeSpec(package, name, name, deployment.namespace, parameters, params_files, services=services)

    mode = {'mode': deployment.mode}
    person = {'seed': deployment.seed, 'operator_dir': str(operator_dir(run_dir)) if deployment.mode == DEPLOY else ''}
    operators = {
        'sim': node('mile_sim', 'operator_node', **task, **pad, **speed, **mode, **person),
        'joystick': node('mile_teleop', 'pad_node', **pad),
    }
    learner = learner_config(deployment)
    session = {
        'run_dir': str(run_dir),
        'iterations': deployment.iterations,
        'episodes': deployment.episodes,
        'seed': deployment.seed,
        'operator': deployment.operator,
        'operator_name': deployment.operator_name,
        'wait_for_start': deployment.operator == 'joystick',
        'method': learner.method,
        'method_options': json.dumps(dict(learner.options)),
    }
    robot = arm_config.robot_name or arm_config.arm_model().name
    fake = {'model': arm_config.model, 'world': deployment.namespace, 'report_file': str(findings_file(run_dir))}
    motors = NodeSpec('mile_sim', 'fake_xs_sdk_node', 'fake_xs_sdk_node', robot, {**task, **speed, **fake}, services=('get_robot_info',))
    states = () if deployment.arm == 'sim' else (('joint_states', f'/{robot}/joint_states'),)
    set_up = (('reset_arm', 'fake_hardware/reset_arm'),) if deployment.fake_hardware else ()
    camera = CameraConfig.from_yaml(config_dir() / 'camera.yaml').to_mapping()
    surroundings = (
        node('mile_policy_node', 'camera_node', **camera)
        if deployment.real_arm
        else node('mile_sim', 'sim_node', 'sim/reset', **task, **speed, **_view(deployment)),
        *((motors,) if deployment.fake_hardware else ()),
    )
    return (
        *surroundings,
        node('mile_policy_node', 'arm_node', 'reset_arm', **task, **arm),
        operators[deployment.operator],
        node('mile_policy_node', 'policy_node', 'load_policy', **task),
        node('mile_teleop', 'teleop_node', 'start_episode', 'stop_episode', **teleop, **task, **pad, **speed),
        replace(node('mile_teleop', 'recorder_node', 'open_bag', 'close_bag'), remappings=states),
        node('mile_learner', 'learner_node', 'train/_action/send_goal'),
        replace(node('mile_bringup', 'session_node', 'retrain', **task, **speed, **mode, **session), remappings=set_up),
    )


def _view(deployment: Deployment) -> dict[str, Any]:
    """How the simulated camera looks, if the policy looks through it: a new image for every tick."""
    if deployment.observation != 'pixels':
        return {}
    return {'camera': EYES, 'image_rate_hz': min(IMAGES_PER_TICK * deployment.resolved_task().rate_hz * deployment.speed, 60.0)}


def learner_config(deployment: Deployment) -> LearnerConfig:
    """What the session asks the learner for, as its file says.

    Raises:
        UsageError: no such file.
        ConfigError: it cannot be used.
    """
    name = deployment.learner or ('mile_pixels' if deployment.observation == 'pixels' else 'mile')
    return LearnerConfig.from_yaml(config_file('learner', name))


def _arm_config(deployment: Deployment) -> ArmConfig:
    """The arm's file, its `model_file` found beside it, with the driver that was chosen.

    Raises:
        UsageError: no such file.
        ConfigError: it, or its model_file, cannot be used.
    """
    path = config_file('arm', deployment.arm_file)
    config = replace(ArmConfig.from_yaml(path), backend=deployment.arm)
    if config.model_file:
        config = replace(config, model_file=str(path.parent / Path(config.model_file).expanduser()))
        config.arm_model()
    return config
