"""Processes of this machine that work for this one."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any


def make_pool(workers: int, prepare: Callable[..., None] | None = None, *arguments: Any) -> ProcessPoolExecutor:
    """Fresh processes (nothing is forked from this one) that end when this process does; each calls `prepare(*arguments)` first."""
    return ProcessPoolExecutor(workers, mp_context=_Context(), initializer=_begin, initargs=(prepare, arguments))


class _Process(SpawnProcess):
    """Begins with SIGINT blocked, as it imports for seconds before it can say what it makes of Ctrl-C."""

    def start(self) -> None:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Context(SpawnContext):
    Process = _Process


def _begin(prepare: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    """No reaction to Ctrl-C, which is the parent's affair; an end when the parent ends, even by kill -9."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
    if prepare is not None:
        prepare(*arguments)
