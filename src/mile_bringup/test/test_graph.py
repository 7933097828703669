"""The node graph as data, and the two ways it is rendered: as processes, and by the launch file."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ament_index_python.packages import PackageNotFoundError

from mile_bringup import graph, processes, readiness
from mile_bringup.deployment import OPERATORS, Deployment
from mile_bringup.errors import BringupError, UsageError
from mile_bringup.run_setup import check_nodes, open_run
from mile_learner.config import ConfigError
from mile_learner.errors import LearnerError
from mile_sim import eyes
from mile_sim.errors import SimError

ROOT = Path(__file__).resolve().parents[3]
RUN = Path('/runs/one')


@pytest.mark.parametrize('operator', OPERATORS)
def test_one_node_presses_the_pad_and_every_node_is_named_once(operator: str) -> None:
    nodes = graph.nodes(Deployment(operator=operator), RUN)
    assert len({node.name for node in nodes}) == len(nodes)
    assert {node.name for node in nodes} & {'operator_node', 'pad_node'} == {{'sim': 'operator_node', 'joystick': 'pad_node'}[operator]}
    assert all(node.required and node.namespace == 'mile' for node in nodes)


def test_what_the_user_chose_reaches_the_nodes() -> None:
    deployment = Deployment(operator='joystick', operator_name='anna', speed=4.0, seed=5, iterations=2, episodes=7, namespace='left')
    nodes = {node.name: node for node in graph.nodes(deployment, RUN)}
    assert nodes['sim_node'].parameters['speed'] == nodes['teleop_node'].parameters['speed'] == 4.0
    session = nodes['session_node'].parameters
    assert (session['run_dir'], session['iterations'], session['episodes'], session['seed']) == (str(RUN), 2, 7, 5)
    assert (session['operator'], session['operator_name']) == ('joystick', 'anna')
    assert session['wait_for_start'] is True, 'a person starts every episode with the pad'
    assert {node.namespace for node in nodes.values()} == {'left'}
    assert nodes['teleop_node'].parameters['pad_file'] == nodes['pad_node'].parameters['pad_file']
    assert Path(nodes['pad_node'].parameters['pad_file']).is_file()


def test_whoever_demonstrates_needs_neither_policy_nor_operator_made_for_it() -> None:
    nodes = {node.name: node.parameters for node in graph.nodes(Deployment(mode='demonstrate'), RUN)}
    assert (nodes['operator_node']['mode'], nodes['session_node']['mode']) == ('demonstrate', 'demonstrate')
    assert nodes['operator_node']['operator_dir'] == ''
    assert Deployment(mode='demonstrate', episodes=40, speed=2.0).remembered() == Deployment(speed=2.0)


def test_a_pad_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(UsageError, match=r"pad: got 'ps2', expected .*ps3"):
        graph.nodes(Deployment(pad='ps2'), RUN)


def test_what_trains_is_checked_before_anything_starts(tmp_path: Path) -> None:
    nodes = {node.name: node.parameters for node in graph.nodes(Deployment(learner='mile_noted'), RUN)}
    assert nodes['session_node']['method'] == 'mile'
    assert json.loads(nodes['session_node']['method_options'])['mental_model'] == 'noted'
    file = tmp_path / 'mine.yaml'
    for content, error, message in (
        ('{method: nile, options: {}}', LearnerError, "method: got 'nile', expected one of mile"),
        ('{method: mile, options: {mental: learned}}', ConfigError, "options of mile: unknown key 'mental'; did you mean"),
        ('{method: mile}', ConfigError, "'options' is missing"),
    ):
        file.write_text(content)
        with pytest.raises(error, match=message):
            check_nodes(Deployment(learner=str(file)), RUN)


def test_the_graph_needs_nothing_that_a_ros_distribution_lacks() -> None:
    """`ros2 launch` runs in the distribution's Python, not in the environment of requirements/robot.txt."""
    locked = {line.partition('=')[0].strip() for line in (ROOT / 'requirements/robot.txt').read_text().splitlines() if '==' in line}
    assert {'torch', 'safetensors', 'mujoco'} <= locked
    ours = locked - {'numpy', 'pyyaml', 'setuptools', 'packaging', 'typing-extensions'}
    code = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {sorted(ours | {'cv2'})}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
from pathlib import Path
from mile_bringup import cli_options, fake_hardware, graph, processes
from mile_bringup.deployment import Deployment
real = Deployment(arm='xs', operator='joystick', observation='pixels')
for deployment in (Deployment(), Deployment(arm='xs', fake_hardware=True), real):
    print(len(graph.nodes(deployment, Path('/runs/one'))))
