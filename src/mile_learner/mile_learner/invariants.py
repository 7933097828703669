"""Which of the invariants of the control path one recorded episode shows to have held, and on how many occasions that was put to the test.

    I1  one source commands; between a takeover and the hand-back no policy action reaches the arm
    I2  a takeover acts on the pad message itself, not on the next tick
    I3  no target lies further than one slew step from the one before it
    I4  what reaches the arm is finite, in range and in the workspace; what is refused moves nothing, and the cause is reported
    I5  a source that is silent for longer than its timeout is not obeyed
    I6  a pad that repeats one state though it is not at rest is lost, and nu is not 1
    I7  the e-stop latches, and after its reset it takes a takeover before anything moves
    I8  every executed step is in the bag
    I9  every takeover is closed before the episode ends, and the episode is whole
    I10 one policy flies the whole episode

A verdict says what the bag shows, no more: what was not put to the test in the episode has a count of 0, and what cannot be judged
(messages that the recorder missed, a clock that was set) is said in its note. Silences are measured at the
recorder, with one period of slack.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

from mile_learner.check import ACTION_TOLERANCE, SOURCES
from mile_learner.episode_log import CommandResult, EpisodeLog, PadState, read_log
from mile_learner.limits import Limits
from mile_learner.step import Mode, Source, Step

TARGET_TOLERANCE_M = 2e-5
CLOCK_JUMP_S = 0.5
COMMANDING = (Source.POLICY, Source.HUMAN)


@dataclass
class Verdict:
    """On one invariant.

    Attributes:
        invariant: I1 to I10.
        checked: on how many occasions it was put to the test.
        violations: what was got where, one line each.
        note: why something could not be judged; empty otherwise.
    """

    invariant: str
    checked: int = 0
    violations: list[str] = field(default_factory=list)
    note: str = ''

    @property
    def held(self) -> bool | None:
        """None if nothing was put to the test."""
        return not self.violations if self.checked else None

    def expect(self, holds: bool, message: str) -> None:
        """One occasion."""
        self.checked += 1
        if not holds:
            self.violations.append(message)


def judge_bag(path: Path) -> list[Verdict]:
    """The verdicts on one bag, I1 to I10.

    Raises:
        LearnerError: it cannot be read, or does not hold its configuration.
    """
    log = read_log(path)
    return judge(log, Limits.of(log.record.metadata, path))


def judge(log: EpisodeLog, limits: Limits) -> list[Verdict]:
    """The verdicts on one episode, I1 to I10."""
    verdicts = []
    for name, rule in RULES.items():
        verdict = Verdict(name)
        rule(log, limits, verdict)
        verdicts.append(verdict)
    return verdicts


def summed(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The same per invariant over several episodes."""
    total = {name: Verdict(name) for name in RULES}
    for verdict in verdicts:
        into = total[verdict.invariant]
        into.checked += verdict.checked
        into.violations += verdict.violations
        into.note = into.note or verdict.note
    return list(total.values())


def _one_source(log: EpisodeLog, _: Limits, verdict: Verdict) -> None:
    for step in log.record.steps:
        agree = step.source is SOURCES.get(step.mode) and step.intervening is (step.source is Source.HUMAN)
        verdict.expect(agree, f'step {step.index}: source {step.source.name}, mode {step.mode.name}, nu = {int(step.intervening)}')
        action = {Source.POLICY: step.robot_action, Source.HUMAN: step.human_action}.get(step.source)
        if action is not None:
            same = np.allclose(step.executed_action, action, atol=ACTION_TOLERANCE)
            verdict.expect(same, f'step {step.index}: executed {step.executed_action.tolist()}, its source wanted {action.tolist()}')
    commanded: dict[int, int] = {}
    spans = list(_spans(log))
    for result in _moves(log):
        inside = any(begin <= result.index <= end for begin, end in spans)
        obeyed = inside and result.source == Source.POLICY
        verdict.expect(not obeyed, f'tick {result.index}: an action of the policy reached the arm during a takeover')
        first = commanded.setdefault(result.index, result.source)
        verdict.expect(first == result.source, f'tick {result.index}: two sources commanded the arm')


def _takeover_acts_at_once(log: EpisodeLog, limits: Limits, verdict: Verdict) -> None:
    if note := _clock_note(log):
        verdict.note = note
        return
    steps = {step.index: step for step in log.record.steps}
    presses = [after for before, after in pairwise(log.pad) if _pressed(before, after)]
    for event in log.events:
        before, first = steps.get(event.index - 1), steps.get(event.index)
        if event.type != 'takeover' or first is None or before is None or before.mode is not Mode.AUTONOMOUS:
            continue
        delay = min((first.stamp - press.stamp for press in presses if press.stamp <= first.stamp), default=math.inf)
        if delay >= limits.period_s and (note := _missed(log, 'joy')):
            verdict.note = note  # the press may be among them
        else:
            message = f'step {event.index}: the takeover came {delay:.3f} s after the last press, the period is {limits.period_s:.3f} s'
            verdict.expect(delay < limits.period_s, message)
        verdict.expect(first.source is Source.HUMAN, f'step {event.index}: a takeover, but the {first.source.name} commanded')


