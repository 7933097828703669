"""A deployment under `ros2 launch`: makes the run ready, then starts the node graph of mile_bringup.graph.

ros2 launch mile_bringup deploy.launch.py operator:=joystick run_dir:=runs/monday
"""

from __future__ import annotations

import dataclasses
import os
from datetime import datetime
from pathlib import Path
from typing import Any

from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction, RegisterEventHandler, SetEnvironmentVariable, Shutdown
from launch.event_handlers import OnProcessExit
from launch.events.process import ProcessExited
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackagePrefix

from launch import Action, LaunchContext, LaunchDescription
from mile_bringup import fake_hardware, graph
from mile_bringup.cli_options import option_words
from mile_bringup.deployment import Deployment
from mile_bringup.processes import enclave, shared_environment

OPTIONS = dataclasses.fields(Deployment)


def generate_launch_description() -> LaunchDescription:
    """One argument per option of a deployment, and the folder of the run."""
    default_run = Path.cwd() / 'runs' / datetime.now().strftime('%Y%m%d-%H%M%S')
    return LaunchDescription(
        [
            *(_argument(field) for field in OPTIONS),
            DeclareLaunchArgument(
                'run_dir',
                default_value=str(default_run),
                description='folder of the run; an existing run is resumed, with its own options where these are left at their default',
            ),
            *(SetEnvironmentVariable(*item) for item in shared_environment(os.environ).items()),
            OpaqueFunction(function=_prepare_then_start),
        ]
    )


def _argument(field: dataclasses.Field[Any]) -> DeclareLaunchArgument:
    choices = field.metadata['choices']
    return DeclareLaunchArgument(
        field.name,
        default_value=str(field.default),
        description=field.metadata['doc'],
        choices=None if choices is None else list(choices),
    )


def _prepare_then_start(context: LaunchContext) -> list[Action]:
    given = Deployment.parse({field.name: LaunchConfiguration(field.name).perform(context) for field in OPTIONS})
    run_dir = Path(LaunchConfiguration('run_dir').perform(context)).expanduser().absolute()
    mile = PathJoinSubstitution([FindPackagePrefix('mile_bringup'), 'lib', 'mile_bringup', 'mile'])
    prepare = ExecuteProcess(cmd=[mile, 'prepare', '--run', str(run_dir), *option_words(given)], name='prepare', output='screen')

    def start(event: ProcessExited, _: LaunchContext) -> list[Action]:
        if event.returncode != 0:
            return [Shutdown(reason='the run could not be made ready')]
        deployment = Deployment.of_run(run_dir / 'run.yaml', given)
        extra = fake_hardware.environment(os.environ) if deployment.fake_hardware else {}
        return [*(SetEnvironmentVariable(*item) for item in extra.items()), *(_render(node) for node in graph.nodes(deployment, run_dir))]

    return [RegisterEventHandler(OnProcessExit(target_action=prepare, on_exit=start)), prepare]


def _render(node: graph.NodeSpec) -> Node:
    return Node(
        package=node.package,
        executable=node.executable,
        name=node.name,
        namespace=node.namespace,
        parameters=[dict(node.parameters), *node.params_files],
        remappings=list(node.remappings),
        ros_arguments=['--enclave', enclave(node.namespace, node.name)],
        output='screen',
        on_exit=Shutdown(reason=f'{node.name} ended') if node.required else None,
    )
