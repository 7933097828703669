"""How long a takeover takes to reach the arm, how even the ticks are, and that the policy is silent after a takeover.

Every part is a process of its own, as in a deployment: the real teleop_node between a pad (this process), a stand-in for the policy
and one for the arm. Beside it, in the same run and interleaved with the takeovers, a raw relay of two hops gives the least that
rclpy and DDS take for the same way: pad -> relay -> arm. Times are taken from the host's monotonic clock, which all processes share.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from mile_msgs.msg import ArmState, Command, CommandResult, PolicyOutput, Step, TeleopStatus, Tick
from mile_msgs.srv import StartEpisode, StopEpisode
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import Joy
from std_msgs.msg import UInt32
from tqdm import tqdm

from mile_bringup.cli_common import Report, finite, table
from mile_bringup.deployment import Deployment, config_file
from mile_bringup.errors import BringupError
from mile_bringup.graph import NodeSpec
from mile_bringup.isolation import claim_domain
from mile_bringup.processes import node_command, node_environment
from mile_bringup.supervisor import Command as Process
from mile_bringup.supervisor import Supervisor
from mile_learner.step import Mode, Source
from mile_ros.main import run_node
from mile_ros.qos import COMMAND, LATCHED, RECORD, SENSOR, TURN
from mile_ros.stamps import to_seconds, to_stamp
from mile_teleop.pad import PadConfig, PadMapping

NAMESPACE = 'mile_bench'
PATIENCE_S = 60.0
HOLD_S = 0.15
RATES_HZ = (10.0, 50.0)


def run(*, repeats: int = 100, seconds: float = 10.0) -> dict[str, Any]:
    """Measure.

    Args:
        repeats: takeovers, and as many messages through the relay.
        seconds: how long the ticks are watched at each rate [s].

    Returns:
        takeover_ms and relay_ms (p50, p99, max, n), p99_ratio, policy_commands_after_takeover, takeovers_lost, and per rate the jitter
        of the ticks (absolute deviation of their distance from the period) [ms] and how many were missed.

    Raises:
        BringupError: a process did not start.
    """
    folder = Path(tempfile.mkdtemp(prefix='mile_bench_'))
    result: dict[str, Any] = {}
    ticks = {}
    with tqdm(total=repeats + len(RATES_HZ), unit='', desc='latency', file=sys.stderr) as progress:
        for rate_hz in RATES_HZ:
            with _bench(rate_hz, folder / f'{rate_hz:g}_hz') as pad:
                for _ in range(0 if result else repeats):
                    pad.take_over()
                    progress.update()
                ticks[f'{rate_hz:g}'] = pad.watch_ticks(seconds, 1.0 / rate_hz)
                progress.update()
            result = result or latencies(pad.presses, pad.probes, json.loads(pad.log.read_text(encoding='utf-8')))
    shutil.rmtree(folder)
    return result | {'ticks': ticks}


def measure() -> Report:
    """The verb `mile bench latency`: fails if the policy commanded after a takeover, or a takeover never arrived."""
    data = finite(run())
    rows = [[name, *(data[name][key] for key in ('n', 'p50', 'p99', 'max'))] for name in ('takeover_ms', 'relay_ms')]
    ticks = [[f'{rate} Hz', *(one[key] for key in ('n', 'p50', 'p99', 'max', 'missed'))] for rate, one in data['ticks'].items()]
    text = '\n\n'.join(
        (
            table(('', 'n', 'p50', 'p99', 'max'), rows),
            table(('tick jitter [ms]', 'n', 'p50', 'p99', 'max', 'missed'), ticks),
            f'p99 of a takeover: {data["p99_ratio"]:.2f} times that of the raw relay (goal: 2)\n'
            f'policy commands after a takeover: {data["policy_commands_after_takeover"]}; takeovers lost: {data["takeovers_lost"]}',
        )
    )
    return Report(data, text, code=int(bool(data['policy_commands_after_takeover'] or data['takeovers_lost'])))


def latencies(presses: Sequence[tuple[int, int]], probes: Sequence[int], log: dict[str, list[tuple[int, int]]]) -> dict[str, Any]:
    """From what the pad did and the arm received; all times monotonic [ns].

    Args:
        presses: when the takeover button went down, and when it came up.
        probes: when each message went into the relay.
        log: the arm's: 'commands' as (received, source), 'relayed' as (number of the probe, received).
    """
    received, source = np.array(log['commands'], np.int64).reshape(-1, 2).T
    takeovers, lost, disobeyed = [], 0, 0
    for pressed, released in presses:
        span = (received > pressed) & (received < released)
        human = received[span & (source == Source.HUMAN)]
        if len(human):
            takeovers.append((human[0] - pressed) * 1e-6)
            disobeyed += int(np.sum(span & (received > human[0]) & (source != Source.HUMAN)))
        else:
            lost += 1
    arrived = dict(log['relayed'])
    relay = [(arrived[number] - sent) * 1e-6 for number, sent in enumerate(probes) if number in arrived]
    result = {'takeover_ms': _summary(takeovers), 'relay_ms': _summary(relay)}
    ratio = result['takeover_ms']['p99'] / result['relay_ms']['p99']
    return {**result, 'p99_ratio': ratio, 'policy_commands_after_takeover': disobeyed, 'takeovers_lost': lost}


def _summary(values: Sequence[float]) -> dict[str, float]:
    p50, p99, most = np.percentile(values, (50, 99, 100)) if len(values) else (np.nan,) * 3
    return {'n': len(values), 'p50': float(p50), 'p99': float(p99), 'max': float(most)}


class _Pad:
    """This process: presses the pad, feeds the relay, and listens to the steps."""

    def __init__(self, mapping: PadMapping, context: Context, log: Path) -> None:
        self.log = log
        self.presses: list[tuple[int, int]] = []
        self.probes: list[int] = []
        self._mapping = mapping
        self._node = rclpy.create_node('pad', namespace=NAMESPACE, context=context)
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self._node)
        self._mode = Mode.IDLE
        self._ticks: list[float] = []
        self._takeover = False
        self._joy = self._node.create_publisher(Joy, 'joy', SENSOR)
        self._relay = self._node.create_publisher(Joy, 'relay_in', SENSOR)
        self._node.create_subscription(Step, 'step', lambda step: self._ticks.append(to_seconds(step.header.stamp)), RECORD)
        self._node.create_subscription(TeleopStatus, 'teleop_status', self._on_status, LATCHED)
        self._node.create_timer(0.04, self._speak)

    def start(self) -> None:
        """Wait until everybody is there and the policy drives."""
        self._call(StartEpisode, 'start_episode', episode_id='bench')
        self.until(lambda: self._mode is Mode.AUTONOMOUS and self._relay.get_subscription_count() > 0, 'the policy to drive')
        self.wait(1.0)

    def stop(self) -> None:
        """End the episode."""
        self._call(StopEpisode, 'stop_episode', outcome='aborted')
        self._node.destroy_node()

    def take_over(self) -> None:
        """One takeover at a random phase of the control clock, and one message through the relay at another."""
        self.wait(random.uniform(0.05, 0.15))
        probe = self._message()
        probe.header.frame_id = str(len(self.probes))
        self.probes.append(time.monotonic_ns())
        self._relay.publish(probe)
        self.wait(random.uniform(0.05, 0.15))
        self.until(lambda: self._mode is Mode.AUTONOMOUS, 'the policy to drive again')
        self._takeover = True
        pressed = self._speak()
        self.wait(HOLD_S)
        self._takeover = False
        self.presses.append((pressed, self._speak()))

    def watch_ticks(self, seconds: float, period_s: float) -> dict[str, float]:
        """Jitter [ms] and missed ticks over a time without takeovers."""
        self.wait(2 * period_s)
        self._ticks.clear()
        self.wait(seconds)
        distances = np.diff(self._ticks)
        missed = int(np.sum(np.maximum(np.round(distances / period_s) - 1, 0)))
        return {**_summary((np.abs(distances - period_s) * 1e3).tolist()), 'missed': missed}

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Spin until something holds."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > deadline:
                msg = f'latency: waited {PATIENCE_S:g} s for {what}; see the logs in {self.log.parent}'
                raise BringupError(msg)
            self._executor.spin_once(timeout_sec=0.05)

    def wait(self, seconds: float) -> None:
        """Spin for a while [s]."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left)

    def _call(self, kind: type[Any], name: str, **request: Any) -> None:
        client = self._node.create_client(kind, name)
        self.until(client.service_is_ready, f'service {name}')
        future = client.call_async(kind.Request(**request))
        self.until(future.done, f'an answer of {name}')

    def _on_status(self, status: TeleopStatus) -> None:
        self._mode = Mode(status.mode)

    def _speak(self) -> int:
        """Say what is pressed; when it was said [ns, monotonic]."""
        message = self._message()
        now = time.monotonic_ns()
        self._joy.publish(message)
        return now

    def _message(self) -> Joy:
        axes, buttons = self._mapping.press((0.0, 0.0, 0.0, 0.0), takeover=self._takeover)
        message = Joy(axes=axes, buttons=buttons)
        message.header.stamp = to_stamp(time.time())
        return message


