"""The motors behind the fake xs_sdk: they do what they are told, and keep a record of what they should not have been told.

Free of ROS; time is given to `advance`.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mile_policy_node.kinematics import ArmModel
from mile_sim.model import FINGER_LIMITS_M, finger_position, gripper_angle, pad_opening

Floats = NDArray[np.float64]

GRIPPER = 'gripper'
PROFILE_VELOCITY, PROFILE_ACCELERATION = 'Profile_Velocity', 'Profile_Acceleration'
REGISTERS = {PROFILE_VELOCITY: 2000, PROFILE_ACCELERATION: 300, 'Torque_Enable': 1, 'Hardware_Error_Status': 0}
"""At start, as the vendor's mode file sets them: [ms], [ms], on, none."""
SHADOWS = ('shoulder_shadow', 'elbow_shadow')
RAD_PER_S_PER_PWM = 30 / 2000
"""Of the gripper's motor, as in the vendor's simulation: 1/2000 rad per PWM at each of its 30 ticks per second."""
SQUEEZE_M = 0.008
"""How far the opening's target may run ahead of fingers that are blocked: it is what they squeeze with."""
STRONG_PWM, LONGEST_PUSH_S = 200.0, 1.0
WINDOW_S, EXTRA_COMMANDS = 1.0, 5
"""In any window there may be one command per period, and as many more for takeovers, each of which starts a tick of its own."""
KEPT = 20


