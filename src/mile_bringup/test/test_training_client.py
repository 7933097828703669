"""The session's half of a training: when it asks, and what it makes of the answer."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from mile_msgs.action import Train
from rclpy.task import Future

from mile_bringup import training_client
from mile_bringup.training_client import TrainingClient


def done(value: object) -> Future:
    future = Future()
    future.set_result(value)
    return future


class FakeLearner:
    """Stands for rclpy's action client: a learner answers with `result`, refuses if that is False, or never answers."""

    def __init__(self, result: Train.Result | bool | None = None) -> None:
        self.goals: list[Train.Goal] = []
        self.tell = lambda _: None
        self._result = result

    def server_is_ready(self) -> bool:
        return True

    def send_goal_async(self, goal: Train.Goal, feedback_callback: object) -> Future:
        self.goals.append(goal)
        self.tell = feedback_callback
        if self._result is None:
            return Future()
        return done(SimpleNamespace(accepted=bool(self._result), get_result_async=lambda: done(SimpleNamespace(result=self._result))))


class Bench:
    """A training client on a clock that stands still until it is set, and all that it calls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, learner: FakeLearner) -> None:
        monkeypatch.setattr(training_client, 'ActionClient', lambda *_: learner)
        self.now = 100.0
        self.said: list[tuple[str, str]] = []
        self.deadlines: list[float] = []
        self.epochs: list[int] = []
        self.ends: list[str] = []
        logger = SimpleNamespace(
            info=lambda text: self.said.append(('info', text)), warning=lambda text: self.said.append(('warning', text))
        )
        self.client = TrainingClient(
            SimpleNamespace(get_logger=lambda: logger),
            startup_timeout_s=20.0,
            silence_s=60.0,
            expect=lambda deadline, _: self.deadlines.append(deadline),
            on_feedback=lambda feedback: self.epochs.append(feedback.epoch),
            on_end=self.ends.append,
            clock=lambda: self.now,
        )

    def train(self) -> None:
        self.client.begin(Train.Goal())
        self.client.poll()
        self.now += 3.1
        self.client.poll()


def test_a_learner_that_just_appeared_is_given_time_to_find_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    learner = FakeLearner()
    bench = Bench(monkeypatch, learner)
    bench.client.begin(Train.Goal())
    asked = []
    for bench.now in (100.0, 102.9, 103.1, 110.0):
        bench.client.poll()
        asked.append(len(learner.goals))
    assert asked == [0, 0, 1, 1]


def test_every_sign_of_life_moves_the_deadline_until_the_training_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    learner = FakeLearner()
    bench = Bench(monkeypatch, learner)
    bench.train()
    assert bench.deadlines == [120.0, 120.0, pytest.approx(163.1)]
    bench.now = 150.0
    learner.tell(SimpleNamespace(feedback=Train.Feedback(epoch=7)))
    assert bench.deadlines[-1] == 210.0
    bench.client.begin(Train.Goal())
    learner.tell(SimpleNamespace(feedback=Train.Feedback(epoch=8)))
    assert bench.epochs == [7], 'feedback of a training that is over does not count'


def test_what_the_guards_say_of_a_training_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = json.dumps({'steps': 30, 'warnings': ['floor: c is too small', 'saturation: sigma is too small']})
    bench = Bench(monkeypatch, FakeLearner(Train.Result(success=True, version='v001', metrics_json=metrics)))
    bench.train()
    assert bench.ends == ['']
    assert bench.said == [
        ('info', 'trained v001'),
        ('warning', 'v001: floor: c is too small'),
        ('warning', 'v001: saturation: sigma is too small'),
    ]


@pytest.mark.parametrize(
    ('result', 'why'),
    [(False, 'train: refused; see the log of learner_node'), (Train.Result(success=False, message='no bags'), 'train: no bags')],
)
def test_a_training_that_makes_no_version_says_why(monkeypatch: pytest.MonkeyPatch, result: Train.Result | bool, why: str) -> None:
    bench = Bench(monkeypatch, FakeLearner(result))
    bench.train()
    assert bench.ends == [why]
