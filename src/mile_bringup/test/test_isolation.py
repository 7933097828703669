"""Two deployments on one host do not mix."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import rclpy

from mile_bringup.cli_deploy import refuse_a_second
from mile_bringup.errors import UsageError
from mile_bringup.graph import NodeSpec
from mile_bringup.isolation import claim_domain, lock_run
from mile_bringup.monitor import Monitor


def test_each_deployment_gets_a_domain_of_its_own_and_gives_it_back() -> None:
    first, second = claim_domain({}, 'mile'), claim_domain({}, 'mile')
    assert first.domain != second.domain
    first.socket.close()
    third = claim_domain({}, 'mile')
    assert third.domain == first.domain
    second.socket.close()
    third.socket.close()


def test_a_domain_that_the_user_names_is_shared_by_namespaces_only() -> None:
    environment = {'ROS_DOMAIN_ID': '81'}
    left, right = claim_domain(environment, 'left'), claim_domain(environment, 'right')
    assert left.domain == right.domain == 81
    with pytest.raises(UsageError, match="another deployment runs in ROS domain 81 with namespace 'left'"):
        claim_domain(environment, 'left')
    left.socket.close()
    right.socket.close()


@pytest.mark.parametrize('value', ['x', '-1', '233'])
def test_a_domain_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(UsageError, match='expected 0 to 232'):
        claim_domain({'ROS_DOMAIN_ID': value}, 'mile')


def test_a_run_is_worked_on_by_one_at_a_time(tmp_path: Path) -> None:
    lock = lock_run(tmp_path)
    with pytest.raises(UsageError, match='another `mile deploy` works on this run'):
        lock_run(tmp_path)
    os.close(lock)
    os.close(lock_run(tmp_path))


@pytest.mark.ros
def test_a_second_deployment_is_found_by_its_nodes_where_no_claim_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    context = rclpy.Context()
    context.init(domain_id=57)
    mine = [NodeSpec('mile_teleop', 'teleop_node', 'teleop_node', 'first'), NodeSpec('mile_sim', 'sim_node', 'sim_node', 'first')]
    with Monitor(domain=57, namespace='first') as monitor:
        refuse_a_second(monitor, mine, 57, seconds=0.5)
        first = rclpy.create_node('teleop_node', namespace='first', context=context)
        with pytest.raises(UsageError, match="another deployment runs in ROS domain 57, namespace 'first': teleop_node; stop it"):
            refuse_a_second(monitor, mine, 57, seconds=20.0)
        other = [NodeSpec('mile_teleop', 'teleop_node', 'teleop_node', 'second')]
        refuse_a_second(monitor, other, 57, seconds=0.5)
    first.destroy_node()
    context.try_shutdown()
