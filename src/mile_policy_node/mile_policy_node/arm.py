"""The arm behind its safety gate: commands in, targets out, and the watchdogs. Free of ROS; the clocks are injected."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mile_learner.clock import Clock
from mile_learner.config import option
from mile_learner.step import Source
from mile_policy_node.arm_backend import ArmBackend, ArmObservation, JointTarget
from mile_policy_node.errors import BackendError, GateError
from mile_policy_node.gate import SafetyGate
from mile_policy_node.kinematics import ARM_MODELS, ArmModel, Floats, Kinematics
from mile_policy_node.xs_config import XsConfig


@dataclass(frozen=True)
class ArmConfig(XsConfig):
    """One arm, read from config/arm_<name>.yaml."""

    model: str = option('wx250s', doc='kinematic model of the arm', choices=tuple(ARM_MODELS))
    model_file: str = option('', doc='path of a YAML file with the numbers of another arm (the fields of ArmModel); instead of `model`')
    backend: str = option('sim', doc='driver of the arm')
    joint_margin_rad: float = option(0.03, doc='distance kept from the joint limits [rad]', ge=0.0, lt=1.0)
    start_tolerance_rad: float = option(0.15, doc='how far each joint may start from pointing straight down [rad]', gt=0.0, lt=1.0)
    joint_state_timeout_s: float = option(0.5, doc='older joint states are not trusted: commands are refused [s]', gt=0.0, le=10.0)
    command_timeout_s: float = option(
        0.5, doc='the arm holds after this long without a command, and refuses one that comes so late [s]', gt=0.0, le=10.0
    )
    retract_after_s: float = option(
        0.0,
        doc='the arm rises to the top of its workspace when no command came within an episode for so long; 0: never [s]',
        ge=0.0,
        le=600.0,
    )
    reset_timeout_s: float = option(10.0, doc='a reset of the arm that takes longer has failed [s]', gt=0.0, le=120.0)

    def arm_model(self) -> ArmModel:
        """The numbers of the arm.

        Raises:
            ConfigError: `model_file` cannot be used.
        """
        return ArmModel.from_yaml(Path(self.model_file)) if self.model_file else ARM_MODELS[self.model]


@dataclass(frozen=True)
class ArmCommand:
    """One command; fields as in mile_msgs/Command, stamp in [s]."""

    stamp: float
    episode_id: str
    index: int
    source: int
    action: Floats


@dataclass(frozen=True)
class CommandOutcome:
    """What became of one command; fields as in mile_msgs/CommandResult."""

    accepted: bool
    limited: bool
    detail: str
    sent_target: Floats


@dataclass(frozen=True)
class ArmStatus:
    """The arm as measured and as last commanded.

    Attributes:
        observation: the newest measurement.
        pose: of the end effector, shape (4, 4).
        commanded_target: shape (4,): x, y, z [m], finger opening [m]; NaN if the gate has none.
        ready: accepts commands.
        fault: why it does not; empty if it does.
    """

    observation: ArmObservation
    pose: Floats
    commanded_target: Floats
    ready: bool
    fault: str


class Arm:
    """Puts commands through the gate to the backend; refuses them when the arm cannot be trusted. Not thread-safe."""

    def __init__(self, config: ArmConfig, kinematics: Kinematics, gate: SafetyGate, backend: ArmBackend, clock: Clock) -> None:
        self._config = config
        self._kinematics = kinematics
        self._gate = gate
        self._backend = backend
        self._clock = clock
        self._start_fault = ''
        self._resetting = False
        self._last: ArmCommand | None = None
        self._last_command_at: float | None = None
        self._abandoned_at: float | None = None
        self._opening: float | None = None
        """What was commanded when a refusal cleared the gate: fingers around an object are wider open than that, and still squeeze."""
        self._soonest = ('', 0.0)
        self._expected = self._retracting = False

    def expect_commands(self, expected: bool) -> None:
        """Whether an episode runs and no e-stop is set, by the arbiter's last word: then silence means that nobody is in charge."""
        if expected and not self._expected:
            self._abandoned_at = self._clock.monotonic()
        self._expected = expected

    def command(self, command: ArmCommand) -> CommandOutcome:
        """Execute one command at once, or refuse it and say why."""
        self._last_command_at = self._abandoned_at = self._clock.monotonic()
        late_s = self._lateness(command, self._last_command_at)
        self._retracting = False
        if self._gate.ready and self._backend.faults():
            self._forget_target()
        objection = self._fault() or self._objection(command, late_s)
        if objection:
            return CommandOutcome(False, False, objection, self._gate.target)
        if command.source == Source.HOLD:
            self._backend.hold()
            held = self._gate.hold('')
            return CommandOutcome(held.accepted, held.limited, held.detail, held.target)
        result = self._gate.apply(command.action)
        if not result.accepted:
            return CommandOutcome(False, False, result.detail, result.target)
        asked = JointTarget(result.joints, float(result.target[3]))
        try:
            sent = self._send(asked)
        except BackendError as error:
            return CommandOutcome(False, False, str(error), self._gate.target)
        self._last = command
        target = result.target
        if sent is not asked:
            target = np.append(self._kinematics.forward(sent.joints)[:3, 3], sent.opening)
        return CommandOutcome(True, result.limited, result.detail, target)

    def status(self) -> ArmStatus | None:
        """The arm now; None before the first measurement."""
        observation = self._backend.observe()
        if observation is None:
            return None
        fault = self._fault()
        return ArmStatus(observation, self._kinematics.forward(observation.joints), self._gate.target, not fault, fault)

    def watch(self) -> str:
        """To be called ten times a second: takes up the arm where it is when there is no target yet; in silence holds, then retracts.

        Where a faulty arm was sent is forgotten: without torque it sags, and would be thrown back there once it is well.

        Returns:
            Why the arm moves without a command; empty if it does not.
        """
        if self._gate.ready and self._backend.faults():
            self._forget_target()
        elif not self._gate.ready and not self._resetting and not self._untrusted():
            self._take_up(self._opening)
        if self._last_command_at is not None and self._clock.monotonic() - self._last_command_at > self._config.command_timeout_s:
            self._backend.hold()
            self._last_command_at = None
        return self._retract()

    async def reset(self, seed: int) -> str:
        """Bring the arm to a start pose and continue from there; returns what went wrong, empty if nothing did."""
        if self._resetting:
            return 'the arm is being reset already'
        self._resetting = True
        self._gate.clear()
        try:
            opening = await self._backend.reset(seed)
        except BackendError as error:
            return str(error)
        finally:
            self._resetting = False
        self._last, self._soonest = None, ('', 0.0)
        self._abandoned_at = self._opening = None
        self._take_up(opening)
        return self._fault()

    async def torque(self, enable: bool) -> None:
        """Switch the motors' torque, on explicit order only; either way the arm is then taken up where it is.

        Raises:
            BackendError: this arm cannot, or where it is is not known.
        """
        self._gate.clear()
        self._opening = None
        await self._backend.torque(enable)

    def close(self) -> None:
        """Release the backend; the arm stays where it is."""
        self._backend.close()

    def _retract(self) -> str:
        """The second tier of silence: a slew step upwards per period, through the gate, until it allows no more or somebody commands."""
        patience, limits = self._config.retract_after_s, self._gate.config
        if not patience or not self._expected or self._abandoned_at is None or self._fault():
            return ''
        reason = f'no command for {patience:g} s in an episode: the arm retracts'
        if self._clock.monotonic() - self._abandoned_at < patience:
            return reason if self._retracting else ''
        self._abandoned_at += 1.0 / limits.rate_hz
        before = self._gate.target
        grip = 2.0 * (before[3] - limits.gripper_closed_m) / (limits.gripper_open_m - limits.gripper_closed_m) - 1.0
        result = self._gate.apply((0.0, 0.0, 1.0, np.clip(grip, -1.0, 1.0)))
        self._retracting = bool((result.target[:3] != before[:3]).any())
        if not self._retracting:
            return ''
        try:
            self._send(JointTarget(result.joints, float(result.target[3])))
        except BackendError as error:
            self._start_fault = str(error)
        return reason

    def _send(self, target: JointTarget) -> JointTarget:
        """What was really sent.

        Raises:
            BackendError: nothing was; where the arm goes on from is not known then.
        """
        try:
            return self._backend.send(target)
        except BackendError:
            self._opening = target.opening
            self._gate.clear()
            raise

    def _forget_target(self) -> None:
        self._opening = float(self._gate.target[3])
        self._gate.clear()

    def _take_up(self, commanded_opening: float | None) -> None:
        observation = self._backend.observe()
        if observation is None:
            return
        try:
            self._gate.reset(observation.joints, observation.opening if commanded_opening is None else commanded_opening)
            self._start_fault = ''
        except GateError as error:
            self._start_fault = str(error)

    def _fault(self) -> str:
        if self._resetting:
            return 'the arm is being reset'
        untrusted = self._untrusted()
        if untrusted or self._gate.ready:
            return untrusted
        return self._start_fault or 'the arm has no start pose yet; reset the arm'

    def _untrusted(self) -> str:
        """Why the arm itself, or what is known of it, cannot be trusted."""
        observation = self._backend.observe()
        if observation is None:
            return 'no joint states yet'
        age, limit = self._clock.wall() - observation.stamp, self._config.joint_state_timeout_s
        if abs(age) > limit:
            return f'joint states are {age:.2f} s old, limit {limit} s'
        return self._backend.faults()

    def _lateness(self, command: ArmCommand, now: float) -> float:
        """How much later than the soonest command of its episode it came [s]: after this process hung, for one, what waited for it is old.

        The wall clock is not asked: it may be set, which the stamps of an episode do not follow.
        """
        episode, soonest = self._soonest
        delay = now - command.stamp
        self._soonest = command.episode_id, min(delay, soonest) if command.episode_id == episode else delay
        return delay - self._soonest[1]

    def _objection(self, command: ArmCommand, late_s: float) -> str:
        """Why `command` itself must not be executed; a hold always may."""
        if command.source == Source.HOLD:
            return ''
        if command.source not in (Source.POLICY, Source.HUMAN):
            return f'source {command.source} is unknown'
        last, limit = self._last, self._config.command_timeout_s
        if late_s > limit:
            return f'command {command.index} came {late_s:.2f} s late, limit {limit} s'
        if last is None:
            return ''
        if command.episode_id == last.episode_id and command.index <= last.index:
            return f'command {command.index} came after command {last.index} of the same episode'
        if command.stamp <= last.stamp:
            return f'command is stamped {last.stamp - command.stamp:.3f} s before the last executed one'
        return ''
