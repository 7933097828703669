"""The monitor of the invariants: silent about a sound episode, and it finds every planted violation, each under its own name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mile_learner.bags import EpisodeRecord
from mile_learner.episode_log import ArmSign, CommandResult, EpisodeLog, Event, PadState, read_log
from mile_learner.errors import LearnerError
from mile_learner.invariants import judge, judge_bag, summed
from mile_learner.limits import Limits
from mile_learner.step import Gate, Mode, Source, Step

MakeStep = Callable[..., Step]
NAN4 = np.full(4, np.nan, dtype=np.float32)
TASK = {
    'rate_hz': 10.0,
    'step_size_m': 0.005,
    'gripper_step_m': 0.005,
    'workspace_low': [0.1, -0.2, 0.05],
    'workspace_high': [0.4, 0.2, 0.3],
}
CONFIGURATION = {'task': TASK, 'session': {'speed': 1.0}, 'teleop': {'pad_lost_s': 1.0, 'takeover': 'hold'}}
LIMITS = Limits.of({'configuration': CONFIGURATION}, Path('bag'))
TAKEOVER, HAND_BACK, ESTOP, RESET, END = 10, 24, 30, 33, 40
"""Ticks of the sound episode: policy, human, hold, policy, e-stop, hold after the reset until the takeover of tick 36, end."""


def at(tick: float) -> float:
    return 1000.0 + tick / 10


def mode_of(tick: int) -> Mode:
    if TAKEOVER <= tick <= HAND_BACK or tick >= 36:
        return Mode.HUMAN
    if ESTOP <= tick <= RESET:
        return Mode.ESTOP
    return Mode.HOLD if tick in (25, 26, 34, 35) else Mode.AUTONOMOUS


def event(tick: float, kind: str, detail: str = '') -> Event:
    return Event(at(tick) + 0.01, at(tick), kind, 'e0', int(tick), detail)


@pytest.fixture
def log(make_step: MakeStep) -> EpisodeLog:
    steps, results = [], []
    for tick in range(END + 1):
        mode = mode_of(tick)
        step = make_step(tick, intervening=mode is Mode.HUMAN)
        if mode in (Mode.HOLD, Mode.ESTOP):
            still = np.array([0.0, 0.0, 0.0, -1.0], dtype=np.float32)
            step = dataclasses.replace(step, mode=mode, source=Source.HOLD, executed_action=still)
        steps.append(step)
        target = (0.2 + 0.004 * (tick % 2), 0.0, 0.1, 0.03)
        results.append(CommandResult(at(tick) + 0.03, at(tick) + 0.02, 'e0', tick, step.source, True, target, ''))
    pads = []
    for k in range(-30, 10 * END + 5):
        down = int(TAKEOVER <= k / 10 < HAND_BACK + 0.5 or k / 10 >= 36)
        pads.append(PadState(at(k / 10) + 0.001, at(k / 10), (0.01 * (k % 7), 0.0, 0.0), (down, 0)))
    arms = [ArmSign(at(k / 4) + 0.001, at(k / 4), True) for k in range(-12, 4 * END + 5)]
    events = [event(0, 'episode_started'), event(TAKEOVER, 'takeover'), event(HAND_BACK + 0.5, 'hand_back'), event(ESTOP, 'estop')]
    events += [event(RESET + 0.5, 'estop_reset'), event(36, 'takeover'), event(END + 0.5, 'hand_back'), event(END + 0.5, 'episode_stopped')]
    metadata = {'policy_version': 'v000', 'steps': str(END + 1), 'configuration': CONFIGURATION}
    record = EpisodeRecord(Path('bag'), metadata, tuple(steps))
    return EpisodeLog(record, tuple(events), tuple(results), tuple(pads), tuple(arms), at(-3))


def with_step(log: EpisodeLog, index: int, **changes: Any) -> EpisodeLog:
    steps = [dataclasses.replace(step, **changes) if step.index == index else step for step in log.record.steps]
    return dataclasses.replace(log, record=dataclasses.replace(log.record, steps=tuple(steps)))


def with_result(log: EpisodeLog, index: int, **changes: Any) -> EpisodeLog:
    return dataclasses.replace(log, results=tuple(dataclasses.replace(r, **changes) if r.index == index else r for r in log.results))


def with_metadata(log: EpisodeLog, **changes: Any) -> EpisodeLog:
    return dataclasses.replace(log, record=dataclasses.replace(log.record, metadata={**log.record.metadata, **changes}))


def without(log: EpisodeLog, name: str, gone: Callable[[Any], bool]) -> EpisodeLog:
    return dataclasses.replace(log, **{name: tuple(item for item in getattr(log, name) if not gone(item))})


def frozen(log: EpisodeLog, begin: float, end: float) -> EpisodeLog:
    """The pad repeats one state from tick to tick, with fresh stamps."""
    pads = [dataclasses.replace(p, axes=(0.5,) * 3, buttons=(1, 0)) if at(begin) <= p.stamp < at(end) else p for p in log.pad]
    return dataclasses.replace(log, pad=tuple(pads))


def slow_press(log: EpisodeLog) -> EpisodeLog:
    """The button of the first takeover was down 0.3 s before anything happened."""
    pads = [dataclasses.replace(p, buttons=(1, 0)) if at(TAKEOVER - 3) <= p.stamp < at(TAKEOVER) else p for p in log.pad]
    return dataclasses.replace(log, pad=tuple(pads))


def never_pressed(log: EpisodeLog) -> EpisodeLog:
    """The button is down from the beginning."""
    return dataclasses.replace(log, pad=tuple(dataclasses.replace(p, buttons=(1, 0)) if p.stamp < at(20) else p for p in log.pad))


def results_of_policy(log: EpisodeLog, index: int) -> EpisodeLog:
    extra = dataclasses.replace(log.results[index], source=int(Source.POLICY))
    return dataclasses.replace(log, results=(*log.results[:index], extra, *log.results[index:]))


PLANTED: dict[str, tuple[set[str], Callable[[EpisodeLog], EpisodeLog]]] = {
    'the policy drives during a takeover': ({'I1', 'I8'}, lambda log: results_of_policy(log, 15)),
    'source and mode disagree': ({'I1'}, lambda log: with_step(log, 5, mode=Mode.HOLD)),
    "another action than the source's": ({'I1'}, lambda log: with_step(log, 5, executed_action=np.zeros(4, np.float32))),
    'a takeover waits for its tick': ({'I2'}, slow_press),
    'a takeover without a press': ({'I2'}, never_pressed),
    'a jump of the target at a takeover': ({'I3'}, lambda log: with_result(log, TAKEOVER, sent_target=(0.22, 0.0, 0.1, 0.03))),
    'a jump of the gripper': ({'I3'}, lambda log: with_result(log, 5, sent_target=(0.204, 0.0, 0.1, 0.05))),
    'an action out of range': ({'I1', 'I4'}, lambda log: with_step(log, 5, executed_action=np.full(4, 1.5, np.float32))),
    'an action that is no number': ({'I1', 'I4'}, lambda log: with_step(log, 5, executed_action=NAN4)),
    'a hold that is no number': ({'I4'}, lambda log: with_step(log, 25, executed_action=NAN4)),
    'a target outside the workspace': ({'I3', 'I4'}, lambda log: with_result(log, 5, sent_target=(0.5, 0.0, 0.1, 0.03))),
    'a refusal that moves': ({'I4'}, lambda log: with_result(log, 5, accepted=False, detail='stale', sent_target=(0.25, 0.0, 0.1, 0.03))),
    'a refusal without a cause': ({'I4'}, lambda log: with_result(log, 5, accepted=False)),
    'a silent pad is obeyed': ({'I5'}, lambda log: without(log, 'pad', lambda p: at(12) < p.stamp < at(24))),
    'a silent arm is commanded': ({'I5'}, lambda log: without(log, 'arm', lambda a: at(1) < a.stamp < at(9))),
    'the policy is obeyed without an answer': ({'I5'}, lambda log: with_step(log, 5, robot_action_valid=False)),
    'a late answer is obeyed': ({'I5'}, lambda log: with_result(log, 5, stamp=at(13))),
    'a stuck pad keeps nu at 1': ({'I6'}, lambda log: frozen(log, TAKEOVER + 0.5, HAND_BACK)),
    'a pad that is gone is obeyed': (
        {'I6'},
        lambda log: dataclasses.replace(
            log, pad=tuple(dataclasses.replace(p, axes=(), buttons=()) if at(3) < p.stamp < at(5) else p for p in log.pad)
        ),
    ),
    'the policy drives on after an e-stop': (
        {'I7'},
        lambda log: with_step(
            with_result(log, 31, source=int(Source.POLICY)),
            31,
            source=Source.POLICY,
            mode=Mode.AUTONOMOUS,
            executed_action=log.record.steps[31].robot_action,
        ),
    ),
    'the policy drives on after the reset': (
        {'I7'},
        lambda log: with_step(
            with_result(log, 35, source=int(Source.POLICY)),
            35,
            source=Source.POLICY,
            mode=Mode.AUTONOMOUS,
            executed_action=log.record.steps[35].robot_action,
        ),
    ),
    'a step is missing': (
        {'I8'},
        lambda log: dataclasses.replace(
            log, record=dataclasses.replace(log.record, steps=tuple(step for step in log.record.steps if step.index != 5))
        ),
    ),
    'the last step is missing': ({'I8'}, lambda log: with_metadata(log, steps=str(END + 2))),
    'a takeover is not closed': ({'I9'}, lambda log: without(log, 'events', lambda e: e.type == 'hand_back' and e.index >= END)),
    'two takeovers in a row': ({'I9'}, lambda log: dataclasses.replace(log, events=(*log.events[:2], log.events[1], *log.events[2:]))),
    'the episode is torn': ({'I9'}, lambda log: with_metadata(log, torn='got 40 steps, expected 41')),
    'the episode is salvaged': ({'I9'}, lambda log: with_metadata(log, salvaged='the recorder was killed')),
    'another policy answers': ({'I10'}, lambda log: with_step(log, 20, policy_version='v001')),
}


def test_a_sound_episode_holds_everything_and_puts_everything_to_the_test(log: EpisodeLog) -> None:
    verdicts = judge(log, LIMITS)
    assert [verdict.invariant for verdict in verdicts] == [f'I{number}' for number in range(1, 11)]
    assert [verdict.violations for verdict in verdicts] == [[]] * 10
    assert all(verdict.checked for verdict in verdicts)
    assert not any(verdict.note for verdict in verdicts)
    doubled = summed(verdicts + verdicts)
    assert [verdict.checked for verdict in doubled] == [2 * verdict.checked for verdict in verdicts]


@pytest.mark.parametrize('name', PLANTED)
def test_a_planted_violation_is_found_under_its_own_name(log: EpisodeLog, name: str) -> None:
    expected, plant = PLANTED[name]
    assert {verdict.invariant for verdict in judge(plant(log), LIMITS) if verdict.violations} == expected


def test_what_cannot_be_judged_is_said(log: EpisodeLog) -> None:
    early, late = log.events[:3], log.events[3:]
    jumped = dataclasses.replace(log, events=(*early, *(dataclasses.replace(event, logged=event.logged + 100) for event in late)))
    notes = {verdict.invariant: verdict.note for verdict in judge(jumped, LIMITS)}
    assert {name for name, note in notes.items() if 'the clock was set' in note} == {'I2', 'I5', 'I6'}
    missed = without(with_metadata(log, lost={'/mile/joy': 40}), 'pad', lambda p: at(12) < p.stamp < at(24))
    silence = judge(missed, LIMITS)[4]
    assert silence.held
    assert 'missed messages of joy' in silence.note
    press_lost = without(with_metadata(log, lost={'/mile/joy': 1}), 'pad', lambda p: at(TAKEOVER - 0.9) < p.stamp < at(TAKEOVER + 0.5))
    takeover = judge(press_lost, LIMITS)[1]
    assert takeover.held, 'a takeover is a human who commands, whatever was heard of the pad'
    assert 'missed messages of joy' in takeover.note
    empty = dataclasses.replace(log, events=(), results=(), pad=(), arm=(), record=EpisodeRecord(Path('bag'), {}, ()))
    assert [verdict.held for verdict in judge(empty, LIMITS)] == [None] * 8 + [True, None]


def test_a_start_outside_the_workspace_may_come_back_but_not_leave(log: EpisodeLog) -> None:
    for direction, held in ((-1, True), (1, False)):
        results = [dataclasses.replace(r, sent_target=(0.45 + direction * 0.001 * r.index, 0.0, 0.1, 0.03)) for r in log.results]
        assert judge(dataclasses.replace(log, results=tuple(results)), LIMITS)[3].held is held


def test_a_bag_is_read_and_one_without_its_configuration_is_refused(
    tmp_path: Path, make_step: MakeStep, write_episode: Callable[..., Path]
) -> None:
    steps = [make_step(index, intervening=3 <= index < 6) for index in range(9)]
    path = write_episode(tmp_path / 'e', steps, configuration=CONFIGURATION, policy_version='v000')
    assert read_log(path).record.steps[4].gate is Gate.HUMAN
    verdicts = {verdict.invariant: verdict for verdict in judge_bag(path)}
    assert verdicts['I1'].held
    assert verdicts['I10'].checked == 9
    assert verdicts['I5'].violations  # nine steps, and not one message of pad and arm
    with pytest.raises(LearnerError, match='does not hold the configuration it was recorded under'):
        judge_bag(write_episode(tmp_path / 'bare', steps))
    four = {**CONFIGURATION, 'task': {**CONFIGURATION['task'], 'workspace_low': [0.15, -0.15, 0.1, 0.0]}}
    with pytest.raises(LearnerError, match='does not hold the configuration it was recorded under'):
        judge_bag(write_episode(tmp_path / 'four', steps, configuration=four, policy_version='v000'))
