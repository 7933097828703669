"""docker/ without building an image: what its linters say, and whether what the files name is in this repository."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
DOCKER = ROOT / 'docker'
DOCKERFILES = sorted(DOCKER.glob('*.Dockerfile'))
SCRIPTS = sorted([*DOCKER.glob('*.sh'), *ROOT.glob('scripts/*.sh'), ROOT / '.ci/run'])
BIN = Path(sys.prefix, 'bin')
HADOLINT = (str(BIN / 'hadolint'), '--no-color', '--config', str(DOCKER / '.hadolint.yaml'), '-')
SHELLCHECK = (str(BIN / 'shellcheck'), '--color=never', '-')
COMPOSE = (sys.executable, '-m', 'check_jsonschema', '--builtin-schema', 'vendor.compose-spec', '--default-filetype', 'yaml', '-')

AS_IN_THE_IMAGE = """
class Missing:
    def find_spec(self, name, path=None, target=None):
        package = name.partition('.')[0]
        if package in {'rclpy', 'ament_index_python'} or package.startswith('mile_') and package not in INSTALLED:
            raise ModuleNotFoundError(f'not in the image: {name}')
import sys
sys.meta_path.insert(0, Missing())
from mile_bringup.cli import main
assert [main([verb, sys.argv[1]]) for verb in ('train', 'eval', 'inspect')] == [2, 2, 2]
"""


def complaints(tool: tuple[str, ...], text: str) -> str:
    """What a tool says about a text; empty if it accepts it."""
    done = subprocess.run(tool, input=text, capture_output=True, text=True, timeout=60)
    return '' if done.returncode == 0 else f'{done.stdout}{done.stderr}' or f'exit status {done.returncode}'


def instructions(text: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile and their arguments, in order."""
    lines = re.sub(r'(?m)^\s*#.*\n', '', text).replace('\\\n', '').splitlines()
    return [(name.upper(), rest.strip()) for name, _, rest in (line.strip().partition(' ') for line in lines) if name]


def faults(text: str) -> list[str]:
    """What hadolint lets pass: bases without a tag behind an argument, no user, files and programs that are nowhere."""
    found, user, copied, defaults = [], 'root', {}, {}
    for name, rest in instructions(text):
        if name == 'ARG':
            argument, _, defaults[argument] = rest.partition('=')
        elif name == 'FROM':
            base = re.sub(r'\$\{?(\w+)\}?', lambda match: defaults.get(match[1], ''), rest)
            if not re.search(r':(?!latest)[\w.-]+$', base):
                found.append(f'base image {base!r} has no tag')
        elif name == 'COPY':
            *sources, target = rest.split()
            copied |= {target: ROOT / sources[-1]}
            found += [f'{source!r} is not in the repository' for source in sources if not (ROOT / source).exists()]
        elif name == 'ADD':
            found.append(f'adds {rest!r}, which is not in the repository')
        elif name == 'USER':
            user = rest
        elif name == 'ENTRYPOINT':
            program, *_ = json.loads(rest)
            installed = [ROOT / source / 'setup.py' for source in re.findall(r'/tmp/(src/\w+)', text)]
            if program.startswith('/'):
                there = program in copied and os.access(copied[program], os.X_OK)
            else:
                there = any(f"'{program} = " in setup.read_text() for setup in installed)
            if not there:
                found.append(f'starts {program!r}, which is not in the image')
    return found if user.partition(':')[0] not in ('root', '0') else [*found, 'runs as root']


@pytest.mark.parametrize('path', DOCKERFILES, ids=lambda path: path.name)
def test_dockerfiles(path: Path) -> None:
    assert complaints(HADOLINT, path.read_text()) == ''
    assert faults(path.read_text()) == []


@pytest.mark.parametrize('path', SCRIPTS, ids=lambda path: path.name)
def test_shell_scripts(path: Path) -> None:
    assert complaints(SHELLCHECK, path.read_text()) == ''


def test_the_compose_file_keeps_to_the_specification_and_names_what_exists() -> None:
    text = (DOCKER / 'compose.yaml').read_text()
    assert complaints(COMPOSE, text) == ''
    builds = [
        (DOCKER / service['build']['context'] / service['build']['dockerfile']) for service in yaml.safe_load(text)['services'].values()
    ]
    assert {path.resolve() for path in builds} == set(DOCKERFILES)


@pytest.mark.parametrize(
    ('tool', 'text', 'word'),
    [
        (HADOLINT, 'FROM debian:latest\n', 'DL3007'),
        (HADOLINT, 'FROM debian:12\nRUN apt-get update && apt-get install -y --no-install-recommends curl\n', 'DL3009'),
        (HADOLINT, 'FROM debian:12\nRUN ls $HOME\n', 'SC2086'),
        (HADOLINT, 'FROM debian:12\nENTRYPOINT mile\n', 'DL3025'),
        (HADOLINT, 'FROM debian:12\nRUM ls\n', 'unexpected'),
        (SHELLCHECK, '#!/bin/bash\nexec $@\n', 'SC2068'),
        (COMPOSE, 'services: {sim: {image: mile, ntework_mode: host}}\n', 'ntework_mode'),
        (COMPOSE, 'services: {sim: {image: mile, init: [yes]}}\n', 'init'),
    ],
)
def test_the_tools_refuse_what_is_wrong(tool: tuple[str, ...], text: str, word: str) -> None:
    assert word in complaints(tool, text)


@pytest.mark.parametrize(
    ('text', 'fault'),
    [
        ('ARG BASE=ros\nFROM ${BASE}\nUSER 1', "base image 'ros' has no tag"),
        ('FROM ros:jazzy', 'runs as root'),
        ('FROM ros:jazzy\nUSER 0:0', 'runs as root'),
        ('FROM ros:jazzy\nUSER 1\nADD https://a.invalid/b /b', "adds 'https://a.invalid/b /b', which is not in the repository"),
        ('FROM ros:jazzy\nUSER 1\nCOPY src \\\n  nothing /there/', "'nothing' is not in the repository"),
        ('FROM ros:jazzy\nUSER 1\nENTRYPOINT ["/entrypoint.sh"]', "starts '/entrypoint.sh', which is not in the image"),
        ('FROM ros:jazzy\nUSER 1\nCOPY README.md /run\nENTRYPOINT ["/run"]', "starts '/run', which is not in the image"),
        ('FROM ros:jazzy\nUSER 1\nRUN pip install /tmp/src/mile_sim\nENTRYPOINT ["mile"]', "starts 'mile', which is not in the image"),
    ],
)
def test_what_the_linter_lets_pass_is_found(text: str, fault: str) -> None:
    assert faults(text) == [fault]


def test_the_learner_needs_no_package_that_its_image_lacks(tmp_path: Path) -> None:
    installed = set(re.findall(r'/tmp/src/(\w+)', (DOCKER / 'learner.Dockerfile').read_text()))
    program = f'INSTALLED = {installed!r}{AS_IN_THE_IMAGE}'
    done = subprocess.run([sys.executable, '-c', program, str(tmp_path / 'nowhere')], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == 3, 'one line for each verb'