@contextmanager
def _bench(rate_hz: float, folder: Path) -> Iterator[_Pad]:
    """The processes around teleop_node at one rate, with a running episode; the arm's log is in `folder` when they are gone."""
    folder.mkdir()
    task_file, log = folder / 'task.yaml', folder / 'arm.json'
    task = Deployment(rate=rate_hz).resolved_task().to_mapping()
    task_file.write_text(json.dumps(task), encoding='utf-8')
    pad_file = config_file('pad', 'ps3')
    parameters = {'task_file': str(task_file), 'pad_file': str(pad_file), 'hand_back_grace_s': 0.0}
    processes = [node_command(NodeSpec('mile_teleop', 'teleop_node', 'teleop_node', NAMESPACE, parameters), folder)]
    for name in ('arm', 'policy', 'relay'):
        code = f'from mile_bringup.bench_latency import {name}; {name}({str(log)!r})'
        processes.append(Process(name, (sys.executable, '-c', code)))
    claim = claim_domain(os.environ, NAMESPACE)
    environment = node_environment(os.environ, domain=claim.domain, log_dir=folder)
    context = Context()
    with claim.socket, Supervisor(processes, log_dir=folder, environment=environment):
        context.init(domain_id=claim.domain)
        try:
            pad = _Pad(PadMapping(PadConfig.from_yaml(pad_file)), context, log)
            pad.start()
            yield pad
            pad.stop()
        finally:
            context.shutdown()


