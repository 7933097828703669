"""arm_node and policy_node as processes over real DDS, with a fake world and a fake arbiter at the edges."""

from __future__ import annotations

import math
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mile_msgs.msg import ArmState, Command, CommandResult, PolicyOutput, Scene, TeleopStatus, Tick
from mile_msgs.srv import LoadPolicy, ResetArm
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool

from mile_learner.step import Source
from mile_policy_node.kinematics import WX250S, Kinematics
from mile_ros.qos import COMMAND, LATCHED, RECORD, SENSOR, TURN

pytestmark = pytest.mark.ros
TASK_FILE = Path(__file__).with_name('task.yaml')
KINEMATICS = Kinematics(WX250S)
START = KINEMATICS.inverse((0.25, 0.0, 0.15), (0.0, -0.17, 0.4, 0.0, 1.34, 0.0))[0]
Processes = Callable[..., 'subprocess.Popen[str]']
Wait = Callable[..., Any]


class FakeWorld(Node):  # type: ignore[misc]
    """A world without physics: the arm is where it was last sent to."""

    def __init__(self, context: Any) -> None:
        super().__init__('fake_world', context=context)
        self.targets: list[JointState] = []
        self.seeds: list[int] = []
        self.frozen = False
        self._joints, self._opening = START.tolist(), 0.03
        self._states = self.create_publisher(JointState, 'joint_states', SENSOR)
        self.create_subscription(JointState, 'sim/joint_target', self._on_target, COMMAND)
        self.create_service(ResetArm, 'sim/reset', self._on_reset)
        self.create_timer(0.02, self._publish)

    def _on_target(self, message: JointState) -> None:
        self.targets.append(message)
        *self._joints, self._opening = message.position

    def _on_reset(self, request: ResetArm.Request, response: ResetArm.Response) -> ResetArm.Response:
        self.seeds.append(request.seed)
        self._joints, self._opening = START.tolist(), 0.03
        response.accepted, response.message = request.seed != 13, 'no such state' if request.seed == 13 else ''
        return response

    def _publish(self) -> None:
        if self.frozen:
            return
        finger = self._opening / 2 + WX250S.finger_pad_offset_m
        message = JointState(name=[*WX250S.joint_names, 'left_finger', 'right_finger'], position=[*self._joints, finger, -finger])
        message.header.stamp = self.get_clock().now().to_msg()
        self._states.publish(message)


class FakeArbiter(Node):  # type: ignore[misc]
    """Gives commands and ticks, and keeps what comes back."""

    def __init__(self, context: Any) -> None:
        super().__init__('fake_arbiter', context=context)
        self.results: list[CommandResult] = []
        self.states: list[ArmState] = []
        self.outputs: list[PolicyOutput] = []
        self._commands = self.create_publisher(Command, 'command', COMMAND)
        self._ticks = self.create_publisher(Tick, 'tick', TURN)
        self._status = self.create_publisher(TeleopStatus, 'teleop_status', LATCHED)
        self._arm = self.create_publisher(ArmState, 'arm_state', SENSOR)
        self._scene = self.create_publisher(Scene, 'scene', SENSOR)
        self.create_subscription(CommandResult, 'command_result', self.results.append, RECORD)
        self.create_subscription(ArmState, 'arm_state', self.states.append, SENSOR)
        self.create_subscription(PolicyOutput, 'policy_output', self.outputs.append, TURN)
        self.reset_arm = self.create_client(ResetArm, 'reset_arm')
        self.torque = self.create_client(SetBool, 'torque')
        self.load_policy = self.create_client(LoadPolicy, 'load_policy')

    @property
    def arm_listens(self) -> bool:
        return bool(self._commands.get_subscription_count())

    @property
    def policy_listens(self) -> bool:
        return bool(self._ticks.get_subscription_count())

    def command(self, index: int, action: list[float], source: int = Source.POLICY) -> None:
        message = Command(episode_id='e', index=index, source=int(source), action=action)
        message.header.stamp = self.get_clock().now().to_msg()
        self._commands.publish(message)

    def tick(self, index: int) -> None:
        message = Tick(episode_id='e', index=index)
        message.header.stamp = self.get_clock().now().to_msg()
        self._ticks.publish(message)

    def ask(self, index: int, wait_for: Wait, *, inputs: bool = True) -> PolicyOutput:
        count = len(self.outputs)
        if inputs:
            self.publish_inputs()
        self.tick(index)
        wait_for(lambda: len(self.outputs) > count, f'answer {index}')
        return self.outputs[-1]

    def status(self, episode_id: str) -> None:
        self._status.publish(TeleopStatus(episode_id=episode_id))

    def publish_inputs(self) -> None:
        now = self.get_clock().now().to_msg()
        arm = ArmState(ee_position=np.array([0.25, 0.0, 0.15], np.float32), gripper_opening=0.03)
        scene = Scene(names=['block_to_hole_x', 'block_to_hole_y', 'block_to_hole_z'], values=[0.01, 0.02, 0.03])
        arm.header.stamp = scene.header.stamp = now
        self._arm.publish(arm)
        self._scene.publish(scene)


