"""Faults of what the control path listens to, one episode each, in one running deployment."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mile_bringup import invariant_report
from mile_bringup.deployment import config_dir
from mile_bringup.errors import BringupError
from mile_bringup.faults.live import FLOOD_PER_MESSAGE, Live
from mile_bringup.faults.outcome import HOLD, UNHARMED, Outcome
from mile_learner.bags import read_episode
from mile_learner.errors import LearnerError
from mile_learner.step import Mode
from mile_policy_node.arm import ArmConfig
from mile_sim.eyes import JPEG_QUALITY, SIZE, compress
from mile_teleop.arbiter_config import ArbiterConfig

Act = Callable[[Live], object]
TELEOP = ArbiterConfig.from_yaml(config_dir() / 'teleop.yaml')
BLACK = compress(np.zeros((SIZE, SIZE, 3), np.uint8), JPEG_QUALITY)


@dataclass(frozen=True)
class InputFault:
    """One fault of a source.

    Attributes:
        name: of the fault.
        expected: HOLD or UNHARMED.
        inject, lift: begin and end it.
        timeout_s: after which the source is not obeyed [s].
        takeover: it comes while the person drives, else while the policy does.
        lasts_s: how long it is left [s].
    """

    name: str
    expected: str
    inject: Act
    lift: Act
    timeout_s: float = 0.0
    takeover: bool = False
    lasts_s: float = 2.0


def _pad(**state: Any) -> Act:
    def set_it(live: Live) -> None:
        for name, value in state.items():
            setattr(live.pad, name, value)

    return set_it


def _link(topic: str, spoil: Callable[[Any], Any] | None) -> Act:
    return lambda live: setattr(live.links[topic], 'spoil', spoil)


def _signal(node: str, number: signal.Signals) -> Act:
    return lambda live: os.kill(live.pids[node], number)


def _changed(**fields: Any) -> Callable[[Any], Any]:
    """Messages with some fields always the same."""

    def change(message: Any) -> Any:
        for name, value in fields.items():
            setattr(message, name, value)
        return message

    return change


def _jump(message: Any) -> Any:
    """From one corner of the range of actions to the other, at every answer."""
    message.action = [1.0 if message.index % 2 else -1.0] * 4
    return message


def _old(message: Any) -> Any:
    message.header.stamp.sec -= 5
    return message


def _lost(_: Any) -> None:
    """Nothing is passed on."""


def _source(name: str, expected: str, topic: str, spoil: Callable[[Any], Any], **options: Any) -> InputFault:
    return InputFault(name, expected, _link(topic, spoil), _link(topic, None), **options)


def _hang(name: str, node: str, timeout_s: float) -> InputFault:
    return InputFault(name, HOLD, _signal(node, signal.SIGSTOP), _signal(node, signal.SIGCONT), timeout_s=timeout_s)


ANSWER, JOINTS, CAMERA = 'policy_output', 'joint_states', 'camera/image/compressed'
PAD_S, LOST_S, JOINTS_S = TELEOP.pad_timeout_s, TELEOP.pad_lost_s, ArmConfig().joint_state_timeout_s
SILENT, SPEAKING = _pad(messages_per_tick=0), _pad(messages_per_tick=1)
FLOOD = _pad(messages_per_tick=FLOOD_PER_MESSAGE)
INPUT_FAULTS = (
    InputFault('pad unplugged', HOLD, SILENT, SPEAKING, timeout_s=PAD_S),
    InputFault('pad unplugged in a takeover', HOLD, SILENT, SPEAKING, timeout_s=PAD_S, takeover=True, lasts_s=3.0),
    InputFault('pad device gone in a takeover', HOLD, _pad(gone=True), _pad(gone=False), takeover=True),
    InputFault('pad frozen in a takeover', HOLD, _pad(frozen=True), _pad(frozen=False), timeout_s=LOST_S, takeover=True, lasts_s=4.0),
    InputFault('pad floods', UNHARMED, FLOOD, SPEAKING),
    InputFault('pad floods in a takeover', UNHARMED, FLOOD, SPEAKING, takeover=True),
    _hang('policy hangs', 'policy_node', TELEOP.policy_timeout_s),
    _source('policy says NaN', HOLD, ANSWER, _changed(action=[float('nan')] * 4)),
    _source('policy out of range', UNHARMED, ANSWER, _changed(action=[1e6] * 4)),
    _source('policy jumps', UNHARMED, ANSWER, _jump),
    _source('policy silent', HOLD, ANSWER, _lost, timeout_s=TELEOP.policy_timeout_s),
    _source('joint states silent', HOLD, JOINTS, _lost, timeout_s=JOINTS_S),
    _source('joint states silent in a takeover', HOLD, JOINTS, _lost, timeout_s=JOINTS_S, takeover=True),
    _source('joint states old', HOLD, JOINTS, _old),
    _hang('arm hangs', 'arm_node', TELEOP.arm_timeout_s),
    _hang('recorder hangs', 'recorder_node', TELEOP.recorder_timeout_s),
    _source('camera silent', UNHARMED, CAMERA, _lost),
    _source('camera black', UNHARMED, CAMERA, _changed(data=BLACK)),
)


def strike(live: Live, fault: InputFault) -> Outcome:
    """Inject one fault into an episode of its own, and see the episode to its end."""
    witness = live.witness
    episode = live.begin(takeover=fault.takeover)
    begun = time.monotonic()
    fault.inject(live)
    witness.wait(fault.lasts_s)
    lifted, mode = time.monotonic(), witness.mode
    fault.lift(live)
    outcome = Outcome(fault.name, fault.expected, told=witness.said(begun))
    if fault.expected == HOLD:
        limit_s = fault.timeout_s + live.period_s
        outcome.hold_ms = (witness.last_move(begun, lifted) - begun) * 1e3
        outcome.limit_ms = limit_s * 1e3
        outcome.policy_commands_after = witness.policy_commands(begun + limit_s * (not fault.takeover), lifted)
    elif mode is not (Mode.HUMAN if fault.takeover else Mode.AUTONOMOUS) or outcome.told:
        outcome.violations.append(f'it did harm: mode {mode.name.lower()}, {outcome.told or "nothing was said"}')
    witness.wait(1.0)
    outcome.policy_commands_after += witness.policy_commands(lifted, time.monotonic()) if fault.takeover else 0
    outcome.resumed = _goes_on(live, takeover=fault.takeover)
    path = live.end()
    try:
        outcome.steps_lost = abs(witness.steps[episode] - len(read_episode(path).steps))
        outcome.violations += invariant_report.warnings(path)
    except LearnerError as error:
        outcome.violations.append(str(error))
    return outcome


def _goes_on(live: Live, *, takeover: bool) -> bool:
    """Whether, the fault over, the policy drives again: after a takeover once the person has let go (and, where needed, pressed anew)."""
    live.pad.takeover = False
    live.witness.wait(1.0)
    try:
        if takeover and live.witness.mode is not Mode.AUTONOMOUS:
            live.pad.takeover = True
            live.expect(Mode.HUMAN)
            live.pad.takeover = False
        live.expect(Mode.AUTONOMOUS)
    except BringupError:
        return False
    return True