def _bumpless(log: EpisodeLog, limits: Limits, verdict: Verdict) -> None:
    largest = np.array([limits.step_size_m] * 3 + [limits.gripper_step_m]) + TARGET_TOLERANCE_M
    moves = list(_moves(log))
    for before, after in pairwise(moves):
        change = np.abs(np.subtract(after.sent_target, before.sent_target))
        message = f'tick {after.index}: the target moved by {np.round(change, 5).tolist()} m, expected at most one slew step'
        verdict.expect(bool((change <= largest).all()), message)


def _only_sound_commands(log: EpisodeLog, limits: Limits, verdict: Verdict) -> None:
    for step in log.record.steps:
        sound = bool((np.abs(step.executed_action) <= 1.0 + ACTION_TOLERANCE).all())  # false for NaN
        verdict.expect(sound, f'step {step.index}: executed {step.executed_action.tolist()}, expected finite values in [-1, 1]')
    low, high = np.array(limits.workspace_low), np.array(limits.workspace_high)
    last: CommandResult | None = None
    outside = math.inf  # how far the arm was from the workspace; a start outside of it is allowed, going further away is not
    for result in log.results:
        target = np.array(result.sent_target)
        if not result.accepted:
            stays = last is None or not np.isfinite(target).all() or np.allclose(target, last.sent_target, atol=TARGET_TOLERANCE_M)
            verdict.expect(
                stays and bool(result.detail), f'tick {result.index}: refused ({result.detail or "no cause"}), target {target.tolist()}'
            )
            continue
        finite = bool(np.isfinite(target).all())
        away = float(np.maximum(np.maximum(low - target[:3], target[:3] - high), 0.0).max()) if finite else math.inf
        fine = finite and (away <= TARGET_TOLERANCE_M or away <= outside + TARGET_TOLERANCE_M)
        verdict.expect(fine, f'tick {result.index}: the arm was sent to {target.tolist()}, {away:.4f} m outside the workspace')
        last, outside = result, away


def _silence_is_not_obeyed(log: EpisodeLog, limits: Limits, verdict: Verdict) -> None:
    if note := _clock_note(log):
        verdict.note = note
        return
    sources = {
        'joy': (limits.pad_timeout_s, [(message.stamp, message.logged) for message in log.pad], 'pad'),
        'arm_state': (limits.arm_timeout_s, [(message.stamp, message.logged) for message in log.arm], 'arm'),
    }
    for topic, (timeout, times, name) in sources.items():
        if note := _missed(log, topic):
            verdict.note = note
            continue
        times.sort()
        for step in _commanded(log):
            known = bisect_right(times, (step.stamp, math.inf))
            if not known and step.stamp - log.begin <= timeout + limits.period_s:
                continue  # what was heard before the bag was opened is not in it
            silence = step.stamp - max((logged for _, logged in times[:known]), default=log.begin)
            message = f'step {step.index}: the {step.source.name} was obeyed {silence:.2f} s after the last message of the {name}'
            verdict.expect(silence <= timeout + limits.period_s, message)
    begun = {step.index: step for step in log.record.steps}
    for result in log.results:
        tick = begun.get(result.index)
        if result.accepted and result.source == Source.POLICY and tick is not None:
            verdict.expect(tick.robot_action_valid, f'step {tick.index}: the policy was obeyed without a valid answer')
            late = result.stamp - tick.stamp
            message = f'step {tick.index}: the policy was obeyed {late:.2f} s after the tick'
            verdict.expect(late <= limits.policy_timeout_s + limits.period_s, message)


def _a_stuck_pad_is_lost(log: EpisodeLog, limits: Limits, verdict: Verdict) -> None:
    if note := _clock_note(log):
        verdict.note = note
        return
    since: list[tuple[float, PadState]] = []  # when the state on each message was first heard
    for heard in log.pad:
        same = bool(since) and (since[-1][1].axes, since[-1][1].buttons) == (heard.axes, heard.buttons)
        since.append((since[-1][0] if same else heard.logged, heard))
    times = [heard.logged for heard in log.pad]
    for step in _commanded(log):
        position = bisect_right(times, step.stamp) - 1
        if position < 0:
            continue
        begin, state = since[position]
        gone = not state.axes and not state.buttons
        verdict.expect(not gone, f'step {step.index}: the {step.source.name} was obeyed though the pad was gone')
        if step.intervening:
            stuck = state.logged - begin
            message = f'step {step.index}: nu = 1 though the pad repeated one state for {stuck:.2f} s'
            verdict.expect(not any(state.buttons) or stuck <= limits.pad_lost_s + limits.period_s, message)