def call(client: Any, request: Any, wait_for: Wait) -> Any:
    wait_for(client.service_is_ready, f'service {client.srv_name}')
    future = client.call_async(request)
    wait_for(future.done, f'answer of {client.srv_name}')
    return future.result()


@pytest.fixture(scope='module')
def arbiter(spin: Callable[..., Any]) -> FakeArbiter:
    node: FakeArbiter = spin(FakeArbiter)
    return node


@pytest.fixture(scope='module')
def running_arm(spin: Callable[..., Any], arbiter: FakeArbiter, start_process: Processes, wait_for: Wait) -> FakeWorld:
    """An arm_node process that has taken up the fake world's arm."""
    start_process('arm_node', task_file=TASK_FILE, joint_state_timeout_s=2.0)
    response = call(arbiter.reset_arm, ResetArm.Request(), wait_for)
    assert response.message == 'sim/reset: nobody serves it; start the simulated world (sim_node)'
    world: FakeWorld = spin(FakeWorld)
    wait_for(lambda: arbiter.arm_listens and arbiter.states and arbiter.states[-1].ready, 'arm ready')
    return world


@pytest.fixture
def world(running_arm: FakeWorld, arbiter: FakeArbiter, wait_for: Wait) -> FakeWorld:
    """The fake world with the arm at its start, nothing received yet."""
    assert call(arbiter.reset_arm, ResetArm.Request(seed=7), wait_for).accepted
    assert running_arm.seeds[-1] == 7
    running_arm.targets.clear()
    arbiter.results.clear()
    return running_arm


@pytest.fixture(scope='module')
def running_policy(arbiter: FakeArbiter, start_process: Processes, wait_for: Wait) -> FakeArbiter:
    """A policy_node process without a policy."""
    start_process('policy_node', task_file=TASK_FILE, scene_timeout_s=2.0, arm_timeout_s=10.0)
    wait_for(lambda: arbiter.policy_listens, 'policy node')
    return arbiter


def test_commands_become_joint_targets_within_the_limits(world: FakeWorld, arbiter: FakeArbiter, wait_for: Wait) -> None:
    state = arbiter.states[-1]
    np.testing.assert_allclose(state.ee_position, [0.25, 0.0, 0.15], atol=1e-4)
    np.testing.assert_allclose(np.abs(state.ee_orientation), [0.0, math.sqrt(0.5), 0.0, math.sqrt(0.5)], atol=1e-3)
    assert state.gripper_opening == pytest.approx(0.03, abs=1e-6)
    previous = state.commanded_target
    for index, action in enumerate([[1.0, 0.0, 0.0, -1.0], [9.0, 1.0, 0.0, -1.0], [0.0, 0.0, -1.0, 1.0]]):
        arbiter.command(index, action)
        wait_for(lambda n=index: len(arbiter.results) > n and len(world.targets) > n, f'result {index}')
        result, target = arbiter.results[index], world.targets[index]
        assert (result.episode_id, result.index, result.source, result.accepted) == ('e', index, Source.POLICY, True)
        assert list(target.name) == [*WX250S.joint_names, 'gripper']
        np.testing.assert_allclose(KINEMATICS.forward(target.position[:6])[:3, 3], result.sent_target[:3], atol=1e-4)
        assert target.position[6] == pytest.approx(result.sent_target[3])
        assert np.abs(result.sent_target - previous).max() <= 0.005 + 1e-5
        previous = result.sent_target
    assert [('range' in result.detail) for result in arbiter.results] == [False, True, False]
    wait_for(lambda: np.allclose(arbiter.states[-1].commanded_target, previous), 'commanded target in the state')


def test_a_command_that_is_not_finite_is_refused_and_moves_nothing(world: FakeWorld, arbiter: FakeArbiter, wait_for: Wait) -> None:
    arbiter.command(0, [0.0, float('nan'), 0.0, 0.0])
    wait_for(lambda: arbiter.results, 'result')
    arbiter.command(1, [0.0, 0.0, 0.0, 0.0], Source.HOLD)
    wait_for(lambda: len(arbiter.results) == 2, 'second result')
    refused, held = arbiter.results
    assert not refused.accepted
    assert 'not finite' in refused.detail
    assert held.accepted
    np.testing.assert_allclose(held.sent_target, [0.25, 0.0, 0.15, 0.022], atol=1e-4)
    assert not world.targets