class _Arm(Node):
    """Confirms every command, and keeps when each arrived; gives the recorder's sign of life, too."""

    def __init__(self) -> None:
        super().__init__('arm', namespace=NAMESPACE)
        self.log: dict[str, list[tuple[int, int]]] = {'commands': [], 'relayed': []}
        self._results = self.create_publisher(CommandResult, 'command_result', RECORD)
        self._states = self.create_publisher(ArmState, 'arm_state', SENSOR)
        self._recorded = self.create_publisher(UInt32, 'recorded', SENSOR)
        self.create_subscription(Command, 'command', self._on_command, COMMAND)
        self.create_subscription(Joy, 'relay_out', self._on_relayed, COMMAND)
        self.create_timer(0.05, self._live)

    def _on_command(self, command: Command) -> None:
        self.log['commands'].append((time.monotonic_ns(), int(command.source)))
        result = CommandResult(episode_id=command.episode_id, index=command.index, source=command.source, accepted=True)
        self._results.publish(result)

    def _on_relayed(self, message: Joy) -> None:
        self.log['relayed'].append((int(message.header.frame_id), time.monotonic_ns()))

    def _live(self) -> None:
        self._states.publish(ArmState(ready=True))
        self._recorded.publish(UInt32())


class _Policy(Node):
    """Answers every tick."""

    def __init__(self) -> None:
        super().__init__('policy', namespace=NAMESPACE)
        self._answers = self.create_publisher(PolicyOutput, 'policy_output', TURN)
        self.create_subscription(Tick, 'tick', self._on_tick, TURN)

    def _on_tick(self, tick: Tick) -> None:
        answer = PolicyOutput(header=tick.header, episode_id=tick.episode_id, index=tick.index, valid=True, observation=[0.0] * 7)
        self._answers.publish(answer)


class _Relay(Node):
    """The least that can stand between a pad and an arm."""

    def __init__(self) -> None:
        super().__init__('relay', namespace=NAMESPACE)
        publisher = self.create_publisher(Joy, 'relay_out', COMMAND)
        self.create_subscription(Joy, 'relay_in', publisher.publish, SENSOR)


def arm(log: str) -> None:
    """Run the arm's stand-in; its log is written when it ends."""
    nodes: list[_Arm] = []

    def make() -> _Arm:
        nodes.append(_Arm())
        return nodes[0]

    run_node(make)
    Path(log).write_text(json.dumps(nodes[0].log), encoding='utf-8')


def policy(_: str) -> None:
    """Run the policy's stand-in."""
    run_node(_Policy)


def relay(_: str) -> None:
    """Run the relay."""
    run_node(_Relay)