def _estop_latches(log: EpisodeLog, _: Limits, verdict: Verdict) -> None:
    stopped_at: int | None = None
    last = log.record.steps[-1].index if log.record.steps else 0
    takeovers = [event.index for event in log.events if event.type == 'takeover']
    for event in [*log.events, None]:
        if event is not None and event.type == 'estop':
            stopped_at = event.index
        elif stopped_at is not None and (event is None or event.type == 'estop_reset'):
            reset_at = last if event is None else event.index
            released = min((index for index in takeovers if index > reset_at), default=last + 1)
            for result in log.results:
                if stopped_at <= result.index < released:
                    obeyed = result.accepted and result.source != Source.HOLD
                    verdict.expect(not obeyed, f'tick {result.index}: a command was executed after the e-stop of tick {stopped_at}')
            for step in log.record.steps:
                if stopped_at <= step.index <= reset_at:
                    still = step.source is Source.HOLD
                    verdict.expect(still, f'step {step.index}: {step.source.name} after the e-stop of step {stopped_at}')
            stopped_at = None


def _every_step_is_there(log: EpisodeLog, _: Limits, verdict: Verdict) -> None:
    steps = log.record.steps
    for position, step in enumerate(steps):
        verdict.expect(step.index == position, f'step {step.index} stands where step {position} was expected')
    recorded = {step.index: step for step in steps}
    for result in _moves(log):
        taken = recorded.get(result.index)
        there = taken is not None and taken.source == result.source
        verdict.expect(there, f'tick {result.index}: the arm executed a command of which there is no step')
    counted = str(log.record.metadata.get('steps', ''))
    if counted:
        verdict.expect(counted == str(len(steps)), f'the arbiter counted {counted} steps, the bag holds {len(steps)}')


def _episode_is_closed(log: EpisodeLog, _: Limits, verdict: Verdict) -> None:
    is_open = False
    for event in log.events:
        if event.type in ('takeover', 'hand_back'):
            opens = event.type == 'takeover'
            verdict.expect(opens is not is_open, f'tick {event.index}: {event.type} of a span that was {"open" if is_open else "closed"}')
            is_open = opens
        elif event.type == 'episode_stopped':
            verdict.expect(not is_open, f'tick {event.index}: the episode ended with an open takeover')
    metadata = log.record.metadata
    cause = str(metadata.get('salvaged') or metadata.get('torn') or '')
    verdict.expect(not cause, f'the episode is not whole: {cause}')


def _one_policy(log: EpisodeLog, _: Limits, verdict: Verdict) -> None:
    flying = str(log.record.metadata.get('policy_version', ''))
    for step in log.record.steps:
        if step.policy_version:
            message = f'step {step.index}: {step.policy_version} answered, {flying or "no version"} was to fly'
            verdict.expect(step.policy_version == flying, message)


RULES: Mapping[str, Callable[[EpisodeLog, Limits, Verdict], None]] = {
    'I1': _one_source,
    'I2': _takeover_acts_at_once,
    'I3': _bumpless,
    'I4': _only_sound_commands,
    'I5': _silence_is_not_obeyed,
    'I6': _a_stuck_pad_is_lost,
    'I7': _estop_latches,
    'I8': _every_step_is_there,
    'I9': _episode_is_closed,
    'I10': _one_policy,
}


def _moves(log: EpisodeLog) -> Iterator[CommandResult]:
    """The commands of somebody that the arm executed."""
    return (result for result in log.results if result.accepted and result.source in COMMANDING)


def _commanded(log: EpisodeLog) -> Iterator[Step]:
    """The steps on which somebody commanded the arm."""
    return (step for step in log.record.steps if step.source in COMMANDING)


def _spans(log: EpisodeLog) -> Iterator[tuple[int, float]]:
    """First and last tick of every takeover."""
    begin: int | None = None
    for event in log.events:
        if event.type == 'takeover':
            begin = event.index
        elif event.type == 'hand_back' and begin is not None:
            yield begin, event.index
            begin = None
    if begin is not None:
        yield begin, math.inf


def _pressed(before: PadState, after: PadState) -> bool:
    """Whether a button went down."""
    return len(before.buttons) == len(after.buttons) and any(now > then for then, now in zip(before.buttons, after.buttons, strict=True))


def _missed(log: EpisodeLog, topic: str) -> str:
    """That messages of a topic are known not to be in the bag; empty if all are."""
    return f'the recorder missed messages of {topic}' if topic in str(log.record.metadata.get('lost') or '') else ''


def _clock_note(log: EpisodeLog) -> str:
    """Why stamps and times of reception cannot be compared; empty if they can."""
    offsets = [message.logged - message.stamp for message in log.events]
    spread = max(offsets) - min(offsets) if offsets else 0.0
    return f'the clock was set by {spread:.1f} s during the episode, or the recorder lagged; not judged' if spread > CLOCK_JUMP_S else ''
