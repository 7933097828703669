"""A random, hostile world around the real arbiter, arm and safety gate, and a judge who keeps an account of his own of what it did.

Pad, policy and arm speak, fall silent, repeat themselves, answer late, answer nonsense; messages are doubled or lost on their way; the wall
clock is set; sessions start and stop; e-stops are pressed and reset. Every call into the arbiter or the arm is one transition, and after
every one of them the invariants are checked that it could have broken.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence

import numpy as np

from mile_bringup.hostile_setting import FakeMotors, Setting
from mile_learner.clock import FakeClock
from mile_learner.step import Mode, Source
from mile_policy_node.arm import Arm, ArmCommand, ArmConfig
from mile_policy_node.gate import GateConfig, SafetyGate
from mile_teleop.arbiter import Arbiter
from mile_teleop.effects import Effect, PublishCommand, PublishEvent, PublishStep, PublishTick, RestartClock
from mile_teleop.inputs import Confirmation, PolicyAnswer
from mile_teleop.modes import SOURCE
from mile_teleop.pad import Button

NAN, INF = math.nan, math.inf
WRONG_ACTIONS: tuple[tuple[float, ...], ...] = (
    (NAN, 0.0, 0.0, 0.0),
    (INF, 0.0, 0.0, 0.0),
    (0.0,) * 3,
    (0.0,) * 5,
    (),
    (1e30, 0.0, 0.0, 0.0),
)
MOTIONS = ((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.3, -0.7, 0.1), (-1.0, 1.0, -1.0))
TOLERANCE_M = 2e-5


class InvariantBroken(Exception):  # noqa: N818 - the finding, not a failure of the program
    """One of I1-I10 does not hold; the message says which, and in which world."""


class HostileWorld:
    """One world, made from its seed alone. `with_arm`: the real arm and gate execute the commands, which takes most of the time."""

    def __init__(self, setting: Setting, seed: int, *, with_arm: bool) -> None:
        self.random = random.Random(seed)
        self.setting, self.seed = setting, seed
        self.clock = FakeClock()
        task = setting.task
        self.period = 1.0 / task.rate_hz
        gripper = {'gripper_closed_m': task.gripper_closed_m, 'gripper_open_m': task.gripper_open_m}
        self.arbiter = Arbiter(setting.config, setting.mapping, self.clock, rate_hz=task.rate_hz, **gripper)
        self.arm = self._new_arm() if with_arm else None
        self.confirmations: list[Confirmation] = []
        self.transitions = 0
        self.checked: Counter[str] = Counter()
        self.alive = {'pad': True, 'policy': True, 'arm': True, 'recorder': True}
        self.due = INF
        self.running, self.episodes = '', 0
        self.ticks: list[PublishTick] = []
        self.commands: dict[int, PublishCommand] = {}
        self.steps = 0
        self.stopped = self.span_open = self.thumb_down = self.must_press = False
        self.pad_seen = self.pad_changed = self.arm_seen = self.recorder_seen = self.answered = -INF
        self.pad_valid = False
        self.pad_state: tuple[tuple[float, ...], tuple[int, ...]] = ((), ())
        self.pad_stamp = -INF
        self.pad_held: frozenset[Button] = frozenset()
        self.pad_motion = MOTIONS[0]
        self.answered_index = -1

    def run(self, transitions: int) -> None:
        """Live until so many transitions were made.

        Raises:
            InvariantBroken: one did not hold.
        """
        try:
            while self.transitions < transitions:
                self.clock.now += self.random.choice((0.001, 0.01, 0.02, 0.02, 0.05))
                if self.random.random() < 0.01:
                    self.strike()
                self.everybody_speaks()
                if self.clock.now >= self.due:
                    self.due = max(self.due + self.period, self.clock.now)
                    self.judge(self.arbiter.tick())
        except AssertionError as error:
            msg = f'{error or "an assertion of the code itself"}, in world {self.seed} after {self.transitions} transitions'
            raise InvariantBroken(msg) from error

    # ---------------------------------------------------------------- what happens

    def everybody_speaks(self) -> None:
        """Whoever is alive, now and then."""
        chance = self.random.random
        if self.stopped and chance() < 0.1:
            self.stop_or_reset()
        if not self.running and not self.stopped and chance() < 0.1:
            self.start()
        while self.confirmations:
            result = self.confirmations.pop(0)
            for _ in range(self.random.choice((0, 1, 1, 1, 1, 1, 1, 2))):  # lost, or doubled
                self.judge(self.arbiter.on_confirmation(result))
        if self.alive['arm'] and chance() < 0.5:
            self.arm_seen = self.clock.now
            self.judge(self.arbiter.on_arm_state(ready=True, fault='', commanded_opening_m=self.random.choice((0.022, 0.03, 0.05, NAN))))
        if self.alive['recorder'] and chance() < 0.3:
            self.recorder_seen = self.clock.now
            self.judge(self.arbiter.on_recorder())
        if self.alive['pad'] and chance() < 0.5:
            if chance() < 0.1:
                self.pad_held = frozenset(
                    self.random.sample((Button.TAKEOVER, Button.TAKEOVER, Button.GRIPPER_OPEN, Button.START), self.random.choice((0, 1, 1)))
                )
            if chance() < 0.5:
                self.pad_motion = self.random.choice(MOTIONS)
            self.pad_speaks(*self.setting.mapping.press((*self.pad_motion, 0.0), held=self.pad_held))
        if self.alive['policy'] and self.ticks and chance() < 0.7:
            self.policy_answers((chance() * 2 - 1, chance() * 4 - 2, 0.0, 1.0), back=0)

    def strike(self) -> None:
        """Something goes wrong, or is put right."""
        strike = self.random.randrange(13)
        if strike < 4:
            dead = self.random.choice((*self.alive, '', '', ''))
            self.alive = {name: name != dead for name in self.alive}
        elif strike == 4:
            axes, buttons = self.random.choice((([], []), ([NAN] * 6, [0] * 17), ([0.0] * 4, [1] * 3)))
            self.pad_speaks(axes, buttons, sound=False)
        elif strike == 5:
            self.judge(self.arbiter.on_joy(self.clock.wall() - 2.0, *self.setting.mapping.press((0.0,) * 4, takeover=True)))
        elif strike == 6:
            self.clock.offset += self.random.choice((-100.0, -0.2, 0.2, 100.0))
        elif strike == 7 and self.ticks:
            self.policy_answers(self.random.choice(WRONG_ACTIONS), back=self.random.randrange(2))
        elif strike == 8 and self.ticks:
            self.policy_answers((1.0, 0.0, 0.0, 1.0), back=self.random.choice((-1, 1, 2, 5)))
        elif strike == 9:
            self.clock.now += self.random.choice((0.3, 0.6, 1.5, 3.0))
        elif strike == 10:
            self.arm_seen = self.clock.now
            self.must_press |= bool(self.running)
            self.judge(self.arbiter.on_arm_state(ready=False, fault='motor 3 overheated', commanded_opening_m=NAN))
        elif strike == 11:
            self.stop_or_reset()
        elif strike == 12 and self.running:
            self.judge(self.arbiter.stop_episode('failure')[1])
            self.running, self.due, self.thumb_down = '', INF, False

    def stop_or_reset(self) -> None:
        """The e-stop, by pad or by service, and its reset."""
        if self.stopped:
            self.judge(self.arbiter.reset_estop())
            assert self.arbiter.mode in (Mode.HOLD, Mode.IDLE), 'I7: a reset alone moves nothing'
        else:
            self.thumb_down = False
            self.judge(self.arbiter.estop('test'))
            assert self.arbiter.mode is Mode.ESTOP, 'I7: the e-stop latches'
        self.checked['I7'] += 1

    def start(self) -> None:
        """A new episode."""
        self.judge(self.arbiter.tick())
        self.clock.now += 2.0 * self.setting.config.record_wait_s
        self.judge(self.arbiter.tick())
        assert self.steps == len(self.ticks), f'I8: {len(self.ticks)} ticks, {self.steps} steps'
        self.checked['I8'] += 1
        self.episodes += 1
        self.running = f'e{self.episodes}'
        self.ticks, self.commands, self.steps = [], {}, 0
        self.answered, self.answered_index = self.clock.now, -1
        self.thumb_down = False
        self.due = self.clock.now + self.period
        if self.arm is not None:
            self.arm = self._new_arm()
        self.judge(self.arbiter.start_episode(self.running))

    def pad_speaks(self, axes: Sequence[float], buttons: Sequence[int], *, sound: bool = True) -> None:
        """A pad message with a fresh stamp, sometimes delivered twice."""
        state, wall = (tuple(axes), tuple(buttons)), self.clock.wall()
        heard = not wall <= self.pad_stamp <= wall  # the same stamp again is no news
        if heard:
            if state != self.pad_state:
                self.pad_changed, self.pad_state = self.clock.now, state
            self.pad_seen, self.pad_valid, self.pad_stamp = self.clock.now, sound, wall
            if sound and Button.TAKEOVER not in self.pad_held:
                self.thumb_down = False
            elif sound and not self.stopped:
                self.must_press = False
        before = self.span_open
        effects = self.arbiter.on_joy(wall, axes, buttons)
        self.judge(effects)
        if self.span_open and not before and self.arbiter.mode is Mode.HUMAN:
            self.thumb_down = True
            human = any(isinstance(effect, PublishCommand) and effect.source is Source.HUMAN for effect in effects)
            assert human or self.commands[self.ticks[-1].index].source is Source.HUMAN, 'I2: a takeover commands at once'
            self.checked['I2'] += 1
        if self.random.random() < 0.05:
            self.judge(self.arbiter.on_joy(wall, axes, buttons))

    def policy_answers(self, action: tuple[float, ...], *, back: int) -> None:
        """An answer to the last tick, or to the one `back` ticks before it."""
        tick = self.ticks[-1]
        index = tick.index - back
        current = back == 0 and tick.episode_id == self.running
        usable = len(action) == 4 and all(map(math.isfinite, action))
        fresh = current and self.answered_index != index
        if fresh:
            self.answered_index = index
            self.answered = self.clock.now if usable else self.answered
        answer = PolicyAnswer(tick.episode_id, index, [1.0], tick.stamp, 0.0, action, True, '', 0.5, 'v000', 1.0)
        effects = self.arbiter.on_policy_answer(answer)
        if not (fresh and usable):
            obeyed = any(isinstance(effect, PublishCommand) and effect.source is Source.POLICY for effect in effects)
            assert not obeyed, 'I1, I4: an answer that is late, doubled or unusable was obeyed'
            self.checked['I4'] += 1
        self.judge(effects)

    # ---------------------------------------------------------------- the judge

    def judge(self, effects: Sequence[Effect]) -> None:
        """What the arbiter did in one transition; commands go on to the arm."""
        self.transitions += 1
        for effect in effects:
            if isinstance(effect, PublishTick) and not effect.episode_id:
                assert not self.running, 'I8: a tick of no episode within one'
            elif isinstance(effect, PublishTick):
                assert (effect.episode_id, effect.index) == (self.running, len(self.ticks)), 'I8: ticks without gaps'
                self.ticks.append(effect)
            elif isinstance(effect, PublishCommand):
                self.judge_command(effect)
            elif isinstance(effect, PublishStep):
                step, command = effect.step, self.commands.get(effect.step.index)
                assert step.index == self.steps, f'I8: step {step.index} came where step {self.steps} was expected'
                assert step.source is (Source.HOLD if command is None else command.source) is SOURCE[step.mode], 'I8: step and command'
                assert step.intervening == (step.source is Source.HUMAN) == bool(np.isfinite(step.human_action).all()), 'I1: nu'
                self.steps += 1
                self.checked['I8'] += 1
            elif isinstance(effect, RestartClock):
                self.due = self.clock.now + self.period
            elif isinstance(effect, PublishEvent):
                self.judge_event(effect.type)
        assert (self.arbiter.mode is Mode.ESTOP) == self.stopped, 'I7'
        self.checked['I7'] += 1

    def judge_event(self, kind: str) -> None:
        """Spans open and close in turn; the e-stop latches."""
        if kind in ('takeover', 'hand_back'):
            assert self.span_open is (kind == 'hand_back'), f'I9: {kind}'
            self.span_open = kind == 'takeover'
        elif kind == 'episode_stopped':
            assert not self.span_open, 'I9: the episode ends with an open takeover'
        elif kind in ('estop', 'estop_reset'):
            self.stopped = kind == 'estop'
            self.must_press |= self.stopped
        self.checked['I9'] += 1

    def judge_command(self, command: PublishCommand) -> None:
        """One command, before and after the arm."""
        now, config = self.clock.now, self.setting.config
        assert command.index not in self.commands, 'I1: at most one command per tick'
        assert command.index in (len(self.ticks) - 1, len(self.ticks)), 'I8: a command belongs to the running tick'
        assert all(math.isfinite(value) and abs(value) <= 1.0 for value in command.action), 'I4'
        self.commands[command.index] = command
        if command.source is Source.HOLD:
            assert command.action[:3] == (0.0, 0.0, 0.0), 'I4: a hold does not move'
        else:
            assert not self.stopped, 'I7'
            assert self.pad_valid, 'I5: the last pad message could not be obeyed'
            assert now - self.pad_seen <= config.pad_timeout_s, 'I5: pad'
            assert now - self.arm_seen <= config.arm_timeout_s, 'I5: arm'
            assert now - self.recorder_seen <= config.recorder_timeout_s, 'I5: recorder'
            at_rest = not any(self.pad_state[1]) and not any(self.pad_state[0])
            assert at_rest or now - self.pad_changed <= config.pad_lost_s, 'I6'
            self.checked.update(('I5', 'I6'))
        if command.source is Source.POLICY:
            assert not self.span_open, 'I1: the policy commands during a takeover'
            assert not self.thumb_down, 'I1: the policy commands though the thumb is down'
            assert not self.must_press, 'I7: the policy commands after an e-stop or a fault of the arm, and nobody pressed takeover'
            assert now - self.answered <= config.policy_timeout_s, 'I5: policy'
        self.checked.update(('I1', 'I4'))
        self.execute(command)

    def execute(self, command: PublishCommand) -> None:
        """The way to the arm and back: a command may come late, or again, a confirmation may be lost."""
        target: Sequence[float] = (0.3, 0.0, 0.1, self.random.choice((0.022, 0.03, 0.05)))
        accepted = self.random.random() < 0.95
        if self.arm is not None:
            late = len(self.commands) > 1 and self.random.random() < 0.01  # against the first, which is not
            self.clock.now += late * self.random.choice((0.6, 3.0))
            accepted, target = self.move(command, unfit=late)
            if self.random.random() < 0.05 and len(self.commands) > 1:
                self.move(self.random.choice(list(self.commands.values())), unfit=True)
        self.confirmations.append(
            Confirmation(command.episode_id, command.index, command.source, accepted, target, '' if accepted else 'refused')
        )

    def move(self, command: PublishCommand, *, unfit: bool) -> tuple[bool, Sequence[float]]:
        """One command to the real arm, unfit if it is late or one that it had before; whether it was accepted, and the target then."""
        assert self.arm is not None
        before = self.gate.target
        outcome = self.arm.command(
            ArmCommand(command.stamp, command.episode_id, command.index, int(command.source), np.array(command.action, np.float64))
        )
        self.transitions += 1
        target, task = outcome.sent_target, self.setting.task
        moved = np.abs(target - before)
        if unfit or not outcome.accepted or command.source is Source.HOLD:
            assert (moved == 0.0).all(), 'I1, I4, I5: the arm moved on a command that was late, doubled, refused, or a hold'
            assert outcome.accepted or outcome.detail, 'I4: refused without a cause'
        assert (moved[:3] <= task.step_size_m + TOLERANCE_M).all(), 'I3: more than one slew step'
        assert moved[3] <= task.gripper_step_m + TOLERANCE_M, 'I3: more than one slew step of the gripper'
        assert np.isfinite(target).all(), 'I4: a target that is not finite'
        low, high = np.array(task.workspace_low), np.array(task.workspace_high)
        assert (target[:3] >= low - TOLERANCE_M).all(), 'I4: below the workspace'
        assert (target[:3] <= high + TOLERANCE_M).all(), 'I4: above the workspace'
        self.checked.update(('I3', 'I4'))
        return outcome.accepted, target.tolist()

    def _new_arm(self) -> Arm:
        """An arm at the start pose, as after a reset."""
        setting = self.setting
        self.gate = SafetyGate(GateConfig.from_task(setting.task), setting.kinematics)
        self.gate.reset(setting.start, 0.03)
        return Arm(ArmConfig(), setting.kinematics, self.gate, FakeMotors(self.clock, setting.start), self.clock)
