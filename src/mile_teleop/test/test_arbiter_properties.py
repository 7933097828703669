"""The invariants of the control path, under a random and hostile world: delays, repeats, torn messages, dying sources, clock jumps.

I1 one source; I2 a takeover acts at once; I3 bumpless as far as the arbiter decides it; I4 only finite actions in range; I5 silence is
not obeyed; I6 a stuck pad neither; I7 the e-stop latches; I9 spans are closed; steps without gaps, each with the command of its tick.
"""

from __future__ import annotations

import math

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from mile_learner.step import Mode, Source
from mile_teleop.effects import PublishCommand, PublishEvent, PublishStep, RestartClock
from mile_teleop.pad import Button

from .judge import PERIOD_S, Judge
from .rig import CLOSED_M, NAN, OPEN_M, sources

actions = st.one_of(
    st.tuples(*[st.floats(-2.0, 2.0)] * 4),
    st.tuples(*[st.floats(-1.0, 1.0)] * 4),
    st.just((0.5, 0.0, 0.0, 1.0)),
    st.sampled_from([(NAN, 0.0, 0.0, 0.0), (math.inf, 0.0, 0.0, 0.0), (0.0,) * 3, (0.0,) * 5, ()]),
)
motions = st.sampled_from([(0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.3, -0.7, 0.1)])
held = st.frozensets(st.sampled_from([Button.TAKEOVER, Button.TAKEOVER, Button.GRIPPER_OPEN, Button.START]), max_size=2)
openings = st.sampled_from([CLOSED_M, 0.03, OPEN_M, 0.2, NAN])


