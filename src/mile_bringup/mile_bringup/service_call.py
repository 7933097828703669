"""Calls a service until it accepts: again while nobody offers it, while it refuses, and where an answer may have been lost."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from rclpy.client import Client
from rclpy.task import Future

RETRY_S = 0.5
REFUSAL_TIMEOUT_S = 30.0


class ServiceCall:
    """One call: `poll` until the service has accepted it."""

    def __init__(
        self,
        client: Client,
        request: Any,
        *,
        offered_by: str,
        startup_timeout_s: float,
        reply_timeout_s: float,
        again_s: float,
        expect: Callable[[float, str], None],
        patient: Callable[[], bool],
        on_refusal: Callable[[str, bool], None],
        on_accepted: Callable[[Any], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Args: for how long, and what is called.

        offered_by: the node whose log tells more.
        startup_timeout_s: so long the service may be missing [s].
        reply_timeout_s: so long an answer may take [s].
        again_s: so long without an answer, and the request is sent again [s].
        expect: with a deadline on `clock` [s] and why there is one.
        patient: whether a refusal may last for ever.
        on_refusal: with what the service says, and whether it has said so before.
        on_accepted: once, with the answer.
        """
        self._client, self._request, self._offered_by = client, request, offered_by
        self._reply_timeout_s, self._again_s = reply_timeout_s, again_s
        self._expect, self._patient, self._on_refusal, self._on_accepted, self._clock = expect, patient, on_refusal, on_accepted, clock
        self._give_up = clock() + startup_timeout_s
        self._accepted = False
        self._not_before = -math.inf
        self._asked_at: float | None = None
        self._refusing_since: float | None = None

    def poll(self) -> None:
        """Send the request if it is time to."""
        now, name = self._clock(), self._client.srv_name
        if not self._client.service_is_ready():
            self._expect(self._give_up, f'{name}: nobody offers this service; see the log of {self._offered_by}')
        elif now >= self._not_before:
            self._not_before = now + self._again_s
            self._asked_at = now if self._asked_at is None else self._asked_at
            self._expect(self._asked_at + self._reply_timeout_s, f'{name}: no answer; see the log of {self._offered_by}')
            self._client.call_async(self._request).add_done_callback(self._on_reply)

    def _on_reply(self, future: Future) -> None:
        if self._accepted:
            return
        answer, now = future.result(), self._clock()
        if answer.accepted:
            self._accepted = True
            self._on_accepted(answer)
            return
        self._on_refusal(answer.message, self._refusing_since is not None)
        if self._refusing_since is None or self._patient():
            self._refusing_since = now
        self._expect(self._refusing_since + REFUSAL_TIMEOUT_S, f'{self._client.srv_name} refuses: {answer.message}')
        self._not_before, self._asked_at = now + RETRY_S, None
