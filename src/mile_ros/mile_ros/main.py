"""One way to start and stop a node."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.guard_condition import GuardCondition
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

PR_SET_PDEATHSIG = 1
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def die_with_parent() -> None:
    """Ask Linux for SIGTERM when the parent dies, so that no node outlives its launcher."""
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


class _StopAsked(Exception):  # noqa: N818 - not an error
    """SIGINT or SIGTERM came."""


def run_node(make_node: Callable[[], Node], args: Sequence[str] | None = None) -> int:
    """Initialise rclpy, build the node, spin it until it is asked to stop (SIGINT, SIGTERM), and clean up.

    The request is served between two callbacks, as one of them: so no callback is torn, and what the node still publishes in its
    `destroy_node` goes out. rclpy's own handlers would shut the context down under a callback that is publishing.

    Returns:
        0 after an orderly stop; 2 if the node refused its configuration (one line on standard error).
    """
    die_with_parent()
    stop_asked = _catch_stop_signals()
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    node = None
    over = threading.Event()
    try:
        node = make_node()
        asked = node.create_guard_condition(_stop)
        threading.Thread(target=_await_stop, args=(stop_asked, asked, over), daemon=True).start()
        rclpy.spin(node)
    except (_StopAsked, ExternalShutdownException):
        pass
    except ValueError as error:
        if node is not None:
            raise
        print(error, file=sys.stderr)
        return 2
    finally:
        over.set()
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


def _catch_stop_signals() -> socket.socket:
    """A socket that becomes readable when a stop signal comes, whatever the main thread waits for and whichever thread got it."""
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.detach())
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: None)
    return reader


def _await_stop(stop_asked: socket.socket, asked: GuardCondition, over: threading.Event) -> None:
    stop_asked.recv(1)
    if not over.is_set():
        asked.trigger()


def _stop() -> None:
    raise _StopAsked
