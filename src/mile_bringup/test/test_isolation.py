"""Two deployments on one host do not mix."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mile_bringup.errors import UsageError
from mile_bringup.isolation import claim_domain, lock_run


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
