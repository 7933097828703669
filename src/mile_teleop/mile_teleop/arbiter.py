"""The arbiter: decides on every tick and every pad message who commands the arm, and records it.

No I/O: each input returns the effects that the node is to carry out, in order. Time comes from an injected clock. What it guarantees:

* One source commands the arm at any instant, at most one command per tick. From a takeover to the hand-back no policy action is
  commanded, and an answer of the policy to an earlier tick never is.
* A takeover acts on the pad message itself: it begins a new tick, with the human command in it. (Unless the running tick is a human
  one already: so a trembling thumb cannot drive the arm at more than twice the control rate.)
* A source that is silent, broken or stuck is not obeyed: the arm holds, and the status says why. So it does without a recorder.
* After a takeover's pad was lost, an e-stop, or an arm's fault in which it may have moved, it takes a press before anything moves again.
* Every tick becomes exactly one Step, in order, without gaps; every command belongs to the Step of its tick. An answer that comes when
  its tick is over is recorded in its Step, and not obeyed.

Between episodes the status says what an episode still lacks. Until the policy has once been heard, ticks that belong to no episode ask
it: nodes that were just started need seconds to find each other, and those are not to be spent with the arm held.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from mile_learner.clock import Clock
from mile_learner.step import Mode
from mile_teleop.arbiter_config import ArbiterConfig
from mile_teleop.effects import Action, Effect, PublishCommand, PublishEvent, PublishStatus, PublishStep, PublishTick, RestartClock
from mile_teleop.errors import RefusedError
from mile_teleop.gripper import GripperAction
from mile_teleop.inputs import Confirmation, PolicyAnswer
from mile_teleop.ledger import Ledger
from mile_teleop.modes import SOURCE, TRANSITIONS
from mile_teleop.open_step import OpenStep
from mile_teleop.pad import EPISODE_BUTTONS, PadMapping
from mile_teleop.takeover import AFTER_ARM_FAULT, AFTER_ESTOP, HAND_BACK, Takeover
from mile_teleop.vitals import Vitals


class Arbiter:
    """See the module's description. One instance lives as long as its node.

    Args:
        config: how to hand over.
        mapping: what the pad's messages mean.
        clock: its monotonic time measures durations, its wall time makes stamps.
        rate_hz: control rate of the task [Hz], before `speed`.
        gripper_closed_m: finger opening at gripper action -1 [m].
        gripper_open_m: finger opening at gripper action +1 [m].
        speed: how much faster than real time the (simulated) task runs.
    """

    def __init__(
        self,
        config: ArbiterConfig,
        mapping: PadMapping,
        clock: Clock,
        *,
        rate_hz: float,
        gripper_closed_m: float,
        gripper_open_m: float,
        speed: float = 1.0,
    ) -> None:
        self._clock = clock
        self._gripper = GripperAction(config.gripper_speed / rate_hz, gripper_closed_m, gripper_open_m)
        self._vitals = Vitals(config, mapping)
        self._takeover = Takeover(config.takeover, config.hand_back_grace_s / speed)
        self._effects: list[Effect] = []
        self._events: list[tuple[str, str, str]] = []
        self._mode = Mode.IDLE
        self._reason = ''
        self._status: tuple[object, ...] = ()
        self._epoch = clock.wall() - clock.monotonic()
        self._episode_id = ''
        self._index = 0
        self._step: OpenStep | None = None
        self._ledger = Ledger(config.record_wait_s)
        self._fault_announced = False
        self._stopped = ''
        self._arm_refusal = ''
        self._policy_version = ''

    @property
    def mode(self) -> Mode:
        """Who is in charge."""
        return self._mode

    def start_episode(self, episode_id: str) -> list[Effect]:
        """Begin an episode with its tick 0.

        Raises:
            RefusedError: an empty name, an episode that still runs, or the e-stop.
        """
        if not episode_id:
            msg = 'start_episode: got an empty episode_id; name the episode'
            raise RefusedError(msg)
        if self._episode_id:
            msg = f'start_episode: {self._episode_id} still runs; stop it first'
            raise RefusedError(msg)
        if self._stopped:
            msg = f'start_episode: the e-stop is set ({self._stopped}); reset it first'
            raise RefusedError(msg)
        now = self._clock.monotonic()
        self._record(math.inf)
        self._epoch = self._clock.wall() - now
        self._episode_id, self._index, self._step = episode_id, 0, None
        self._vitals.begin_episode(now)
        self._takeover.begin()
        self._arm_refusal = ''
        self._event('episode_started')
        self._decide(now, begin_tick=True)
        self._begin_tick(out_of_turn=True)
        return self._flush()

    def stop_episode(self, outcome: str) -> tuple[int, list[Effect]]:
        """End the episode at once: how many Steps it has, and what is to be done. The last Steps may follow.

        Raises:
            RefusedError: no episode runs.
        """
        if not self._episode_id:
            msg = 'stop_episode: no episode runs'
            raise RefusedError(msg)
        if self._takeover.active:
            self._event('hand_back', 'the episode ended')
        self._takeover.end()
        self._event('episode_stopped', outcome)
        self._episode_id = ''
        self._decide(self._clock.monotonic())
        self._record(self._stamp())
        return self._index + 1, self._flush()

    def tick(self, late_ms: float = 0.0) -> list[Effect]:
        """The control clock is due, and was so `late_ms` ago."""
        self._decide(self._clock.monotonic(), begin_tick=bool(self._episode_id))
        if self._episode_id:
            self._begin_tick(late_ms)
        else:
            if self._vitals.policy_unheard:
                self._effects.append(PublishTick(self._stamp(), '', 0))
            self._record(self._stamp())
        return self._flush()

    def on_joy(self, stamp: float, axes: Sequence[float], buttons: Sequence[int]) -> list[Effect]:
        """A pad message (sensor_msgs/Joy) of `stamp`, in seconds since the epoch."""
        now = self._clock.monotonic()
        self._decide(now)
        change = self._vitals.pad.receive(now, self._clock.wall(), stamp, axes, buttons)
        if change.estop:
            self._stop('pad', now)
        if not self._stopped:
            pressed, handed_back = self._takeover.follow(change, now)
            if handed_back:
                self._event('hand_back')
            self._decide(now, pressed=pressed)
        for button in EPISODE_BUTTONS:
            if button in change.pressed:
                self._event(f'button_{button.value}')
        return self._flush()

    def on_policy_answer(self, answer: PolicyAnswer) -> list[Effect]:
        """The policy's answer to a tick; only the first one counts, and only that to the running tick may be obeyed."""
        now = self._clock.monotonic()
        if not answer.episode_id:
            self._vitals.policy_is_there(answer)
        step = self._ledger.answered_by(answer)
        fault = '' if step is None else step.take(answer)
        if step is not None and step is self._step:
            self._policy_version = answer.policy_version
            self._vitals.policy_answers(now, fault)
        self._decide(now)
        if step is not None and step is self._step and step.command is None:
            if self._mode is Mode.AUTONOMOUS and step.robot_action is not None:
                self._command(step, step.robot_action)
            elif self._mode is Mode.HOLD:
                self._command(step, step.hold_action)
        self._record(self._stamp())
        return self._flush()

    def on_confirmation(self, result: Confirmation) -> list[Effect]:
        """What the safety gate made of a command."""
        self._doubt_arm(result.episode_id, obeys=result.accepted, opening_m=result.sent_target[3])
        self._decide(self._clock.monotonic())
        step = self._ledger.confirmed_by(result)
        if step is not None:
            step.confirmation = result
            if step is self._step:
                self._follow_gripper(result.sent_target[3])
            refusal = '' if result.accepted else result.detail or 'for no stated reason'
            if refusal and refusal != self._arm_refusal:
                self._event('warning', f'the arm refused a command: {refusal}')
            self._arm_refusal = refusal
            self._record(self._stamp())
        return self._flush()

    def on_arm_state(self, *, ready: bool, fault: str, commanded_opening_m: float) -> list[Effect]:
        """A sign of life of the arm."""
        now = self._clock.monotonic()
        self._vitals.arm_lives(now, ready=ready, fault=fault)
        self._doubt_arm(self._episode_id, obeys=ready, opening_m=commanded_opening_m)
        self._follow_gripper(commanded_opening_m)
        self._decide(now)
        return self._flush()

    def on_recorder(self) -> list[Effect]:
        """A sign of life of the recorder."""
        now = self._clock.monotonic()
        self._vitals.recorder_lives(now)
        self._decide(now)
        return self._flush()

    def estop(self, cause: str) -> list[Effect]:
        """Stop, and stay stopped until an explicit reset."""
        self._stop(cause, self._clock.monotonic())
        return self._flush()

    def reset_estop(self) -> list[Effect]:
        """Leave the e-stop; an episode that still runs holds until the person presses takeover.

        Raises:
            RefusedError: it is not set.
        """
        if not self._stopped:
            msg = 'reset_estop: the e-stop is not set'
            raise RefusedError(msg)
        self._stopped = ''
        self._event('estop_reset')
        self._decide(self._clock.monotonic())
        return self._flush()

    def _verdict(self, now: float) -> tuple[Mode, str]:
        """Which mode the state of everything calls for, and why."""
        if self._stopped:
            return Mode.ESTOP, f'e-stop: {self._stopped}'
        fault = self._vitals.fault(now)
        if not self._episode_id:
            return Mode.IDLE, fault or self._vitals.policy_unheard
        if fault:
            return Mode.HOLD, fault
        if self._takeover.engaged:
            return Mode.HUMAN, ''
        if reason := self._takeover.objection(now) or self._vitals.policy_fault(now):
            return Mode.HOLD, reason
        return Mode.AUTONOMOUS, ''

    def _decide(self, now: float, *, begin_tick: bool = False, pressed: bool = False) -> None:
        """Follow the verdict: losing control never waits, gaining it waits for a tick (or, for the person, a press).

        Args:
            now: monotonic time [s].
            begin_tick: a tick is about to begin.
            pressed: the person just engaged the takeover button.
        """
        if self._vitals.pad.loss(now):
            self._takeover.lose_pad()
        mode, reason = self._verdict(now)
        if mode is Mode.AUTONOMOUS and self._mode is Mode.HUMAN:
            mode, reason = Mode.HOLD, HAND_BACK
        gains = mode is not self._mode and mode in (Mode.AUTONOMOUS, Mode.HUMAN)
        if gains and not begin_tick and not (pressed and mode is Mode.HUMAN):
            return
        self._enter(mode, reason)
        if pressed and mode is Mode.HUMAN and (self._step is None or self._step.human_action is None):
            self._begin_tick(out_of_turn=True)

    def _enter(self, mode: Mode, reason: str) -> None:
        """Change the mode, and tell."""
        assert mode is self._mode or mode in TRANSITIONS[self._mode], f'{self._mode.name} -> {mode.name}'
        self._mode, self._reason = mode, reason
        if mode is Mode.HOLD and reason != HAND_BACK and not self._fault_announced:
            self._fault_announced = True
            self._event('hold', reason)
        elif mode is not Mode.HOLD and self._fault_announced:
            self._fault_announced = False
            if mode in (Mode.AUTONOMOUS, Mode.HUMAN):
                self._event('resumed')
        if mode is Mode.HUMAN and not self._takeover.active:
            self._takeover.active = True
            self._event('takeover')

    def _stop(self, cause: str, now: float) -> None:
        if self._stopped:
            return
        self._stopped = cause or 'no cause was given'
        self._takeover.await_press(AFTER_ESTOP)
        self._event('estop', cause)
        self._decide(now)
        if self._episode_id:
            self._begin_tick(out_of_turn=True)

    def _begin_tick(self, late_ms: float = 0.0, *, out_of_turn: bool = False) -> None:
        """Open the next step; its command and its tick come before the record of earlier ones."""
        self._index += self._step is not None
        human = self._mode is Mode.HUMAN
        if human:
            self._gripper.drive(self._vitals.pad.input.gripper)
        self._step = step = OpenStep(
            stamp=self._stamp(),
            episode_id=self._episode_id,
            index=self._index,
            late_ms=late_ms,
            human_action=(*self._vitals.pad.input.motion, self._gripper.value) if human else None,
            hold_action=(0.0, 0.0, 0.0, self._gripper.value),
        )
        self._ledger.add(step)
        if step.human_action is not None:
            self._command(step, step.human_action)
        elif self._mode is not Mode.AUTONOMOUS:
            self._command(step, step.hold_action)
        self._effects.append(PublishTick(step.stamp, step.episode_id, step.index))
        if out_of_turn:
            self._effects.append(RestartClock())
        self._record(step.stamp)

    def _command(self, step: OpenStep, action: Action) -> None:
        """Command the arm for this step, as the mode's source."""
        step.mode = self._mode
        step.command = PublishCommand(self._stamp(), step.episode_id, step.index, SOURCE[self._mode], action)
        self._effects.append(step.command)

    def _record(self, now: float) -> None:
        self._effects += [PublishStep(step.to_step()) for step in self._ledger.due(now)]

    def _follow_gripper(self, opening_m: float) -> None:
        if self._mode is not Mode.HUMAN:
            self._gripper.follow(opening_m)

    def _doubt_arm(self, episode_id: str, *, obeys: bool, opening_m: float) -> None:
        """An arm that does not obey, and does not know where it was sent, had no torque, or does not follow."""
        if self._episode_id and episode_id == self._episode_id and not obeys and not math.isfinite(opening_m):
            self._takeover.await_press(AFTER_ARM_FAULT)

    def _stamp(self) -> float:
        """Now, since the epoch; within an episode it does not follow jumps of the wall clock."""
        return self._clock.monotonic() + self._epoch

    def _event(self, kind: str, detail: str = '') -> None:
        self._events.append((kind, self._episode_id, detail))

    def _flush(self) -> list[Effect]:
        """What is to be done: commands, ticks and steps first, then events, then the status if it changed."""
        effects, self._effects = self._effects, []
        events, self._events = self._events, []
        effects += [PublishEvent(self._stamp(), kind, episode, self._index, detail) for kind, episode, detail in events]
        status = (self._mode, self._reason, self._episode_id, self._policy_version)
        if status != self._status:
            self._status = status
            source = SOURCE[self._mode]
            effects.append(
                PublishStatus(self._stamp(), self._episode_id, self._index, self._mode, source, self._reason, self._policy_version)
            )
        return effects
