"""What belongs to an episode: its own messages alone, and a command result for every command that the arm confirmed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mile_msgs.msg import CommandResult, Event, Step
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Joy

from mile_learner.bags import read_metadata
from mile_learner.episode_log import read_log
from mile_teleop.bag_metadata import Topic
from mile_teleop.message_types import load_types
from mile_teleop.recording import EVENT_TYPE, RESULT_TYPE, STEP_TYPE, Recording

TYPES = load_types(Path(__file__).parents[2] / 'mile_msgs' / 'msg')
NAMES = {STEP_TYPE: '/mile/step', EVENT_TYPE: '/mile/event', RESULT_TYPE: '/mile/command_result'}
TOPICS = [Topic(name, kind, essential=True, depth=1000) for kind, name in NAMES.items()]
NAME = 'episode_001'


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    return Recording(tmp_path / NAME, 'e1', {'task': 'toy'}, TOPICS, TYPES)


def take(recording: Recording, message: Any) -> bool:
    return recording.take(NAMES[f'mile_msgs/msg/{type(message).__name__}'], serialize_message(message), 10**18)


def step(recording: Recording, index: int, *, confirmed: bool, episode: str = 'e1') -> bool:
    return take(recording, Step(episode_id=episode, index=index, sent_target=[0.2 if confirmed else float('nan')] * 4))


def result(recording: Recording, index: int, episode: str = 'e1') -> bool:
    return take(recording, CommandResult(episode_id=episode, index=index))


def test_what_names_another_episode_is_left_out_of_this_one(recording: Recording, tmp_path: Path) -> None:
    assert not result(recording, 28, 'e0')
    assert not step(recording, 0, confirmed=False, episode='e0')
    assert not take(recording, Event(type='episode_stopped', episode_id='e0'))
    assert not recording.stopped
    assert take(recording, Event(type='warning'))
    assert step(recording, 0, confirmed=True)
    assert result(recording, 0)
    assert recording.close('success', 1) == ''
    log = read_log(tmp_path / NAME)
    assert (len(log.record.steps), len(log.results), len(log.events)) == (1, 1, 1)
    assert log.results[0].episode_id == 'e1'


def test_it_awaits_the_results_that_the_steps_tell_of_in_whatever_order(recording: Recording) -> None:
    result(recording, 0)
    step(recording, 0, confirmed=True)
    assert recording.awaited == 0
    step(recording, 1, confirmed=True)
    step(recording, 2, confirmed=False)
    assert recording.awaited == 1, 'of a command that nobody confirmed nothing is to come'
    result(recording, 1)
    assert recording.awaited == 0


def test_a_sensor_is_behind_until_it_was_heard_from_after_the_end(tmp_path: Path) -> None:
    topics = [*TOPICS, *(Topic(f'/mile/{name}', 'sensor_msgs/msg/Joy', essential=False, depth=5) for name in ('joy', 'silent'))]
    recording = Recording(tmp_path / NAME, 'e1', {'task': 'toy'}, topics, TYPES)

    def joy(seconds: int) -> None:
        message = Joy()
        message.header.stamp.sec = seconds
        recording.take('/mile/joy', serialize_message(message), 10**18)

    joy(99)
    end = Event(type='episode_stopped', episode_id='e1')
    end.header.stamp.sec = 100
    take(recording, end)
    assert recording.sensors_behind
    joy(100)
    assert not recording.sensors_behind, 'what was never heard is not waited for'


def test_a_result_that_never_came_is_counted_as_lost_and_the_steps_are_whole(recording: Recording, tmp_path: Path) -> None:
    for index in range(3):
        step(recording, index, confirmed=True)
    result(recording, 1)
    assert recording.lost == {}
    assert recording.close('success', 3) == ''
    assert recording.lost == {'/mile/command_result': 2}
    assert read_metadata(tmp_path / NAME)['lost'] == recording.lost
