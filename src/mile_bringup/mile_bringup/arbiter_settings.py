"""What the arbiter really runs with, asked of itself: a parameter file counts before config/teleop.yaml, and bags must say what counted."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from rcl_interfaces.srv import GetParameters
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python
from rclpy.task import Future

from mile_teleop.arbiter_config import ArbiterConfig

ASK_AGAIN_S = 1.0
NAMES = [field.name for field in dataclasses.fields(ArbiterConfig)]


class ArbiterSettings:
    """Asks teleop_node for its parameters until it has answered."""

    def __init__(self, node: Node) -> None:
        self._client = node.create_client(GetParameters, 'teleop_node/get_parameters')
        self._asked_at = -math.inf
        self.values: Mapping[str, Any] | None = None
        """Those of `ArbiterConfig`; None until they are known."""

    def ask(self, now: float) -> None:
        """To be called again and again at times `now` [s, monotonic]."""
        if self.values is None and self._client.service_is_ready() and now - self._asked_at > ASK_AGAIN_S:
            self._asked_at = now
            self._client.call_async(GetParameters.Request(names=NAMES)).add_done_callback(self._on_answer)

    def _on_answer(self, future: Future) -> None:
        values = map(parameter_value_to_python, future.result().values)
        self.values = ArbiterConfig(**dict(zip(NAMES, values, strict=True))).to_mapping()
