"""Judges every effect of the arbiter by an account of its own of what the world did; see test_arbiter_properties.py."""

from __future__ import annotations

import math

import numpy as np
from hypothesis.stateful import RuleBasedStateMachine, invariant

from mile_learner.step import Gate, Mode, Source, Step
from mile_teleop.arbiter_config import ArbiterConfig
from mile_teleop.effects import Effect, PublishCommand, PublishEvent, PublishStatus, PublishStep, PublishTick, RestartClock
from mile_teleop.modes import SOURCE

from .rig import Rig

PERIOD_S = 0.1
GRIPPER_PER_TICK = ArbiterConfig().gripper_speed * PERIOD_S


class Judge(RuleBasedStateMachine):
    """What was seen, what of it may still be obeyed, and whether the arbiter keeps to it."""

    def __init__(self) -> None:
        super().__init__()
        self.rig = Rig(hand_back_grace_s=0.15, pad_lost_s=1.0)
        self.seen = 0
        self.due = math.inf
        self.running = self.episode_id = ''
        self.status: PublishStatus | None = None
        self.ticks: list[PublishTick] = []
        self.commands: dict[int, PublishCommand] = {}
        self.steps: list[Step] = []
        self.stopped = self.span_open = self.human_has_it = self.must_press = False
        self.held = False
        """Since the last command somebody else than the person was in charge: then the gripper follows what the arm reports."""
        self.answered_index = -1
        self.pad_valid = self.arm_ready = self.policy_heard = False
        self.pad_seen = self.pad_changed = self.arm_seen = self.answered = -math.inf
        self.recorder_seen = self.rig.clock.now  # the rig's recorder is there from the start
        self.pad_state: object = None
        self.pad_at_rest = True
        self.gripper = -1.0

    def judge(self) -> None:
        """Judge what the arbiter did since the last time."""
        new, self.seen = self.rig.effects[self.seen :], len(self.rig.effects)
        for effect in new:
            self.judge_one(effect)
        if len(self.steps) < len(self.ticks):
            waited = self.ticks[-1].stamp - self.ticks[len(self.steps)].stamp
            assert waited <= self.rig.config.record_wait_s, 'a step waits no longer than that'

    def pad_arrives(self, state: object, *, at_rest: bool) -> None:
        now = self.rig.clock.now + 0.001
        if state != self.pad_state:
            self.pad_changed, self.pad_state = now, state
        self.pad_seen, self.pad_valid, self.pad_at_rest = now, True, at_rest

    def judge_one(self, effect: Effect) -> None:
        now = self.rig.clock.now
        if isinstance(effect, PublishTick) and not effect.episode_id:
            assert not self.running
            assert not self.policy_heard, 'asked once more'
        elif isinstance(effect, PublishTick):
            assert effect.episode_id == self.running
            assert effect.index == len(self.ticks), 'no gaps'
            self.ticks.append(effect)
        elif isinstance(effect, PublishCommand):
            self.judge_command(effect, now)
        elif isinstance(effect, PublishStep):
            self.judge_step(effect.step)
        elif isinstance(effect, PublishEvent):
            self.judge_event(effect)
        elif isinstance(effect, PublishStatus):
            self.status = effect
            self.held |= effect.mode is not Mode.HUMAN
        elif isinstance(effect, RestartClock):
            self.due = now + PERIOD_S

    def judge_command(self, command: PublishCommand, now: float) -> None:
        assert command.episode_id == self.running
        assert command.index not in self.commands, 'at most one command per tick'
        assert command.index in (len(self.ticks) - 1, len(self.ticks)), 'a command belongs to the running tick'
        assert len(command.action) == 4
        assert all(math.isfinite(value) and abs(value) <= 1.0 for value in command.action)
        before = self.commands.get(command.index - 1)
        if before is not None and before.source is command.source is Source.HUMAN and not self.held:
            assert abs(command.action[3] - before.action[3]) <= GRIPPER_PER_TICK + 1e-9, 'I3'
        self.held = False
        self.commands[command.index] = command
        if command.source is Source.HOLD:
            assert command.action[:3] == (0.0, 0.0, 0.0)
            return
        assert not self.stopped, 'I7'
        assert self.pad_valid, 'I5: the last pad message could not be obeyed'
        assert now - self.pad_seen <= 0.5, 'I5: pad'
        assert now - self.arm_seen <= 0.5, 'I5: arm'
        assert now - self.recorder_seen <= 1.0, 'I5: recorder'
        assert self.pad_at_rest or now - self.pad_changed <= 1.0, 'I6'
        if command.source is Source.POLICY:
            assert not self.span_open, 'I1: by the record'
            assert not self.human_has_it, 'I1: by the thumb'
            assert not self.must_press, 'I7: after an e-stop or a fault of the arm it takes a press'
            assert now - self.answered <= 0.5, 'I5: policy'

    def judge_step(self, step: Step) -> None:
        assert (step.episode_id, step.index) == (self.episode_id, len(self.steps)), 'no gaps, in order'
        self.steps.append(step)
        command = self.commands.get(step.index)
        assert step.stamp == self.ticks[step.index].stamp
        assert step.source is (Source.HOLD if command is None else command.source)
        assert step.source is SOURCE[step.mode]
        if command is None:
            assert not step.executed_action[:3].any()
        else:
            np.testing.assert_array_equal(step.executed_action, np.array(command.action, np.float32))
        assert step.intervening == (step.source is Source.HUMAN) == (step.mode is Mode.HUMAN) == (step.gate is Gate.HUMAN)
        assert np.isfinite(step.human_action).all() == step.intervening
        assert np.isfinite(step.robot_action).all() == step.robot_action_valid
        if step.intervening:
            np.testing.assert_array_equal(step.human_action, step.executed_action)

    def judge_event(self, event: PublishEvent) -> None:
        if event.type == 'takeover':
            assert not self.span_open
            self.span_open = True
        elif event.type == 'hand_back':
            assert self.span_open
            self.span_open = False
        elif event.type == 'episode_stopped':
            assert not self.span_open, 'I9'
        elif event.type == 'estop':
            self.stopped = self.must_press = True
        elif event.type == 'estop_reset':
            self.stopped = False

    @invariant()
    def the_status_tells_the_truth(self) -> None:
        mode = self.rig.mode()
        if self.status is None:
            assert mode is Mode.IDLE
            return
        assert self.status.mode is mode
        assert self.status.episode_id == self.running
        assert (mode is Mode.IDLE) <= (not self.running)
        assert (mode is Mode.ESTOP) == self.stopped, 'I7'
        if mode is not Mode.IDLE:
            assert bool(self.status.reason) == (mode in (Mode.HOLD, Mode.ESTOP))
        elif not self.status.reason:
            assert self.pad_valid, 'an episode could move the arm'
            assert self.arm_ready, 'an episode could move the arm'
            assert self.policy_heard, 'an episode could move the arm'
        gripper = [command.action[3] for command in self.commands.values()][-1:]
        self.gripper = gripper[0] if mode is Mode.HUMAN and gripper else -1.0
