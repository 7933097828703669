"""The arbiter as a ROS node: pad, policy answers and confirmations in; ticks, commands, steps, events and the status out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mile_msgs.msg import ArmState, Command, CommandResult, Event, PolicyOutput, Step, TeleopStatus, Tick
from mile_msgs.srv import StartEpisode, StopEpisode
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import Joy
from std_msgs.msg import UInt32
from std_srvs.srv import Trigger

from mile_learner.clock import SystemClock
from mile_learner.config import option
from mile_learner.step import Source
from mile_learner.task import TaskConfig
from mile_ros.main import run_node
from mile_ros.parameters import declare_from
from mile_ros.qos import COMMAND, LATCHED, RECORD, SENSOR, SENSOR_RECORD, TURN
from mile_ros.stamps import to_seconds, to_stamp
from mile_teleop.arbiter import Arbiter
from mile_teleop.arbiter_config import ArbiterConfig
from mile_teleop.effects import Effect, PublishCommand, PublishEvent, PublishStatus, PublishStep, PublishTick, RestartClock
from mile_teleop.errors import RefusedError
from mile_teleop.inputs import Confirmation, PolicyAnswer
from mile_teleop.pacer import Pacer
from mile_teleop.pad import PadConfig, PadMapping


@dataclass(frozen=True)
class TeleopNodeConfig(ArbiterConfig):
    """Parameters of teleop_node."""

    task_file: str = option(doc='path of the task, config/task_<name>.yaml')
    pad_file: str = option(doc="path of the pad's mapping, config/pad_<name>.yaml")
    speed: float = option(1.0, doc='times real time (simulation)', gt=0.0, le=100.0)


class TeleopNode(Node):
    """Wires `Arbiter` to its topics and services, and gives it the control clock."""

    def __init__(self) -> None:
        super().__init__('teleop_node')
        config = declare_from(self, TeleopNodeConfig)
        if config.warning:
            self.get_logger().warning(config.warning)
        task = TaskConfig.from_yaml(Path(config.task_file))
        self._arbiter = Arbiter(
            config,
            PadMapping(PadConfig.from_yaml(Path(config.pad_file))),
            SystemClock(),
            rate_hz=task.rate_hz,
            gripper_closed_m=task.gripper_closed_m,
            gripper_open_m=task.gripper_open_m,
            speed=config.speed,
        )
        self._carry_out: dict[type[Any], Callable[[Any], None]] = {
            PublishCommand: self._publish_command,
            PublishTick: self._publish_tick,
            PublishStep: self._publish_step,
            PublishEvent: self._publish_event,
            PublishStatus: self._publish_status,
            RestartClock: self._restart_clock,
        }
        self._commands = self.create_publisher(Command, 'command', COMMAND)
        self._ticks = self.create_publisher(Tick, 'tick', TURN)
        self._steps = self.create_publisher(Step, 'step', RECORD)
        self._events = self.create_publisher(Event, 'event', RECORD)
        self._statuses = self.create_publisher(TeleopStatus, 'teleop_status', LATCHED)
        # a tap on the e-stop must not be overwritten while this node is busy; other buttons of old messages are not obeyed
        self.create_subscription(Joy, 'joy', self._on_joy, SENSOR_RECORD)
        self.create_subscription(PolicyOutput, 'policy_output', self._on_policy_output, TURN)
        self.create_subscription(CommandResult, 'command_result', self._on_command_result, RECORD)
        self.create_subscription(ArmState, 'arm_state', self._on_arm_state, SENSOR)
        self.create_subscription(UInt32, 'recorded', self._on_recorded, SENSOR)
        self.create_service(StartEpisode, 'start_episode', self._on_start)
        self.create_service(StopEpisode, 'stop_episode', self._on_stop)
        self.create_service(Trigger, 'estop', self._on_estop)
        self.create_service(Trigger, 'reset_estop', self._on_reset_estop)
        period_s = 1.0 / (task.rate_hz * config.speed)
        self._timer = self.create_timer(period_s, self._on_timer, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._pacer = Pacer(period_s, time.monotonic())
        self._do(self._arbiter.tick())

    def _do(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            self._carry_out[type(effect)](effect)

    # Inputs

    def _on_joy(self, message: Joy) -> None:
        self._do(self._arbiter.on_joy(to_seconds(message.header.stamp), message.axes, message.buttons))

    def _on_timer(self) -> None:
        missed = self._pacer.missed
        late_ms = self._pacer.tick(time.monotonic())
        self._do(self._arbiter.tick(late_ms))
        if self._pacer.missed != missed:
            self.get_logger().warning(
                f'a tick came {late_ms:.0f} ms late, {self._pacer.missed} ticks were missed so far; is this machine overloaded?',
                throttle_duration_sec=5.0,
            )

    def _on_policy_output(self, message: PolicyOutput) -> None:
        answer = PolicyAnswer(
            episode_id=message.episode_id,
            index=message.index,
            observation=message.observation,
            observation_stamp=to_seconds(message.observation_stamp),
            image_stamp=to_seconds(message.image_stamp),
            action=message.action.tolist(),
            valid=message.valid,
            detail=message.detail,
            intervention_probability=message.intervention_probability,
            policy_version=message.policy_version,
            inference_ms=message.inference_ms,
        )
        self._do(self._arbiter.on_policy_answer(answer))

    def _on_command_result(self, message: CommandResult) -> None:
        result = Confirmation(
            episode_id=message.episode_id,
            index=message.index,
            source=Source(message.source),
            accepted=message.accepted,
            sent_target=message.sent_target.tolist(),
            detail=message.detail,
        )
        self._do(self._arbiter.on_confirmation(result))

    def _on_arm_state(self, message: ArmState) -> None:
        opening_m = float(message.commanded_target[3])
        self._do(self._arbiter.on_arm_state(ready=message.ready, fault=message.fault, commanded_opening_m=opening_m))

    def _on_recorded(self, _: UInt32) -> None:
        self._do(self._arbiter.on_recorder())

    # Services

    def _on_start(self, request: StartEpisode.Request, response: StartEpisode.Response) -> StartEpisode.Response:
        try:
            self._do(self._arbiter.start_episode(request.episode_id))
            response.accepted = True
        except RefusedError as error:
            response.message = str(error)
        return response

    def _on_stop(self, request: StopEpisode.Request, response: StopEpisode.Response) -> StopEpisode.Response:
        try:
            response.steps, effects = self._arbiter.stop_episode(request.outcome)
            self._do(effects)
            response.accepted = True
        except RefusedError as error:
            response.message = str(error)
        return response

    def _on_estop(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._do(self._arbiter.estop('service'))
        response.success = True
        return response

    def _on_reset_estop(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            self._do(self._arbiter.reset_estop())
            response.success = True
        except RefusedError as error:
            response.message = str(error)
        return response

    # Effects

    def _publish_command(self, effect: PublishCommand) -> None:
        message = Command(episode_id=effect.episode_id, index=effect.index, source=effect.source, action=effect.action)
        message.header.stamp = to_stamp(effect.stamp)
        self._commands.publish(message)

    def _publish_tick(self, effect: PublishTick) -> None:
        message = Tick(episode_id=effect.episode_id, index=effect.index)
        message.header.stamp = to_stamp(effect.stamp)
        self._ticks.publish(message)

    def _publish_step(self, effect: PublishStep) -> None:
        step = effect.step
        message = Step(
            episode_id=step.episode_id,
            index=step.index,
            observation=step.observation,
            observation_stamp=to_stamp(step.observation_stamp),
            image_stamp=to_stamp(step.image_stamp),
            robot_action=step.robot_action,
            robot_action_valid=step.robot_action_valid,
            human_action=step.human_action,
            intervening=step.intervening,
            executed_action=step.executed_action,
            sent_target=step.sent_target,
            source=step.source,
            mode=step.mode,
            gate=step.gate,
            intervention_probability=step.intervention_probability,
            policy_version=step.policy_version,
            inference_ms=step.inference_ms,
            tick_late_ms=step.tick_late_ms,
        )
        message.header.stamp = to_stamp(step.stamp)
        self._steps.publish(message)

    def _publish_event(self, effect: PublishEvent) -> None:
        message = Event(type=effect.type, episode_id=effect.episode_id, index=effect.index, detail=effect.detail)
        message.header.stamp = to_stamp(effect.stamp)
        self._events.publish(message)
        self.get_logger().info(f'{effect.type} at {effect.episode_id or "no episode"} {effect.index} {effect.detail}'.rstrip())

    def _publish_status(self, effect: PublishStatus) -> None:
        message = TeleopStatus(
            episode_id=effect.episode_id,
            index=effect.index,
            mode=effect.mode,
            source=effect.source,
            reason=effect.reason,
            policy_version=effect.policy_version,
        )
        message.header.stamp = to_stamp(effect.stamp)
        self._statuses.publish(message)

    def _restart_clock(self, _: RestartClock) -> None:
        self._timer.reset()
        self._pacer.restart(time.monotonic())


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until interrupted."""
    return run_node(TeleopNode, args)
