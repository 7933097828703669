"""Processes of this machine that work for this one."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any


def make_pool(workers: int, prepare: Callable[..., None] | None = None, *arguments: Any) -> ProcessPoolExecutor:
    """Fresh processes (nothing is forked from this one) that end when this process does; each calls `prepare(*arguments)` first."""
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context('spawn'), initializer=_begin, initargs=(prepare, arguments))


def _begin(prepare: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    """No reaction to Ctrl-C, which is the parent's affair; an end when the parent ends, even by kill -9."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
    if prepare is not None:
        prepare(*arguments)
