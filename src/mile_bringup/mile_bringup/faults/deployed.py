"""`mile deploy` as a process of its own, with its nodes as children, to be killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

from mile_bringup.errors import BringupError
from mile_bringup.supervisor import tied_to_this_process

DEPLOY = 'deploy'
"""The name of the command itself among the processes."""
STOP_S = 60.0


class Deployed:
    """The command, on one run, started anew each time; a context manager that leaves nothing behind.

    Args:
        run_dir: folder of the run.
        domain: ROS domain.
    """

    def __init__(self, run_dir: Path, domain: int) -> None:
        self.command = ('mile', 'deploy', '--run', str(run_dir))
        self._log = run_dir.with_name(f'{run_dir.name}_deploy.log')
        self._said_before = self._log.stat().st_size if self._log.exists() else 0
        self._environment = {**os.environ, 'ROS_DOMAIN_ID': str(domain)}

    def __enter__(self) -> Deployed:
        with self._log.open('ab') as log:
            argv = (sys.executable, '-m', 'mile_bringup.cli', *self.command[1:])
            self._process = subprocess.Popen(
                argv, env=self._environment, stdout=log, stderr=log, start_new_session=True, preexec_fn=tied_to_this_process()
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait(STOP_S)

    @property
    def code(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._process.poll()

    def check(self) -> None:
        """Raises BringupError if it has ended."""
        if self.code is not None:
            msg = f'faults: {" ".join(self.command)} ended with exit code {self.code}: {self.last_words()}'
            raise BringupError(msg)

    def last_words(self) -> str:
        """The last line it said since it was started."""
        said = self._log.read_bytes()[self._said_before :].decode(errors='replace')
        return said.replace('\r', '\n').strip().rpartition('\n')[2]

    def pids(self) -> dict[str, int]:
        """Process ids of the command and of its nodes, by name."""
        children = Path(f'/proc/{self._process.pid}/task').glob('*/children')
        found = {DEPLOY: self._process.pid}
        for pid in (int(word) for file in children for word in file.read_text().split()):
            argv = Path(f'/proc/{pid}/cmdline').read_bytes().decode().split('\0')
            found |= {Path(argv[argv.index('--ros-args') - 1]).name: pid} if '--ros-args' in argv else {}
        return found


def gone(pids: dict[str, int], seconds: float) -> list[str]:
    """The names of those processes that are still there after so many seconds."""
    end = time.monotonic() + seconds
    while (left := [name for name, pid in pids.items() if _runs(pid)]) and time.monotonic() < end:
        time.sleep(0.05)
    return left


def _runs(pid: int) -> bool:
    """Whether a process is there, and is not dead and only waiting to be counted."""
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except (FileNotFoundError, ProcessLookupError):
        return False