class HostileWorld(Judge):
    """Drives the arbiter as the node would: a random world with pad, policy, arm and session in it."""

    def __init__(self) -> None:
        super().__init__()
        self.due = math.inf
        self.episodes = 0

    # The world

    @initialize(running=st.booleans())
    def begin(self, running: bool) -> None:
        if running:
            self.arm_lives(True, '', CLOSED_M)
            self.recorder_lives()
            self.pad_speaks(frozenset(), (0.0, 0.0, 0.0))
            self.session_starts()
            self.all_is_well(0.2, answered=True)

    @rule(seconds=st.sampled_from([0.1, 0.1, 0.4, 1.3]), answered=st.booleans())
    def all_is_well(self, seconds: float, answered: bool, dead: str = '') -> None:
        """Arm and policy are alive, but for one that is dead, and the pad repeats its state; the last tick may be left unanswered."""
        end = self.rig.clock.now + seconds
        while (now := min(self.rig.clock.now + 0.05, self.due)) <= end:
            self.rig.clock.now = max(self.rig.clock.now, now)
            if self.due <= now:
                self.due += PERIOD_S
                self.rig.tick(0.0)
                self.judge()
                if self.ticks and (answered or self.due <= end) and dead != 'policy':
                    self.policy_answers((0.5, 0.0, 0.0, 1.0), 0, True)
                    self.arm_confirms(CLOSED_M, True)
                continue
            if dead != 'arm':
                self.arm_lives(True, '', CLOSED_M)
            if dead != 'recorder':
                self.recorder_lives()
            if dead != 'pad':
                self.pad_repeats()

    @precondition(lambda self: self.running)
    @rule(dead=st.sampled_from(['arm', 'pad', 'policy', 'recorder']))
    def one_source_dies(self, dead: str) -> None:
        self.all_is_well(0.2, answered=True)
        self.all_is_well(1.2 if dead == 'recorder' else 0.9, answered=True, dead=dead)
        assert self.rig.mode() is not Mode.AUTONOMOUS, 'I5'
        assert self.rig.mode() is not Mode.HUMAN or dead == 'policy', 'I5'

    @rule(seconds=st.sampled_from([0.01, 0.05, 0.1, 0.3]))
    def nobody_speaks(self, seconds: float) -> None:
        end = self.rig.clock.now + seconds
        while self.due <= end:
            self.rig.clock.now = max(self.rig.clock.now, self.due)
            self.due += PERIOD_S
            self.rig.tick(0.0)
            self.judge()
        self.rig.clock.now = max(self.rig.clock.now, end)

    @rule(seconds=st.sampled_from([0.6, 1.5]))
    def everything_stalls(self, seconds: float) -> None:
        self.rig.clock.now += seconds
        while self.due <= self.rig.clock.now:
            self.due += PERIOD_S
        self.rig.tick(0.0)
        self.judge()

    @rule(seconds=st.sampled_from([-100.0, -0.2, 0.2, 100.0]))
    def the_wall_clock_jumps(self, seconds: float) -> None:
        self.rig.clock.offset += seconds

    # The pad

    @rule(buttons=held, motion=motions)
    def pad_speaks(self, buttons: frozenset[Button], motion: tuple[float, float, float]) -> None:
        self.pad_arrives((buttons, motion), at_rest=not buttons and not any(motion))
        if Button.TAKEOVER not in buttons:
            self.human_has_it = False
        elif not self.stopped:
            self.must_press = False
        self.rig.pad(*buttons, motion=motion)
        self.judge()

    @rule()
    def pad_repeats(self) -> None:
        if isinstance(self.pad_state, tuple):
            has_it = self.human_has_it
            self.pad_speaks(*self.pad_state)
            self.human_has_it = has_it

    @rule(axes=st.sampled_from([[], [0.0] * 6, [NAN] * 6, [0.0] * 4]), buttons=st.sampled_from([[], [1] * 11]))
    def pad_breaks(self, axes: list[float], buttons: list[int]) -> None:
        self.pad_arrives(None, at_rest=True)
        self.pad_valid = False
        self.rig.raw_pad(axes, buttons)
        self.judge()

    @rule(buttons=held)
    def pad_message_arrives_late(self, buttons: frozenset[Button]) -> None:
        before = self.status
        effects = self.rig.pad(*buttons, age=2.0)
        self.judge()
        assert not [effect for effect in effects if isinstance(effect, PublishEvent) and effect.type in ('takeover', 'hand_back')]
        assert before is None or self.status is None or self.status.mode in (before.mode, Mode.HOLD)

    @precondition(lambda self: self.running and not self.stopped)
    @rule(motion=motions)
    def person_takes_over(self, motion: tuple[float, float, float]) -> None:
        """With pad, arm and recorder alive: I2 and I3."""
        self.pad_speaks(frozenset(), (0.123, 0.0, 0.0))
        self.pad_speaks(frozenset(), (0.0, 0.0, 0.0))
        self.arm_lives(True, '', CLOSED_M)
        self.recorder_lives()
        self.pad_speaks(frozenset(), (0.0, 0.0, 0.0))
        human_tick = bool(self.ticks) and self.ticks[-1].index in self.commands
        human_tick = human_tick and self.commands[self.ticks[-1].index].source is Source.HUMAN
        gripper = self.gripper
        ticks = len(self.ticks)
        self.pad_arrives((frozenset({Button.TAKEOVER}), motion), at_rest=False)
        effects = self.rig.pad(Button.TAKEOVER, motion=motion)
        self.human_has_it = True
        self.judge()
        assert self.rig.mode() is Mode.HUMAN
        if human_tick:
            assert Source.POLICY not in sources(effects)
        else:
            assert isinstance(effects[0], PublishCommand)
            assert effects[0].source is Source.HUMAN
            assert abs(effects[0].action[3] - gripper) < 1e-6
            assert len(self.ticks) == ticks + 1
            assert any(isinstance(effect, RestartClock) for effect in effects)

    @precondition(lambda self: self.running and not self.stopped)
    @rule(found_down=st.booleans())
    def pad_dies_in_a_takeover(self, found_down: bool) -> None:
        """And comes back, perhaps with the button still down: neither a takeover nor a hand-back."""
        self.person_takes_over((0.3, -0.7, 0.1))
        self.pad_breaks([], [])
        assert self.rig.mode() is Mode.HOLD
        self.human_has_it = True
        for motion in ((0.5, 0.0, 0.0), (0.0, 0.5, 0.0)):
            held = frozenset({Button.TAKEOVER} if found_down else ())
            self.pad_arrives((held, motion), at_rest=False)
            self.rig.pad(*held, motion=motion)
            self.judge()
            self.all_is_well(0.1, answered=True)
            assert self.rig.mode() is Mode.HOLD

    @precondition(lambda self: self.running and not self.stopped)
    @rule()
    def pad_comes_back_with_the_button_down(self) -> None:
        """Found down is not pressed: I6."""
        self.pad_speaks(frozenset(), (0.0, 0.0, 0.0))
        self.pad_breaks([], [])
        self.pad_arrives((frozenset({Button.TAKEOVER}), (0.0, 0.0, 0.0)), at_rest=False)
        self.rig.pad(Button.TAKEOVER)
        self.judge()
        self.all_is_well(0.1, answered=True)
        assert self.rig.mode() is not Mode.HUMAN

    # Policy, arm and session

    @precondition(lambda self: bool(self.ticks))
    @rule(action=actions, back=st.sampled_from([0, 0, 1, 2, -1]), valid=st.sampled_from([True, True, True, False]))
    def policy_answers(self, action: tuple[float, ...], back: int, valid: bool) -> None:
        current = back == 0 and bool(self.running) and self.ticks[-1].episode_id == self.running
        usable = valid and len(action) == 4 and all(map(math.isfinite, action))
        repeated = current and self.answered_index == self.ticks[-1].index
        if current and not repeated:
            self.answered_index = self.ticks[-1].index
            if usable:
                self.answered = self.rig.clock.now
        effects = self.rig.answer(action, back=back, valid=valid)
        if not current or repeated or not usable:
            assert Source.POLICY not in sources(effects), 'I1, I4'
        if current and not repeated and not usable:
            assert self.rig.mode() is not Mode.AUTONOMOUS, 'I4'
        self.judge()

    @precondition(lambda self: not self.running)
    @rule(sees=st.booleans())
    def policy_is_there(self, sees: bool) -> None:
        """And says so while no episode runs, be it without an observation."""
        self.policy_heard = sees
        assert not sources(self.rig.say_that_the_policy_is_there(*[1.0] * sees, detail='' if sees else 'scene: nothing received yet'))
        self.judge()

    @precondition(lambda self: self.running)
    @rule(action=actions)
    def policy_is_asked(self, action: tuple[float, ...]) -> None:
        """In a running tick that nobody has answered."""
        self.all_is_well(0.1, answered=False)
        self.policy_answers(action, 0, True)

    @precondition(lambda self: self.running and len(self.ticks) > 1)
    @rule(back=st.integers(1, 2))
    def policy_is_late(self, back: int) -> None:
        """Its answer to an earlier tick arrives while the running one waits for its own."""
        self.all_is_well(0.1, answered=False)
        self.policy_answers((1.0, 0.0, 0.0, 1.0), back, True)

    @precondition(lambda self: bool(self.commands))
    @rule(opening=openings, accepted=st.booleans())
    def arm_confirms(self, opening: float, accepted: bool) -> None:
        self.must_press |= bool(self.running) and not accepted and math.isnan(opening)
        self.rig.confirm(opening_m=opening, accepted=accepted)
        self.judge()

    @rule(ready=st.sampled_from([True, True, False]), fault=st.sampled_from(['', '', '', 'motor 3 overheated']), opening=openings)
    def arm_lives(self, ready: bool, fault: str, opening: float) -> None:
        self.arm_seen, self.arm_ready = self.rig.clock.now, ready and not fault
        self.must_press |= bool(self.running) and not ready and math.isnan(opening)
        self.rig.arm(ready=ready, fault=fault, opening_m=opening)
        self.judge()

    @precondition(lambda self: self.running)
    @rule(refuses=st.booleans())
    def arm_loses_its_place(self, refuses: bool) -> None:
        """Its torque goes, or it does not follow; then it is well again, and nobody presses anything."""
        self.all_is_well(0.2, answered=True)
        if not refuses:
            self.arm_lives(False, 'elbow: torque is off', NAN)
        elif self.commands:
            self.arm_confirms(NAN, False)
        self.all_is_well(0.4, answered=True)

    @rule()
    def recorder_lives(self) -> None:
        self.recorder_seen = self.rig.clock.now
        self.rig.recorder()
        self.judge()

    @precondition(lambda self: not self.running and not self.stopped)
    @rule()
    def session_starts(self) -> None:
        self.episodes += 1
        self.rig.tick(0.0)
        self.judge()
        self.rig.start(f'e{self.episodes}')
        while isinstance(late := self.rig.effects[self.seen], PublishStep):
            self.seen += 1
            self.judge_step(late.step)
        assert len(self.steps) == len(self.ticks), 'every tick is recorded, whatever was not answered'
        self.running = self.episode_id = f'e{self.episodes}'
        self.ticks, self.commands, self.steps = [], {}, []
        self.answered, self.answered_index = self.rig.clock.now, -1
        self.human_has_it = False
        self.due = self.rig.clock.now + PERIOD_S
        self.judge()

    @precondition(lambda self: self.running)
    @rule()
    def session_stops(self) -> None:
        steps = self.rig.stop()
        self.due = math.inf
        self.human_has_it = False
        self.judge()
        assert steps == len(self.ticks)
        self.running = ''

    @rule(by_pad=st.booleans(), chance=st.integers(0, 2))
    def estop(self, by_pad: bool, chance: int) -> None:
        if chance:
            return
        self.human_has_it = False
        if by_pad:
            self.pad_arrives('estop', at_rest=False)
            self.rig.pad(Button.ESTOP)
        else:
            self.rig.keep(self.rig.arbiter.estop('test'))
        assert self.rig.mode() is Mode.ESTOP
        self.judge()

    @precondition(lambda self: self.stopped)
    @rule(pressed=st.booleans())
    def estop_is_reset(self, pressed: bool) -> None:
        """A press before the reset does not count."""
        if pressed:
            self.pad_speaks(frozenset(), (0.1, 0.0, 0.0))
            self.pad_speaks(frozenset({Button.TAKEOVER}), (0.0, 0.0, 0.0))
        effects = self.rig.keep(self.rig.arbiter.reset_estop())
        assert not sources(effects)
        self.judge()
        self.all_is_well(0.1, answered=True)
        assert self.rig.mode() in (Mode.HOLD, Mode.IDLE)


HostileWorld.TestCase.settings = settings(
    max_examples=200, stateful_step_count=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
TestHostileWorld = HostileWorld.TestCase
