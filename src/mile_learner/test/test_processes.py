"""Processes that work for another: Ctrl-C is for that one alone, whenever it comes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

SLOW = """
import os, pathlib, time
if 'CHILD' in os.environ:
    pathlib.Path('importing').touch()
    time.sleep(1.0)
def prepare(): pass
"""
MAIN = """
import os, signal
import slow
from mile_learner.processes import make_pool
if __name__ == '__main__':
    os.environ['CHILD'] = ''
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background of a script inherits that it is ignored
    try:
        with make_pool(2, slow.prepare) as pool:
            print(list(pool.map(abs, [-1, -2])))
    except KeyboardInterrupt:
        print('interrupted')
"""


def test_ctrl_c_while_they_import_is_the_parents_affair(tmp_path: Path) -> None:
    (tmp_path / 'slow.py').write_text(SLOW)
    (tmp_path / 'main.py').write_text(MAIN)
    with subprocess.Popen(
        [sys.executable, 'main.py'], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        while not (tmp_path / 'importing').exists():
            assert process.poll() is None
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        assert process.communicate(timeout=30) == ('interrupted\n', '')
    assert process.returncode == 0
