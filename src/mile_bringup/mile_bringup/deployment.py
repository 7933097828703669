"""The options of a deployment, declared once for `mile deploy`, `deploy.launch.py` and run.yaml."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_type_hints

from mile_bringup.errors import UsageError
from mile_learner.config import Config, ConfigError, option, read_yaml_mapping
from mile_learner.encoders import ENCODERS
from mile_learner.layout import ARM_ENTRIES
from mile_learner.run_folder import DEMONSTRATE, DEPLOY, SHOW
from mile_learner.task import TaskConfig

ARMS = ('sim', 'xs')
OPERATORS = ('sim', 'joystick')
MODES = (DEPLOY, DEMONSTRATE, SHOW)
LONGEST_NAME = 40
FILES = ('task', 'arm_file', 'pad', 'learner', 'params_file')
"""Options that are a name or a path."""
FIXED = ('task', 'observation', 'encoder', 'rate', 'time_limit', 'seed')
"""Options that a run keeps for its whole life."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Deployment(Config):
    """Options of one run."""

    mode: str = option(
        DEPLOY,
        doc='deploy: the policy drives, the operator takes over; demonstrate: the operator alone, without a policy; show: the policy alone',
        choices=MODES,
    )
    task: str = option('block_insertion', doc='task: a name (config/task_NAME.yaml) or the path of a YAML file')
    arm: str = option('sim', doc='driver of the arm: simulated, or Interbotix xs_sdk', choices=ARMS)
    arm_file: str = option('wx250s', doc='arm: a name (config/arm_NAME.yaml) or the path of a YAML file')
    fake_hardware: bool = option(False, doc='with arm xs: fake motors, in the simulated world')
    observation: str = option('state', doc='what the policy consumes: the state, or arm and camera image', choices=('state', 'pixels'))
    encoder: str = option('efficientnet_lite0', doc='encoder of the camera image, with observation pixels', choices=tuple(ENCODERS))
    operator: str = option('sim', doc='who presses the pad: a simulated person, or you', choices=OPERATORS)
    operator_name: str = option('', doc='name or pseudonym of who holds the pad, recorded with every episode; empty: unnamed')
    pad: str = option('ps3', doc='pad: a name (config/pad_NAME.yaml) or the path of a YAML file')
    learner: str = option(
        '',
        doc='what trains: a name (config/learner_NAME.yaml) or the path of a YAML file; empty: mile, for a policy that looks mile_pixels',
    )
    iterations: int = option(6, doc='iterations, with training after each', ge=1, le=100)
    episodes: int = option(3, doc='episodes per iteration; or how many to demonstrate or show', ge=1, le=1000)
    rate: float = option(0.0, doc="control rate [Hz], 5 to 50, at the task's speed of motion; 0: the task's own rate", ge=0.0, le=50.0)
    time_limit: float = option(0.0, doc="an episode is over after this long [s]; 0: the task's own limit", ge=0.0, le=3600.0)
    speed: float = option(1.0, doc='times real time at which the simulated arm and operator run', ge=0.1, le=50.0)
    seed: int = option(0, doc='of initial policy, start states, simulated operator and training', ge=0, le=2**31 - 1)
    namespace: str = option('mile', doc='ROS namespace of all nodes')
    params_file: str = option(
        '',
        doc='path of a ROS parameter file that counts before everything else, /mile/teleop_node: {ros__parameters: {pad_timeout_s: 0.4}}',
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_operator_name(self.operator_name)
        if not re.fullmatch(r'[A-Za-z][A-Za-z0-9_]*', self.namespace):
            msg = f'namespace: got {self.namespace!r}, expected a letter, and then letters, digits and underscores'
            raise ConfigError(msg)
        if self.fake_hardware and self.arm != 'xs':
            msg = f"fake_hardware: got arm {self.arm!r}, expected 'xs'; only its motors have a fake"
            raise ConfigError(msg)
        if self.real_arm and (self.speed != 1.0 or self.operator != 'joystick'):
            got = f'speed {self.speed:g} and operator {self.operator!r}'
            msg = f"arm {self.arm!r}: got {got}, expected 1 and 'joystick' with a real arm; or use fake hardware"
            raise ConfigError(msg)

    @property
    def real_arm(self) -> bool:
        """Whether motors move."""
        return self.arm != 'sim' and not self.fake_hardware

    @classmethod
    def of_run(cls, run_file: Path, given: Mapping[str, Any]) -> Deployment:
        """What a run was started with, and `given` options instead of that.

        Raises:
            UsageError: an option differs that a run keeps for its whole life.
            ConfigError: run.yaml is damaged, or values are out of range.
        """
        given = absolute_files(given)
        stored = cls.from_mapping(read_yaml_mapping(run_file).get('deployment', {}), source=str(run_file))
        for name in FIXED:
            if name in given and given[name] != getattr(stored, name):
                was = getattr(stored, name)
                msg = f'{run_file}: got {name} {given[name]!r}, but this run has {was!r}; leave the option out, or start a new run'
                raise UsageError(msg)
        return dataclasses.replace(stored, **given)

    def remembered(self) -> Deployment:
        """What a run keeps of the options it was started with: not how many episodes were to be demonstrated or shown."""
        if self.mode == DEPLOY:
            return self
        return dataclasses.replace(self, mode=DEPLOY, episodes=Deployment().episodes)

    @classmethod
    def parse(cls, texts: Mapping[str, str]) -> dict[str, Any]:
        """Typed values of options given as text; those that have their default are left out.

        Raises:
            ConfigError: not a number, or not true or false, where one is expected.
        """
        hints = get_type_hints(cls)
        values = {}
        for field in dataclasses.fields(cls):
            text = texts[field.name]
            try:
                value = {'true': True, 'false': False}[text.lower()] if hints[field.name] is bool else hints[field.name](text)
            except (ValueError, KeyError):
                msg = f'{field.name}: got {text!r}, expected {hints[field.name].__name__}: {field.metadata["doc"]}'
                raise ConfigError(msg) from None
            if value != field.default:
                values[field.name] = value
        return values

    def resolved_task(self) -> TaskConfig:
        """The task with this deployment's observation, rate and time limit; a full-scale action keeps its speed [m/s].

        Raises:
            ConfigError, UsageError: no such task, or values out of range.
        """
        task = TaskConfig.from_yaml(config_file('task', self.task))
        if self.observation == 'pixels':
            # No history: four images in a row would quadruple the network's inputs and tell little more.
            layout = (*ARM_ENTRIES, ENCODERS[self.encoder].entry)
            task = dataclasses.replace(task, observation_layout=layout, history=1)
        if self.rate:
            scale = task.rate_hz / self.rate
            task = dataclasses.replace(
                task, rate_hz=self.rate, step_size_m=task.step_size_m * scale, gripper_step_m=task.gripper_step_m * scale
            )
        return dataclasses.replace(task, time_limit_s=self.time_limit) if self.time_limit else task


def absolute_files(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options with every path absolute: a run may be resumed from another folder."""
    return {name: str(named_path(value) or value) if name in FILES else value for name, value in given.items()}


def named_path(name: str) -> Path | None:
    """The path from the root, where a file is named by its path and not by what it is called in config/."""
    return Path(name).expanduser().absolute() if name.endswith(('.yaml', '.yml')) else None


def check_operator_name(name: str) -> None:
    """Whether a name can be told apart wherever it is written down: on a command line, in YAML, in a bag's metadata; empty is one, too.

    Raises:
        ConfigError: it cannot.
    """
    if name and not (name[0].isalpha() and name.isprintable() and name == name.strip() and len(name) <= LONGEST_NAME):
        msg = f'operator_name: got {name[:80]!r}, expected a letter first, no space at the end, and {LONGEST_NAME} characters at most'
        raise ConfigError(msg)


def config_dir() -> Path:
    """Where the configuration files are: next to the sources, or below the prefix that colcon or pip installed into; needs no ROS."""
    module = Path(__file__).resolve()
    folders = module.parents[1] / 'config', module.parents[4] / 'share' / 'mile_bringup' / 'config'
    for folder in folders:
        if (folder / 'task_block_insertion.yaml').is_file():
            return folder
    msg = f'configuration: expected the files of mile_bringup in {" or ".join(map(str, folders))}; build the workspace again'
    raise UsageError(msg)


def config_file(concern: str, name: str) -> Path:
    """The file of `name` (config/<concern>_<name>.yaml), or `name` itself if it is a path.

    Raises:
        UsageError: there is no such file; says which names there are.
    """
    path = named_path(name) or config_dir() / f'{concern}_{name}.yaml'
    if not path.is_file():
        names = sorted(file.stem.removeprefix(f'{concern}_') for file in config_dir().glob(f'{concern}_*.yaml'))
        known = f'{" or ".join(names)}, or ' if names else ''
        msg = f'{concern}: got {name!r}, expected {known}the path of a .yaml file'
        raise UsageError(msg)
    return path