class Findings:
    """What was broken: counts by rule, and the first few cases in words."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._cases: list[str] = []
        self.commands = 0
        self.register_writes = 0
        self.largest_step_rad = 0.0
        self.most_per_s = 0

    def broken(self, rule: str, case: str) -> None:
        """Note a case of a broken rule: limits, profile, rate or gripper."""
        self._counts[rule] += 1
        if len(self._cases) < KEPT:
            self._cases.append(f'{rule}: {case}')

    def to_mapping(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            'commands': self.commands,
            'register_writes': self.register_writes,
            'largest_step_rad': round(self.largest_step_rad, 4),
            'most_commands_per_s': self.most_per_s,
            'broken': {rule: self._counts[rule] for rule in ('limits', 'profile', 'rate', 'gripper')},
            'cases': list(self._cases),
        }


class FakeServos:
    """The motors of one arm, without any check of what they are told."""

    def __init__(self, model: ArmModel, rate_hz: float, joints: Sequence[float], opening: float) -> None:
        """Motors that stand at `joints`, shape (n,) [rad], and `opening` [m]; commands are expected at `rate_hz` [Hz]."""
        self.model = model
        self.findings = Findings()
        self.registers = {name: dict(REGISTERS) for name in (*model.joint_names, GRIPPER, *SHADOWS)}
        self.silent: set[str] = set()
        """Motors that do not answer."""
        self.object_width_m: float | None = None
        """What the fingers close on, where no world says so [m]."""
        self._rate_hz = rate_hz
        self._now = 0.0
        self._times: deque[float] = deque()
        self.pwm = 0.0
        self._pushing_since: float | None = None
        self.place(joints, opening)

    def place(self, joints: Sequence[float], opening: float) -> None:
        """The arm stands somewhere else, and means to stay there."""
        self.joints = np.array(joints, np.float64)
        self.opening = opening
        self._velocity = np.zeros(len(self.joints))
        self._from, self._from_velocity, self._goal = self.joints.copy(), self._velocity.copy(), self.joints.copy()
        self._since = math.inf

    def groups(self) -> dict[str, tuple[str, ...]]:
        """Motors by group."""
        return {'arm': self.model.joint_names, 'all': (*self.model.joint_names, GRIPPER)}

    def write(self, motors: Sequence[str], register: str, value: int) -> None:
        """Write a register."""
        self.findings.register_writes += 1
        if self.findings.commands:
            self.findings.broken('profile', f'{register} written after commands began to stream')
        for motor in motors:
            self.registers[motor][register] = value

    def read(self, motors: Sequence[str], register: str) -> list[int]:
        """Read a register, motor by motor, up to the first that does not answer, or answers with its error bit set, as xs_sdk does."""
        return [self.registers[motor][register] for motor in takewhile(self._answers, motors)]

    def _answers(self, motor: str) -> bool:
        return motor not in self.silent and not self.registers[motor]['Hardware_Error_Status']

    def reboot(self, motor: str, *, torque: bool) -> None:
        """Clear its error; what is not in its EEPROM is as at power-up, so that it has no profile."""
        self.registers[motor] = {PROFILE_VELOCITY: 0, PROFILE_ACCELERATION: 0, 'Torque_Enable': int(torque), 'Hardware_Error_Status': 0}

    def command(self, cmd: Sequence[float]) -> None:
        """Goals of group arm [rad]. A wrong number of them is ignored, anything else is obeyed."""
        values = np.array(cmd, np.float64)
        if values.shape != self._goal.shape:
            self.findings.broken('limits', f'{len(values)} goals for {len(self._goal)} motors')
            return
        self._judge(values)
        live = np.array([self._live(name) for name in self.model.joint_names]) & np.isfinite(values)
        self._goal = np.where(live, values, self._goal)
        self._from, self._from_velocity, self._since = self.joints.copy(), self._velocity.copy(), 0.0

    def command_gripper(self, pwm: float) -> None:
        """PWM of the gripper's motor, held until the next one."""
        if not abs(pwm) <= 885:
            self.findings.broken('gripper', f'PWM {pwm:g} beyond 885')
        self.pwm = pwm

    def _live(self, motor: str) -> bool:
        """Whether it has torque; a motor with an error has cut it."""
        return bool(self.registers[motor]['Torque_Enable']) and not self.registers[motor]['Hardware_Error_Status']

    def _profile(self, register: str) -> Floats:
        return np.array([self.registers[name][register] for name in self.model.joint_names]) / 1000

    def _judge(self, goal: Floats) -> None:
        """Note what is wrong with a command: its values, how far it is for the profile, the profile itself, how soon it comes."""
        findings, names = self.findings, self.model.joint_names
        findings.commands += 1
        low, high = np.array(self.model.joint_lower), np.array(self.model.joint_upper)
        for name, value in zip(names, goal, strict=True):
            if not np.isfinite(value):
                findings.broken('limits', f'{name}: {value}')
        for index in np.flatnonzero((goal < low) | (goal > high)):
            findings.broken('limits', f'{names[index]}: {goal[index]:.3f} rad, allowed {low[index]:.3f} to {high[index]:.3f}')
        whole, ramp = self._profile(PROFILE_VELOCITY), self._profile(PROFILE_ACCELERATION)
        period = 1 / self._rate_hz
        if ((whole < 0.999 * period) | (whole > 3 * period) | (ramp > 0.501 * whole)).any():
            findings.broken(
                'profile', f'motions of {1000 * whole.max():.0f} ms, ramps of {1000 * ramp.max():.0f} ms for {1000 * period:.0f} ms'
            )
        step = np.abs(goal - self._goal)
        findings.largest_step_rad = max(findings.largest_step_rad, float(np.nan_to_num(step).max()))
        for index in np.flatnonzero(step > np.array(self.model.joint_velocity) * (whole - ramp) + 1e-5):
            findings.broken('profile', f'{names[index]}: {step[index]:.3f} rad in {1000 * whole[index]:.0f} ms is faster than the servo')
        self._times.append(self._now)
        while self._times[0] < self._now - WINDOW_S:
            self._times.popleft()
        findings.most_per_s = max(findings.most_per_s, len(self._times))
        if len(self._times) > self._rate_hz * WINDOW_S + EXTRA_COMMANDS:
            findings.broken('rate', f'{len(self._times)} commands within {WINDOW_S:g} s at {self._rate_hz:g} Hz')

    def advance(self, duration: float, real_s: float, measured_opening: float | None = None) -> None:
        """Let `duration` [s] pass, `real_s` [s] of them by the clock of the driver; the world may say how far open the fingers are [m].

        A motion is a cubic in time from where the joint is and how fast it moves, to rest at the goal.
        """
        self._now += duration
        self._since += duration
        whole = np.maximum(self._profile(PROFILE_VELOCITY), 1e-3)
        time = np.minimum(self._since, whole)
        distance, speed = self._goal - self._from, self._from_velocity
        second = (3 * distance - 2 * speed * whole) / whole**2
        third = (speed * whole - 2 * distance) / whole**3
        self.joints = self._from + speed * time + second * time**2 + third * time**3
        self._velocity = np.where(time < whole, speed + 2 * second * time + 3 * third * time**2, 0.0)
        self._advance_gripper(duration, real_s, measured_opening)

    def _advance_gripper(self, duration: float, real_s: float, measured: float | None) -> None:
        pwm = self.pwm if self._live(GRIPPER) else 0.0
        finger = float(np.clip(finger_position(self.opening), *FINGER_LIMITS_M))
        _, slope = gripper_angle(finger)
        wanted = pad_opening(float(np.clip(finger + pwm * RAD_PER_S_PER_PWM * duration / slope, *FINGER_LIMITS_M)))
        if measured is not None:
            wanted = float(np.clip(wanted, measured - SQUEEZE_M, measured + SQUEEZE_M))
        elif self.object_width_m is not None:
            wanted = max(wanted, self.object_width_m)
        moved = abs(wanted - self.opening) > 1e-6
        self.opening = wanted
        if abs(pwm) <= STRONG_PWM or moved:
            self._pushing_since = None
            return
        was = 0.0 if self._pushing_since is None else self._pushing_since
        self._pushing_since = was + real_s
        if was <= LONGEST_PUSH_S < self._pushing_since:
            self.findings.broken('gripper', f'PWM {pwm:.0f} for more than {LONGEST_PUSH_S:g} s against what blocks the fingers')


def motor_angle(opening: float) -> float:
    """Angle of the gripper's motor [rad] for an opening between the pads [m]."""
    return gripper_angle(float(np.clip(finger_position(opening), *FINGER_LIMITS_M)))[0]