"""
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ['8', '9', '8']


@pytest.mark.parametrize(
    'deployment',
    [Deployment(), Deployment(observation='pixels'), Deployment(arm='xs', operator='joystick', observation='pixels')],
    ids=['state', 'pixels', 'real arm'],
)
def test_a_session_waits_for_no_topic_that_its_graph_lacks(deployment: Deployment) -> None:
    published = {
        'pad_node': ['joy'],
        'operator_node': ['joy'],
        'sim_node': ['scene'],
        'arm_node': ['arm_state', 'command_result'],
        'policy_node': ['policy_output'],
        'teleop_node': ['tick', 'command', 'step', 'teleop_status'],
        'recorder_node': ['recorded'],
    }
    topics = [topic for node in graph.nodes(deployment, RUN) for topic in published.get(node.name, [])]
    layout = deployment.resolved_task().observation_layout
    assert readiness.unpublished(topics.count, layout) == ''
    assert readiness.unpublished([t for t in topics if t != 'scene'].count, layout) == (
        'scene' if deployment.observation == 'state' else ''
    )


def test_an_observation_that_the_simulated_world_does_not_have_is_told_at_once(tmp_path: Path) -> None:
    task = yaml.safe_load((ROOT / 'config/task_block_insertion.yaml').read_text()) | {'observation_layout': ['ee_x', 'nothing']}
    (tmp_path / 'mine.yaml').write_text(yaml.safe_dump(task))
    with pytest.raises(SimError, match='observation_layout: got ee_x, nothing; expected ee_x, ee_y, ee_z, gripper, '):
        check_nodes(Deployment(task=str(tmp_path / 'mine.yaml')), RUN)
    check_nodes(Deployment(task=str(tmp_path / 'mine.yaml'), arm='xs', operator='joystick'), RUN)


def test_a_run_keeps_its_files_where_they_are_whatever_folder_it_is_resumed_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, file in (('pads', 'pad_ps4.yaml'), ('elsewhere', 'pad_ps5.yaml')):
        (tmp_path / folder).mkdir()
        shutil.copy(ROOT / 'config' / file, tmp_path / folder / 'mine.yaml')
    monkeypatch.chdir(tmp_path / 'pads')
    open_run(tmp_path / 'run', {'pad': 'mine.yaml', 'task': 'block_insertion'})
    monkeypatch.chdir(tmp_path / 'elsewhere')
    assert open_run(tmp_path / 'run', {})[1].pad == str(tmp_path / 'pads/mine.yaml')
    assert open_run(tmp_path / 'run', {'pad': 'mine.yaml'})[1].pad == str(tmp_path / 'elsewhere/mine.yaml')


def test_the_configuration_files_of_arbiter_and_arm_reach_their_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / 'config', tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr('mile_bringup.deployment.config_dir', lambda: tmp_path)
    monkeypatch.setattr(graph, 'config_dir', lambda: tmp_path)
    (tmp_path / 'teleop.yaml').write_text('takeover: toggle\n')
    (tmp_path / 'arm_wx250s.yaml').write_text('joint_margin_rad: 0.1\n')
    nodes = {node.name: node.parameters for node in graph.nodes(Deployment(), RUN)}
    assert nodes['teleop_node']['takeover'] == 'toggle'
    assert nodes['arm_node']['joint_margin_rad'] == 0.1
    (tmp_path / 'teleop.yaml').write_text('takover: toggle\n')
    with pytest.raises(ConfigError, match=r"unknown key 'takover'; did you mean 'takeover'"):
        graph.nodes(Deployment(), RUN)


def test_a_nodes_process_gets_its_parameters_by_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable = tmp_path / 'lib/some_package/some_node'
    executable.parent.mkdir(parents=True)
    executable.touch()
    monkeypatch.setattr(processes, 'get_package_prefix', lambda _: str(tmp_path))
    node = graph.NodeSpec('some_package', 'some_node', 'a_node', 'ns', {'x': 1.5}, ('more.yaml',), remappings=(('a', 'b'),))
    command = processes.node_command(node, tmp_path / 'config')
    parameters = tmp_path / 'config/a_node.yaml'
    assert command.argv == (
        *(str(executable), '--ros-args', '-r', '__node:=a_node', '-r', '__ns:=/ns', '-r', 'a:=b', '--enclave', '/ns/a_node'),
        *('--params-file', str(parameters), '--params-file', 'more.yaml'),
    )
    assert yaml.safe_load(parameters.read_text()) == {'/ns/a_node': {'ros__parameters': {'x': 1.5}}}


def test_a_package_or_executable_that_is_missing_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = graph.NodeSpec('some_package', 'some_node', 'a_node', 'ns')

    def not_found(_: str) -> str:
        raise PackageNotFoundError('some_package')

    monkeypatch.setattr(processes, 'get_package_prefix', not_found)
    with pytest.raises(BringupError, match='a_node: ROS package some_package is not installed'):
        processes.node_command(node, tmp_path)
    monkeypatch.setattr(processes, 'get_package_prefix', lambda _: str(tmp_path))
    with pytest.raises(BringupError, match='some_node is missing; build the workspace'):
        processes.node_command(node, tmp_path)


def test_nodes_stay_on_this_host_unless_the_user_says_otherwise(tmp_path: Path) -> None:
    assert processes.node_environment({}, domain=7, log_dir=tmp_path)['ROS_AUTOMATIC_DISCOVERY_RANGE'] == 'LOCALHOST'
    wide = processes.node_environment({'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SUBNET'}, domain=7, log_dir=tmp_path)
    assert wide['ROS_AUTOMATIC_DISCOVERY_RANGE'] == 'SUBNET'
    assert wide['ROS_DOMAIN_ID'] == '7'


def test_a_policy_that_looks_gets_an_image_for_every_tick_and_a_layout_with_features() -> None:
    deployment = Deployment(observation='pixels', rate=20.0, speed=2.0)
    view = {node.name: node.parameters for node in graph.nodes(deployment, RUN)}['sim_node']
    assert view['camera'] == eyes.CAMERA
    assert view['image_rate_hz'] >= 20.0 * 2.0
    assert deployment.resolved_task().observation_layout == ('ee_x', 'ee_y', 'ee_z', 'gripper', 'efficientnet_lite0:1280')
    learner = {node.name: node.parameters for node in graph.nodes(Deployment(observation='pixels'), RUN)}['session_node']
    assert json.loads(learner['method_options']) == {'epochs': 100}
    r3m = Deployment(observation='pixels', encoder='r3m').resolved_task()
    assert r3m.observation_layout[-1] == 'r3m:2048'
    assert 'camera' not in {node.name: node.parameters for node in graph.nodes(Deployment(), RUN)}['sim_node']


def test_a_rate_keeps_the_speed_of_motion() -> None:
    slow, fast = Deployment().resolved_task(), Deployment(rate=50.0, time_limit=3.0).resolved_task()
    assert fast.step_size_m * fast.rate_hz == pytest.approx(slow.step_size_m * slow.rate_hz)
    assert fast.gripper_step_m * fast.rate_hz == pytest.approx(slow.gripper_step_m * slow.rate_hz)
    assert fast.step_limit == 150


# ---------------------------------------------------------------- the launch file, against a stand-in for `launch` and `launch_ros`


class Recorded:
    """Stands in for an action or substitution of `launch`: remembers how it was made."""

    def __init__(self, kind: str, *args: Any, **kwargs: Any) -> None:
        self.kind, self.args, self.kwargs = kind, args, kwargs

    def perform(self, context: dict[str, str]) -> str:
        return context[self.args[0]]


LAUNCH_NAMES = {
    'launch': ['Action', 'LaunchContext', 'LaunchDescription'],
    'launch.actions': [
        'DeclareLaunchArgument',
        'ExecuteProcess',
        'OpaqueFunction',
        'RegisterEventHandler',
        'SetEnvironmentVariable',
        'Shutdown',
    ],
    'launch.event_handlers': ['OnProcessExit'],
    'launch.events.process': ['ProcessExited'],
    'launch.substitutions': ['LaunchConfiguration', 'PathJoinSubstitution'],
    'launch_ros.actions': ['Node'],
    'launch_ros.substitutions': ['FindPackagePrefix'],
}


def recorder(kind: str) -> Callable[..., Recorded]:
    return lambda *args, **kwargs: Recorded(kind, *args, **kwargs)


@pytest.fixture
def launch_file(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    for module_name, names in LAUNCH_NAMES.items():
        module = types.ModuleType(module_name)
        for name in names:
            setattr(module, name, recorder(name))
        monkeypatch.setitem(sys.modules, module_name, module)
    spec = importlib.util.spec_from_file_location('deploy_launch', ROOT / 'launch/deploy.launch.py')
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_launch_file_renders_the_same_graph(launch_file: Any, tmp_path: Path) -> None:
    actions = launch_file.generate_launch_description().args[0]
    arguments = {action.args[0]: action for action in actions if action.kind == 'DeclareLaunchArgument'}
    assert all(argument.kwargs['description'] for argument in arguments.values())
    assert arguments['operator'].kwargs['choices'] == ['sim', 'joystick']
    context = {name: argument.kwargs['default_value'] for name, argument in arguments.items()}
    context |= {'run_dir': str(tmp_path), 'speed': '5.0', 'operator': 'joystick'}
    (opaque,) = (action for action in actions if action.kind == 'OpaqueFunction')
    handler, prepare = opaque.kwargs['function'](context)
    assert prepare.kwargs['cmd'][1:] == ['prepare', '--run', str(tmp_path), '--operator', 'joystick', '--speed', '5.0']

    deployment = Deployment(operator='joystick', speed=5.0, seed=11)
    (tmp_path / 'run.yaml').write_text(yaml.safe_dump({'deployment': Deployment(seed=11).to_mapping()}))
    on_exit = handler.args[0].kwargs['on_exit']
    rendered = on_exit(types.SimpleNamespace(returncode=0), context)
    nodes = graph.nodes(deployment, tmp_path)
    assert [(node.kwargs['package'], node.kwargs['executable'], node.kwargs['name'], node.kwargs['namespace']) for node in rendered] == [
        (node.package, node.executable, node.name, node.namespace) for node in nodes
    ]
    assert [node.kwargs['parameters'] for node in rendered] == [[dict(node.parameters)] for node in nodes]
    assert all(node.kwargs['on_exit'].kind == 'Shutdown' for node in rendered)
    assert {node.kwargs['ros_arguments'][1] for node in rendered} == {f'/mile/{node.name}' for node in nodes}
    assert [action.kind for action in on_exit(types.SimpleNamespace(returncode=2), context)] == ['Shutdown']
