"""The repository's own rules: what is locked, declared, installed and imported agrees, and no file grows without end."""

import ast
import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import setuptools  # noqa: F401  (puts its distutils, which run_setup needs, in place)
from catkin_pkg.package import parse_package

from distutils.core import run_setup  # isort: skip

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = sorted(path.parent for path in ROOT.glob('src/*/package.xml'))
PYTHON_PACKAGES = [package for package in PACKAGES if (package / 'setup.py').exists()]
SOURCES = sorted(path for folder in ('src', 'launch', 'scripts') for path in (ROOT / folder).rglob('*.py') if 'ros2_ws' not in path.parts)
LONGEST_FILE = 350
LONGEST_TEST = 400

# The packages that each may import besides itself; teleop and policy_node meet on topics only.
MAY_IMPORT = {
    'mile_learner': {'mile_ros', 'mile_msgs'},
    'mile_ros': {'mile_msgs'},
    'mile_policy_node': {'mile_ros', 'mile_learner', 'mile_msgs'},
    'mile_teleop': {'mile_ros', 'mile_learner', 'mile_msgs'},
    'mile_sim': {'mile_teleop', 'mile_policy_node', 'mile_ros', 'mile_learner', 'mile_msgs'},
    'mile_bringup': {'mile_sim', 'mile_teleop', 'mile_policy_node', 'mile_ros', 'mile_learner', 'mile_msgs'},
}
ROS_MODULES = {'rclpy', 'sensor_msgs', 'std_msgs', 'std_srvs', 'builtin_interfaces', 'rcl_interfaces', 'action_msgs', 'ament_index_python'}
OURS = {package.name for package in PACKAGES}


def name_of(package: Path) -> str:
    return package.name


def distribution(package: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The setuptools distribution that a package's setup.py declares."""
    monkeypatch.chdir(package)
    return run_setup('setup.py', stop_after='init')


def imported(path: Path) -> set[str]:
    """Top-level names of everything that a file imports, at its head or inside a function."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition('.')[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition('.')[0])
    return names


@pytest.mark.parametrize('path', sorted((ROOT / 'requirements').iterdir()), ids=lambda path: path.name)
def test_requirements_name_no_index_and_no_host(path: Path) -> None:
    address = r'(?m)\w+://\S+|^\s*-{1,2}(?:i|f|index-url|extra-index-url|find-links|trusted-host)\b.*|.* @ .*'
    assert re.findall(address, path.read_text()) == []


@pytest.mark.parametrize('lock', ['lock.txt', 'robot.txt', 'robot_export.txt', 'bootstrap.txt'])
def test_every_locked_requirement_is_exact_and_hashed(lock: str) -> None:
    entries = re.split(r'\n(?=\S)', re.sub(r'(?m)^#.*\n', '', (ROOT / 'requirements' / lock).read_text()))
    assert [entry for entry in entries if '==' not in entry or '--hash=sha256:' not in entry] == []


def test_the_lock_covers_every_named_requirement() -> None:
    names = {
        re.split(r'[^\w.-]', line, maxsplit=1)[0].lower()
        for path in (ROOT / 'requirements').glob('*.in')
        if path.stem not in ('bootstrap', 'robot', 'robot_export')
        for line in path.read_text().splitlines()
        if line and not line.startswith('#')
    }
    locked = set(re.findall(r'(?m)^([\w.-]+)==', (ROOT / 'requirements/lock.txt').read_text()))
    assert names - locked == set()


@pytest.mark.parametrize('package', PACKAGES, ids=name_of)
def test_package_manifest_is_valid(package: Path) -> None:
    warnings: list[str] = []
    manifest = parse_package(str(package / 'package.xml'), warnings=warnings)
    assert manifest.name == package.name
    assert warnings == []


@pytest.mark.parametrize('package', PYTHON_PACKAGES, ids=name_of)
def test_manifest_and_setup_agree(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest, declared = parse_package(str(package / 'package.xml')), distribution(package, monkeypatch).metadata
    assert (declared.name, declared.version, declared.description) == (manifest.name, manifest.version, manifest.description)
    assert (declared.license, declared.maintainer_email) == (manifest.licenses[0], manifest.maintainers[0].email)


@pytest.mark.parametrize('package', PYTHON_PACKAGES, ids=name_of)
def test_console_scripts_resolve_and_node_files_have_one(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = distribution(package, monkeypatch).entry_points['console_scripts']
    scripts = dict(script.replace(' ', '').split('=') for script in declared)
    for name, target in scripts.items():
        module, _, function = target.partition(':')
        assert callable(getattr(importlib.import_module(module), function)), name
    nodes = {path.stem: f'{package.name}.{path.stem}:main' for path in (package / package.name).glob('*_node.py')}
    assert {name: scripts.get(name) for name in nodes} == nodes


@pytest.mark.parametrize('folder', ['launch', 'config'])
def test_launch_and_config_files_are_installed(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = dict(distribution(ROOT / 'src/mile_bringup', monkeypatch).data_files)[f'share/mile_bringup/{folder}']
    assert {Path(name).name for name in installed} == {path.name for path in (ROOT / folder).iterdir() if path.is_file()} != set()


@pytest.mark.parametrize('package', PYTHON_PACKAGES, ids=name_of)
def test_imports_point_one_way_and_are_declared(package: Path) -> None:
    manifest = parse_package(str(package / 'package.xml'))
    declared = {dependency.name for dependency in manifest.exec_depends}
    for path in (package / package.name).rglob('*.py'):
        names = imported(path) - {package.name}
        assert {name for name in names if name.startswith('mile_')} <= MAY_IMPORT[package.name], path
        assert names & (ROS_MODULES | OURS) <= declared, f'{path}: not declared in package.xml'
        if package.name == 'mile_learner' and not path.stem.endswith('_node'):
            assert not names & (ROS_MODULES | OURS), f'{path}: the learner is free of ROS'


@pytest.mark.parametrize('package', PYTHON_PACKAGES, ids=name_of)
def test_everything_in_a_package_is_installed(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = distribution(package, monkeypatch).get_command_obj('build_py')
    build.ensure_finalized()
    modules = {Path(name) for _, _, name in build.find_all_modules()}
    data = {Path(folder, name) for _, folder, _, names in build.data_files for name in names}
    present = {path for path in Path(package.name).rglob('*') if path.is_file() and '__pycache__' not in path.parts}
    assert present - modules - data == set()


def test_files_stay_short() -> None:
    lines = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in SOURCES}
    assert {name: count for name, count in lines.items() if count > (LONGEST_TEST if '/test/' in name else LONGEST_FILE)} == {}
