"""What Humble's rclpy lacks may not be needed: the vendor's workspace is made for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.ros
NODES = (
    *('mile_teleop.teleop_node', 'mile_teleop.recorder_node', 'mile_teleop.pad_node', 'mile_policy_node.arm_node'),
    *('mile_policy_node.policy_node', 'mile_policy_node.camera_node', 'mile_learner.learner_node', 'mile_bringup.session_node'),
)
AS_IN_HUMBLE = f"""
import builtins
import importlib
import rclpy.event_handler
import rclpy.subscription
import sys

import_module = builtins.__import__


def as_in_humble(name, context=None, *rest):
    if name == 'rclpy.event_handler' and context['__name__'].startswith('mile_'):
        raise ModuleNotFoundError(name)
    return import_module(name, context, *rest)


sys.modules['rclpy.qos_event'] = rclpy.event_handler
del rclpy.subscription.Subscription.get_publisher_count
builtins.__import__ = as_in_humble
for name in {NODES}:
    importlib.import_module(name)
print('imported')
"""


def test_every_node_of_a_robot_can_be_imported_with_humbles_rclpy() -> None:
    result = subprocess.run([sys.executable, '-c', AS_IN_HUMBLE], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout.strip()) == (0, 'imported'), result.stderr
