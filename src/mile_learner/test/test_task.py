"""What a task's file may say: somebody else's run folder brings its own."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from mile_learner.config import ConfigError
from mile_learner.errors import LearnerError
from mile_learner.evaluate import make_environment
from mile_learner.task import TaskConfig

TASK = yaml.safe_load((Path(__file__).parents[3] / 'config' / 'task_block_insertion.yaml').read_text())


@pytest.mark.parametrize('name', ['../../evil', 'a/b', '', '.hidden', 'a b'])
def test_a_name_that_would_lead_out_of_a_folder_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r'name: got .* expected letters, digits, _ and -'):
        TaskConfig.from_mapping(TASK | {'name': name})


@pytest.mark.parametrize('environment', ['this:Foo-v0', 'os:mile/BlockInsertion-v0', 'a/b/c', ''])
def test_an_environment_that_would_import_a_module_is_refused(environment: str) -> None:
    with pytest.raises(ConfigError, match=r'environment: got .* expected the id of an environment'):
        TaskConfig.from_mapping(TASK | {'environment': environment})


def test_an_environment_that_takes_other_options_is_one_line() -> None:
    with pytest.raises(LearnerError, match=r"environment 'CartPole-v1' .*unexpected keyword argument"):
        make_environment('CartPole-v1', None, {'history': 4})
