"""The `train` action: trains on a run's bags in a thread, with feedback, cancellable, in time that nobody else wants.

It is how a deployment ends an iteration, the one that is due (`RunState.due`); `mile train` ends none.
"""

from __future__ import annotations

import json
import os
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from mile_msgs.action import Train
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.node import Node

from mile_learner.config import ConfigError
from mile_learner.errors import LearnerError
from mile_learner.files import remedy
from mile_learner.methods.training import TrainingCancelled
from mile_learner.run_folder import Run
from mile_learner.train import train
from mile_ros.main import run_node

POLL_S = 0.1
HEARTBEAT_S = 2.0
"""Feedback is given at least this often [s], be it the same, so that a learner that hangs is noticed."""


class Job:
    """One training in a thread of its own."""

    def __init__(self, goal: Train.Goal) -> None:
        self.feedback: queue.SimpleQueue[Train.Feedback] = queue.SimpleQueue()
        self.result = Train.Result()
        self.cancelled = threading.Event()
        self._goal = goal
        self._thread = threading.Thread(target=self._run, name='training', daemon=True)
        self._thread.start()

    @property
    def finished(self) -> bool:
        """Whether the thread has ended and `result` is complete."""
        return not self._thread.is_alive()

    def stop(self) -> None:
        """Cancel and wait until the thread has ended."""
        self.cancelled.set()
        self._thread.join()

    def _run(self) -> None:
        self.result.message = 'training failed without a message; see the log of learner_node'
        # of this thread alone: it runs when no other wants the core, and gives it up the moment one does
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        goal = self._goal
        try:
            overrides = json.loads(goal.config_json) if goal.config_json else {}
            if not isinstance(overrides, dict):
                msg = f'config_json: got {goal.config_json!r}, expected a JSON object'
                raise LearnerError(msg)
            self.feedback.put(Train.Feedback(phase='reading'))
            run = Run.open(Path(goal.run_dir))
            due = run.state().due
            manifest = train(run, method=goal.method or 'mile', overrides=overrides, progress=self._report, iteration=due)
        except TrainingCancelled:
            self.result.message = 'cancelled'
        except (LearnerError, ConfigError, json.JSONDecodeError) as error:
            self.result.message = str(error)
        except OSError as error:
            self.result.message = (
                f'training failed: a file cannot be written or read ({error}); {remedy(error)}, then resume: no step is lost'
            )
        except (MemoryError, RuntimeError) as error:
            # torch says with a RuntimeError that memory ran out
            cause = ' '.join(str(error).split())[:200] or 'no memory left'
            self.result.message = f'training failed ({cause}); if memory ran out, close other programs, then resume: no step is lost'
        else:
            metrics = json.dumps(manifest.metrics)
            self.result = Train.Result(success=True, version=manifest.version, metrics_json=metrics, message='')

    def _report(self, epoch: int, epochs: int, losses: Mapping[str, float]) -> bool:
        self.feedback.put(Train.Feedback(phase='training', epoch=epoch, epochs=epochs, losses_json=json.dumps(dict(losses))))
        return not self.cancelled.is_set()


class LearnerNode(Node):
    """Serves one training at a time."""

    def __init__(self) -> None:
        super().__init__('learner_node')
        self._job: Job | None = None
        self._handle: ServerGoalHandle | None = None
        self._latest = Train.Feedback()
        self._said = 0.0
        self._server = ActionServer(
            self,
            Train,
            'train',
            execute_callback=self._finish,
            goal_callback=self._on_goal,
            handle_accepted_callback=self._on_accepted,
            cancel_callback=self._on_cancel,
        )
        self.create_timer(POLL_S, self._poll)

    def destroy_node(self) -> None:
        """Stop a training that is under way; it leaves nothing behind."""
        if self._job is not None:
            self._job.stop()
        self._server.destroy()
        super().destroy_node()

    def _on_goal(self, goal: Train.Goal) -> GoalResponse:
        if self._job is not None:
            self.get_logger().warning(f'refused to train on {goal.run_dir}: a training is under way')
            return GoalResponse.REJECT
        return GoalResponse.ACCEPT

    def _on_accepted(self, handle: ServerGoalHandle) -> None:
        self._handle, self._job = handle, Job(handle.request)
        self._latest, self._said = Train.Feedback(phase='reading'), time.monotonic()

    def _on_cancel(self, _: ServerGoalHandle) -> CancelResponse:
        if self._job is not None:
            self._job.cancelled.set()
        return CancelResponse.ACCEPT

    def _poll(self) -> None:
        if self._job is None or self._handle is None:
            return
        finished = self._job.finished
        latest = None
        while not self._job.feedback.empty():
            latest = self._job.feedback.get()
        if latest is not None or time.monotonic() > self._said + HEARTBEAT_S:
            self._latest, self._said = latest or self._latest, time.monotonic()
            self._handle.publish_feedback(self._latest)
        if finished:
            handle, self._handle = self._handle, None
            handle.execute()

    def _finish(self, handle: ServerGoalHandle) -> Train.Result:
        assert self._job is not None
        result, self._job = self._job.result, None
        if result.success:
            handle.succeed()
            self.get_logger().info(f'trained {result.version}')
        elif handle.is_cancel_requested:
            handle.canceled()
        else:
            handle.abort()
            self.get_logger().error(result.message)
        return result


def main(args: Sequence[str] | None = None) -> int:
    """Run the node."""
    return run_node(LearnerNode, args)