def test_without_fresh_joint_states_everything_is_refused_until_they_return(world: FakeWorld, arbiter: FakeArbiter, wait_for: Wait) -> None:
    world.frozen = True
    wait_for(lambda: not arbiter.states[-1].ready, 'fault in the state')
    assert 'joint states are' in arbiter.states[-1].fault
    arbiter.command(0, [1.0, 0.0, 0.0, -1.0])
    wait_for(lambda: arbiter.results, 'result')
    assert not arbiter.results[0].accepted
    assert 'joint states are' in arbiter.results[0].detail
    assert not world.targets
    world.frozen = False
    wait_for(lambda: arbiter.states[-1].ready, 'arm ready again')
    arbiter.command(1, [1.0, 0.0, 0.0, -1.0])
    wait_for(lambda: len(arbiter.results) == 2, 'result')
    assert arbiter.results[1].accepted


def test_after_a_reset_the_arm_continues_from_where_it_then_is(world: FakeWorld, arbiter: FakeArbiter, wait_for: Wait) -> None:
    for index in range(3):
        arbiter.command(index, [1.0, 0.0, 0.0, 1.0])
        wait_for(lambda n=index: len(arbiter.results) > n, 'result')
    assert call(arbiter.reset_arm, ResetArm.Request(seed=8), wait_for).accepted
    assert world.seeds[-1] == 8
    arbiter.command(0, [0.0, 0.0, 0.0, -1.0])
    wait_for(lambda: len(arbiter.results) == 4, 'result')
    np.testing.assert_allclose(arbiter.results[3].sent_target, [0.25, 0.0, 0.15, 0.022], atol=1e-4)


def test_what_the_world_refuses_is_passed_on(world: FakeWorld, arbiter: FakeArbiter, wait_for: Wait) -> None:
    assert world.seeds
    refused = call(arbiter.reset_arm, ResetArm.Request(seed=13), wait_for)
    assert not refused.accepted
    assert refused.message == 'sim/reset: no such state'
    assert (
        call(arbiter.torque, SetBool.Request(data=False), wait_for).message
        == 'torque: got off, but the simulated arm has no torque to switch'
    )


def test_the_policy_answers_each_tick_with_its_index(running_policy: FakeArbiter, save_bundle: Callable[..., Path], wait_for: Wait) -> None:
    arbiter = running_policy
    indices = iter(range(10_000))
    asked = iter(lambda: arbiter.ask(next(indices), wait_for), None)
    unanswered = next(answer for answer in asked if 'nothing received' not in answer.detail)
    assert not unanswered.valid
    assert unanswered.detail == 'no policy is loaded; call load_policy'
    response = call(arbiter.load_policy, LoadPolicy.Request(path=str(save_bundle('v003'))), wait_for)
    assert response.accepted, response.message
    assert response.version == 'v003'
    assert response.observation_layout[:4] == ['ee_x', 'ee_y', 'ee_z', 'gripper']
    for index in range(5):
        output = arbiter.ask(index, wait_for)
        assert (output.episode_id, output.index) == ('e', index)
        assert output.policy_version == 'v003'
        if index > 0:  # the inputs of the first tick may still be on their way
            assert output.valid, output.detail
            np.testing.assert_allclose(output.observation, [0.25, 0.0, 0.15, 0.03, 0.01, 0.02, 0.03], atol=1e-6)
            assert np.isfinite(output.action).all()
            assert np.abs(output.action).max() <= 1.0
            assert 0.0 <= output.intervention_probability <= 1.0


def test_a_stale_scene_makes_the_answer_invalid_and_says_so(
    running_policy: FakeArbiter, save_bundle: Callable[..., Path], wait_for: Wait
) -> None:
    assert call(running_policy.load_policy, LoadPolicy.Request(path=str(save_bundle())), wait_for).accepted
    indices = iter(range(10_000))
    wait_for(lambda: running_policy.ask(next(indices), wait_for).valid, 'a valid answer')
    output = wait_for(
        lambda: not (answer := running_policy.ask(next(indices), wait_for, inputs=False)).valid and answer, 'an invalid answer'
    )
    assert re.fullmatch(r'scene: is \d+\.\d\d s old, limit 2.0 s', output.detail)
    assert len(output.observation) == 0


def test_a_policy_is_not_loaded_while_an_episode_runs(
    running_policy: FakeArbiter, save_bundle: Callable[..., Path], wait_for: Wait
) -> None:
    arbiter, folder = running_policy, save_bundle('v007')
    request = LoadPolicy.Request(path=str(folder))
    arbiter.status('e')
    wait_for(lambda: 'is running' in call(arbiter.load_policy, request, wait_for).message, 'refusal')
    arbiter.status('')
    response = wait_for(lambda: (answer := call(arbiter.load_policy, request, wait_for)).accepted and answer, 'acceptance')
    assert response.version == 'v007'
    (folder / 'policy.safetensors').write_bytes(b'')
    refused = call(arbiter.load_policy, request, wait_for)
    assert not refused.accepted
    assert 'SHA-256' in refused.message
    assert refused.version == 'v007'


def test_a_node_refuses_a_configuration_in_one_line(start_process: Processes) -> None:
    process = start_process('arm_node', task_file=TASK_FILE, backend='xz')
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2, errors
    assert "backend: got 'xz', expected one of 'sim'" in errors
    assert 'Traceback' not in errors
