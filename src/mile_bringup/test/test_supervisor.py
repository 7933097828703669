"""The supervisor with small real processes: it notices ends, stops everything, and leaves no orphans even when killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mile_bringup.errors import BringupError
from mile_bringup.supervisor import Command, Supervisor

SLEEP = 'import time; print("up", flush=True); time.sleep(300)'
STUBBORN = """
import signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN); signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
while True: time.sleep(1)
"""
QUICK = {signal.SIGINT: 0.3, signal.SIGTERM: 0.3, signal.SIGKILL: 5.0}


def python(name: str, code: str, *, required: bool = True) -> Command:
    return Command(name, (sys.executable, '-S', '-c', code), required)


def alive(pid: int) -> bool:
    try:
        return Path(f'/proc/{pid}/stat').read_text(encoding='utf-8').rsplit(')', 1)[1].split()[0] != 'Z'
    except FileNotFoundError:
        return False


def wait_for(condition: object, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, 'waited too long'
        time.sleep(0.02)


def test_the_end_of_a_required_process_is_noticed_and_stop_ends_the_rest(tmp_path: Path) -> None:
    commands = [python('stays', SLEEP), python('fails', 'import sys; print("no motor power"); sys.exit(3)')]
    with Supervisor(commands, log_dir=tmp_path, environment=os.environ) as supervisor:
        wait_for(supervisor.ended)
        ended = supervisor.ended()
        assert ended is not None
        assert (ended.name, ended.how) == ('fails', 'exit code 3')
        assert supervisor.tail('fails').splitlines()[-1] == 'no motor power'
        pids = supervisor.pids()
        assert alive(pids['stays'])
    assert not any(alive(pid) for pid in pids.values())


def test_a_failure_is_named_before_an_orderly_end(tmp_path: Path) -> None:
    commands = [python('done', 'pass'), python('crashed', 'import os; os.kill(os.getpid(), 11)')]
    with Supervisor(commands, log_dir=tmp_path, environment=os.environ) as supervisor:
        wait_for(lambda: not any(alive(pid) for pid in supervisor.pids().values()))
        ended = supervisor.ended()
        assert ended is not None
        assert (ended.name, ended.how) == ('crashed', 'killed by SIGSEGV')


def test_the_end_of_an_optional_process_is_not_an_end(tmp_path: Path) -> None:
    commands = [python('stays', SLEEP), python('extra', 'pass', required=False)]
    with Supervisor(commands, log_dir=tmp_path, environment=os.environ) as supervisor:
        wait_for(lambda: not alive(supervisor.pids()['extra']))
        assert supervisor.ended() is None


def test_a_process_deaf_to_sigint_and_sigterm_is_killed(tmp_path: Path) -> None:
    with Supervisor([python('deaf', STUBBORN)], log_dir=tmp_path, environment=os.environ, grace_s=QUICK) as supervisor:
        wait_for(lambda: 'up' in supervisor.tail('deaf').splitlines())
        pid = supervisor.pids()['deaf']
    assert not alive(pid)


def test_a_program_that_is_not_there_is_one_line_and_leaves_nothing_running(tmp_path: Path) -> None:
    supervisor = Supervisor([python('stays', SLEEP), Command('gone', ('/nonexistent/node',))], log_dir=tmp_path, environment=os.environ)
    with pytest.raises(BringupError, match='gone: cannot start /nonexistent/node'):
        supervisor.start()
    assert not alive(supervisor.pids()['stays'])


def test_names_must_be_unique(tmp_path: Path) -> None:
    with pytest.raises(BringupError, match='unique'):
        Supervisor([python('a', 'pass'), python('a', 'pass')], log_dir=tmp_path, environment={})


def test_no_orphans_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    script = tmp_path / 'supervise.py'
    script.write_text(
        'import os, sys, time, pathlib\n'
        'from mile_bringup.supervisor import Command, Supervisor\n'
        f'supervisor = Supervisor([Command("child", (sys.executable, "-S", "-c", {SLEEP!r}))], '
        f'log_dir=pathlib.Path({str(tmp_path)!r}), environment=os.environ)\n'
        'supervisor.start()\n'
        'print(supervisor.pids()["child"], flush=True)\n'
        'time.sleep(300)\n',
        encoding='utf-8',
    )
    source = Path(__file__).resolve().parents[1]
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join([str(source), os.environ.get('PYTHONPATH', '')])}
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, env=environment, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert alive(child)
        process.send_signal(signal.SIGKILL)
        process.wait()
    wait_for(lambda: not alive(child))
