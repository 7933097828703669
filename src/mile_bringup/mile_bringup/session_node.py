"""Runs a session: turns its requests into service calls, watches episodes, reports progress, and ends when the run is complete."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import rclpy
from mile_msgs.action import Train
from mile_msgs.msg import Event, Scene, Step, TeleopStatus
from mile_msgs.srv import CloseBag, LoadPolicy, OpenBag, ResetArm, StartEpisode, StopEpisode
from rclpy.client import Client
from rclpy.node import Node
from std_msgs.msg import String
from std_srvs.srv import Trigger

from mile_bringup import invariant_report, readiness, session
from mile_bringup.arbiter_settings import ArbiterSettings
from mile_bringup.episode_end import EpisodeEnd
from mile_bringup.errors import BringupError
from mile_bringup.service_call import ServiceCall
from mile_bringup.session_config import SessionConfig, bag_metadata
from mile_bringup.summary import conclude
from mile_bringup.training_client import TrainingClient
from mile_learner import run_state
from mile_learner.errors import LearnerError
from mile_learner.run_folder import Run
from mile_learner.step import Mode
from mile_learner.task import TaskConfig
from mile_ros import qos
from mile_ros.main import run_node
from mile_ros.parameters import declare_from

POLL_S = 0.1
STEP_TIMEOUT_S = 15.0
HOLD_LIMIT_S = 300.0
PRESS_START = 'the e-stop was set; reset it, then press start, and the arm goes to its start pose'
LOAD_AGAIN_S = 5.0
"""A server that has not found its client yet drops the answer; loading twice does no harm [s]."""


class SessionNode(Node):
    """See the module's description. `exit_code` is 0 once the run is complete."""

    def __init__(self) -> None:
        super().__init__('session_node')
        self.exit_code = 1
        self._config = config = declare_from(self, SessionConfig)
        self._task = TaskConfig.from_yaml(Path(config.task_file))
        self._run = Run.open(Path(config.run_dir))
        self._mode: Mode | None = None
        self._awaits_start = False
        self._lacking = ''
        self._asked = 0.0
        self._start_pressed = False
        self._ended = False
        self._episode: EpisodeEnd | None = None
        self._steps = 0
        self._waiting_for = ''
        self._deadline = float('inf')
        self._poll: Callable[[], None] | None = None
        self._status: dict[str, Any] = {}
        self._calls: dict[type, tuple[Client, str]] = {
            kind: (self.create_client(kind, name), node)
            for kind, name, node in (
                (LoadPolicy, 'load_policy', 'policy_node'),
                (ResetArm, 'reset_arm', 'arm_node'),
                (OpenBag, 'open_bag', 'recorder_node'),
                (StartEpisode, 'start_episode', 'teleop_node'),
                (StopEpisode, 'stop_episode', 'teleop_node'),
                (CloseBag, 'close_bag', 'recorder_node'),
            )
        }
        self._arbiter = ArbiterSettings(self)
        self._trainer = TrainingClient(
            self,
            startup_timeout_s=config.startup_timeout_s,
            silence_s=config.training_silence_s,
            expect=self._expect,
            on_feedback=self._on_training,
            on_end=self._on_training_end,
        )
        self._status_publisher = self.create_publisher(String, 'session_status', qos.LATCHED)
        self.create_service(Trigger, 'retrain', self._on_retrain)
        self.create_subscription(TeleopStatus, 'teleop_status', self._on_teleop_status, qos.LATCHED)
        self.create_subscription(Step, 'step', self._on_step, qos.RECORD)
        self.create_subscription(Scene, 'scene', self._on_scene, qos.SENSOR)
        self.create_subscription(Event, 'event', self._on_event, qos.RECORD)
        self.create_timer(POLL_S, self._on_timer)
        layout = self._task.observation_layout
        self._metadata = bag_metadata(config, self._task, self._run)
        plan = session.Plan(config.iterations, config.episodes, config.seed, self._metadata, config.mode, layout)
        self._folder = plan.folder(self._run)
        self._plan = plan
        self._script = session.session(self._run, plan, conclude=conclude)
        self._poll = lambda: self._advance(None)

    # ------------------------------------------------------------------ driving the script

    def _advance(self, reply: object) -> None:
        """Hand the reply to the script and carry out its next request."""
        self._poll, self._deadline = None, float('inf')
        try:
            request = self._script.send(reply)
        except StopIteration:
            self._finish(0, 'the run is complete')
        except (BringupError, LearnerError) as error:
            self._finish(1, str(error))
        else:
            self._perform(request)

    def _perform(self, request: session.Request) -> None:
        match request:
            case session.LoadPolicy(path):
                self._report('loading policy', policy=path.name)
                self._call(LoadPolicy, LoadPolicy.Request(path=str(path)), lambda reply: tuple(reply.observation_layout), LOAD_AGAIN_S)
            case session.AwaitReady():
                self._asked = time.monotonic()
                self._poll = self._poll_ready
            case session.ResetArm(seed):
                self._report('resetting', episodes_done=len(self._run.recorded(self._folder) if self._folder else self._run.episodes()))
                self._call(ResetArm, ResetArm.Request(seed=seed))
            case session.AwaitStart():
                self._start_pressed, self._ended = not self._config.wait_for_start, self._training_is_due()
                self._report('waiting for start' if self._config.wait_for_start else 'starting')
                self._poll = self._poll_start
            case session.OpenBag(path, episode_id, metadata):
                self._steps = 0
                self._report('starting', iteration=metadata.get('iteration'), episode=metadata['episode'])
                text = json.dumps(dict(metadata))
                self._call(OpenBag, OpenBag.Request(path=str(path), episode_id=episode_id, metadata_json=text))
            case session.StartEpisode(episode_id):
                hold_limit = round(HOLD_LIMIT_S * self._task.rate_hz * self._config.speed)
                self._episode = EpisodeEnd(step_limit=self._task.step_limit, hold_limit=hold_limit)
                self._call(StartEpisode, StartEpisode.Request(episode_id=episode_id))
            case session.AwaitEnd():
                self._report('episode')
                self._expect_step()
                self._poll = self._poll_end
            case session.StopEpisode(outcome):
                self._call(StopEpisode, StopEpisode.Request(outcome=outcome), lambda reply: int(reply.steps))
            case session.CloseBag(outcome, steps, discard):
                self._report('episode ended', outcome=outcome)
                self._call(CloseBag, CloseBag.Request(outcome=outcome, steps=steps, discard=discard), lambda reply: reply.message)
            case session.JudgeBag(path):
                self._judge(path)
            case session.Train(iteration):
                self._report('training', iteration=iteration, epoch=0, epochs=0)
                goal = Train.Goal(run_dir=str(self._run.path), method=self._config.method, config_json=self._config.method_options)
                self._trainer.begin(goal)
                self._poll = self._trainer.poll

    def _judge(self, path: Path) -> None:
        """Tell the person of every invariant that the episode's bag shows to be violated."""
        warnings = invariant_report.warnings(path)
        for warning in warnings:
            self.get_logger().error(f'{path.parent.name}/{path.name}: {warning}')
        self._report('episode judged', detail=f'{len(warnings)} violations of invariants; see the log' if warnings else '')
        self._poll = lambda: self._advance(None)

    def _finish(self, code: int, message: str) -> None:
        """Report, and end this node; whoever started the graph ends the rest."""
        self.exit_code = code
        (self.get_logger().info if code == 0 else self.get_logger().fatal)(message)
        self._report('complete' if code == 0 else 'failed', message=message)
        self._poll, self._deadline = None, float('inf')
        rclpy.try_shutdown()

    def _on_timer(self) -> None:
        if time.monotonic() > self._deadline:
            self._finish(1, self._waiting_for)
        elif self._poll is not None:
            self._poll()

    # ------------------------------------------------------------------ services and what the learner says

    def _call(self, kind: type, request: Any, reply: Callable[[Any], object] = lambda _: None, again_s: float = math.inf) -> None:
        """Call a service until it accepts, and go on with what `reply` makes of its answer."""
        client, node = self._calls[kind]
        call = ServiceCall(
            client,
            request,
            offered_by=node,
            startup_timeout_s=self._config.startup_timeout_s,
            reply_timeout_s=self._config.reply_timeout_s,
            again_s=again_s,
            expect=self._expect,
            patient=lambda: self._mode is Mode.ESTOP,  # a person takes as long as it takes
            on_refusal=partial(self._on_refusal, client.srv_name),
            on_accepted=lambda answer: self._advance(reply(answer)),
            clock=time.monotonic,
        )
        self._poll = partial(self._poll_reset, call) if kind is ResetArm else call.poll
        self._poll()

    def _poll_reset(self, call: ServiceCall) -> None:
        """Nothing moves the arm to its start pose between an emergency stop and a START."""
        if self._awaits_start:
            self._deadline = math.inf
            self._report('stopped', detail=PRESS_START)
        else:
            call.poll()

    def _on_refusal(self, service: str, message: str, again: bool) -> None:
        if not again:
            self.get_logger().warning(f'{service} refuses, trying again: {message}')
        self._report(self._status['phase'], detail=message)

    def _expect(self, deadline: float, message: str) -> None:
        """Fail with `message` unless something happens before `deadline` (monotonic) [s]."""
        self._deadline, self._waiting_for = deadline, message

    def _on_training(self, feedback: Train.Feedback) -> None:
        self._report('training', detail=feedback.phase, epoch=feedback.epoch, epochs=feedback.epochs, losses=feedback.losses_json)

    def _on_training_end(self, failure: str) -> None:
        if failure:
            self._finish(1, failure)
        else:
            self._advance(None)

    # ------------------------------------------------------------------ what the session watches

    def _poll_ready(self) -> None:
        """Go on once the nodes hear each other, the arbiter has told its settings, and a person has reset a latched emergency stop."""
        self._arbiter.ask(time.monotonic())
        unheard = readiness.unpublished(self.count_publishers, self._task.observation_layout)
        if double := readiness.published_twice(self.count_publishers):
            self._finish(1, f'{double}: several nodes publish it; another deployment runs here, stop one')
        elif missing := unheard or ('teleop_status' if self._mode is None else ''):
            advice = readiness.NOBODY_SEES if missing == readiness.SCENE else 'see the logs of the nodes'
            self._expect(self._asked + self._config.startup_timeout_s, f'{missing}: not heard; {advice}')
            self._report('waiting for nodes', detail=missing)
        elif self._arbiter.values is None:
            self._expect(self._asked + self._config.startup_timeout_s, 'teleop_node/get_parameters: no answer; see the log of teleop_node')
        elif self._mode is Mode.ESTOP:
            self._asked, self._deadline = time.monotonic(), float('inf')
            self._report('stopped', detail='reset the emergency stop to go on')
        elif self._lacking:
            self._expect(self._asked + HOLD_LIMIT_S, f'nothing can move: {self._lacking}; put that right, then resume')
            self._report('waiting for nodes', detail=self._lacking)
        else:
            self._metadata['configuration']['teleop'] = self._arbiter.values
            self._advance(None)

    def _poll_start(self) -> None:
        if self._mode is not Mode.ESTOP and (self._start_pressed or self._ended):
            self._advance(not self._ended)

    def _expect_step(self) -> None:
        self._expect(time.monotonic() + STEP_TIMEOUT_S, f'step: nothing for {STEP_TIMEOUT_S:.0f} s; see the log of teleop_node')

    def _poll_end(self) -> None:
        assert self._episode is not None
        outcome = self._episode.outcome
        if outcome == 'aborted':
            self._finish(1, f'the arm was held for {HOLD_LIMIT_S:.0f} s; put right what holds it (see teleop_status), then resume')
        elif outcome is not None:
            self._advance(outcome)

    def _on_step(self, step: Step) -> None:
        if self._episode is None or self._poll != self._poll_end:
            return
        self._steps += 1
        self._expect_step()
        self._episode.on_step(Mode(step.mode))
        self._report('episode', steps=self._steps)
        self._poll_end()

    def _on_scene(self, scene: Scene) -> None:
        if self._episode is not None:
            self._episode.on_scene(scene.success)

    def _on_teleop_status(self, status: TeleopStatus) -> None:
        self._mode = Mode(status.mode)
        # whoever resets the e-stop, perhaps from another room, is not who sees whether the arm may move
        self._awaits_start |= self._mode is Mode.ESTOP and self._config.wait_for_start
        self._lacking = status.reason if self._mode is Mode.IDLE else ''
        self._report(self._status.get('phase', ''), self._status.get('detail', ''), mode=self._mode.name.lower(), reason=status.reason)

    def _on_event(self, event: Event) -> None:
        if event.type == Event.BUTTON_START:
            self._start_pressed = self._start_pressed or self._mode is not Mode.ESTOP
            self._awaits_start = self._awaits_start and self._mode is Mode.ESTOP
        elif event.type == Event.BUTTON_RETRAIN:
            self.get_logger().info(f'retrain: {self._end_iteration()[1]}')
        elif event.type == Event.RECORDING_FAILED:
            # nothing may be executed that is not recorded: with this node the deployment ends, and the arm holds
            self._finish(1, f'{event.detail}; free the disk, then resume')
            return
        if self._episode is not None and self._poll == self._poll_end:
            self._episode.on_event(event.type)

    def _on_retrain(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success, response.message = self._end_iteration()
        return response

    def _end_iteration(self) -> tuple[bool, str]:
        """End the iteration that goes on, so that training follows: whether it will, and what to tell."""
        try:
            todo = self._plan.next_action(self._run)
            if self._folder or not isinstance(todo, run_state.Episode):
                return False, 'no iteration goes on'
            self._run.end_iteration(todo.iteration)
            self._ended = self._training_is_due()
        except LearnerError as error:
            return False, str(error)
        return True, 'training begins when no episode runs, and this iteration has a whole one'

    def _training_is_due(self) -> bool:
        return isinstance(self._plan.next_action(self._run), run_state.Train)

    def _report(self, phase: str, detail: str = '', **values: object) -> None:
        """Publish the latched status that `mile deploy` and dashboards show."""
        self._status.update(phase=phase, detail=detail, **values)
        self._status_publisher.publish(String(data=json.dumps(self._status)))


def main(args: Sequence[str] | None = None) -> int:
    """Run the node; 0 if the run is complete, 1 if it failed, 2 on bad configuration."""
    nodes: list[SessionNode] = []

    def make() -> SessionNode:
        nodes.append(SessionNode())
        return nodes[0]

    return run_node(make, args) or nodes[0].exit_code


if __name__ == '__main__':
    sys.exit(main())
