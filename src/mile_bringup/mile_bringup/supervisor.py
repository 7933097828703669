"""Starts processes, keeps their logs, notices the first that ends, and stops them all: SIGINT, then SIGTERM, then SIGKILL."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType

from mile_bringup.errors import BringupError

PR_SET_PDEATHSIG = 1
GRACE_S = {signal.SIGINT: 8.0, signal.SIGTERM: 3.0, signal.SIGKILL: 5.0}
"""How long each signal is given before the next, harder one [s]."""


@dataclass(frozen=True)
class Command:
    """One process to run.

    Attributes:
        name: unique; names the log file.
        argv: program and arguments.
        required: whether its end ends everything.
    """

    name: str
    argv: tuple[str, ...]
    required: bool = True


@dataclass(frozen=True)
class Ended:
    """A required process that is no more."""

    name: str
    returncode: int

    @property
    def how(self) -> str:
        """In words: 'exit code 2', 'killed by SIGSEGV'."""
        if self.returncode >= 0:
            return f'exit code {self.returncode}'
        return f'killed by {signal.Signals(-self.returncode).name}'


class Supervisor:
    """Runs commands as child processes; as a context manager it leaves none behind.

    Each child is a session of its own, so that Ctrl-C in the terminal reaches it through `stop` alone, in order; and the kernel
    sends it SIGTERM when the thread that called `start` dies, so that even a killed supervisor leaves no orphans.

    Args:
        commands: what to run.
        log_dir: folder for `<name>.log`, appended to.
        environment: the children's whole environment.
        grace_s: how long each signal is given before the next one [s].
    """

    def __init__(
        self,
        commands: Sequence[Command],
        *,
        log_dir: Path,
        environment: Mapping[str, str],
        grace_s: Mapping[signal.Signals, float] = GRACE_S,
    ) -> None:
        names = [command.name for command in commands]
        if len(set(names)) != len(names):
            msg = f'processes: got names {names}, expected them to be unique'
            raise BringupError(msg)
        self._commands = tuple(commands)
        self._log_dir = log_dir
        self._environment = dict(environment)
        self._grace_s = dict(grace_s)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start everything.

        Raises:
            BringupError: a program cannot be started; what was started before it is stopped.
        """
        self._log_dir.mkdir(parents=True, exist_ok=True)
        for command in self._commands:
            with self.log_path(command.name).open('ab') as log:
                log.write(f'--- {datetime.now().astimezone().isoformat(timespec="seconds")} {" ".join(command.argv)}\n'.encode())
                log.flush()
                try:
                    self._processes[command.name] = subprocess.Popen(
                        command.argv,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        env=self._environment,
                        start_new_session=True,
                        preexec_fn=tied_to_this_process(),
                    )
                except OSError as error:
                    self.stop()
                    msg = f'{command.name}: cannot start {command.argv[0]} ({error.strerror}); build the workspace, then try again'
                    raise BringupError(msg) from error

    def log_path(self, name: str) -> Path:
        """Where the output of process `name` goes."""
        return self._log_dir / f'{name}.log'

    def tail(self, name: str, lines: int = 12) -> str:
        """The last lines of a process's log."""
        text = self.log_path(name).read_text(encoding='utf-8', errors='replace')
        return '\n'.join(text.splitlines()[-lines:])

    def pids(self) -> dict[str, int]:
        """Process ids by name."""
        return {name: process.pid for name, process in self._processes.items()}

    def ended(self) -> Ended | None:
        """The first required process found to have ended; one that failed before one that succeeded."""
        codes = {command.name: self._processes[command.name].poll() for command in self._commands if command.required}
        found = [Ended(name, code) for name, code in codes.items() if code is not None]
        return max(found, key=lambda one: one.returncode != 0, default=None)

    def stop(self) -> None:
        """Stop everything that still runs; returns when all are gone."""
        for number, grace_s in self._grace_s.items():
            alive = [process for process in self._processes.values() if process.poll() is None]
            for process in alive:
                _signal_group(process.pid, number)
            deadline = time.monotonic() + grace_s
            for process in alive:
                _wait(process, deadline)

    def __enter__(self) -> Supervisor:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


def tied_to_this_process() -> Callable[[], None]:
    """What a child runs before its program: ask the kernel for SIGTERM when this process dies."""
    parent = os.getpid()
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def tie() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return tie


def _signal_group(pid: int, number: signal.Signals) -> None:
    """Signal the process group that `pid` leads, if any of it is left."""
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return


def _wait(process: subprocess.Popen[bytes], deadline: float) -> None:
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return
