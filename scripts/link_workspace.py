"""Makes the environment find the workspace that colcon built into it, from any folder and with no variable set.

Writes one .pth file: `AMENT_PREFIX_PATH` defaults to the environment (ament_index finds packages and node executables), and the packages
that colcon linked (`--symlink-install`) are importable. Links `bin/mile` to the command. Run with the environment's Python.
"""

import sys
import sysconfig
from pathlib import Path

WORKSPACE = Path(__file__).resolve().parent.parent / 'ros2_ws'


def replace_link(link: Path, target: str) -> None:
    """Atomically makes `link` a symbolic link to `target`."""
    temporary = link.with_suffix('.tmp')
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(link)


def main() -> None:
    packages = sorted(str(setup.parent) for setup in WORKSPACE.glob('build/*/setup.py'))
    lines = ["import os, sys; os.environ.setdefault('AMENT_PREFIX_PATH', sys.prefix)", *packages]
    path = Path(sysconfig.get_paths()['purelib'], 'mile_workspace.pth')
    temporary = path.with_suffix('.tmp')
    temporary.write_text('\n'.join(lines) + '\n')
    temporary.replace(path)
    replace_link(Path(sys.prefix, 'bin', 'mile'), '../lib/mile_bringup/mile')


if __name__ == '__main__':
    main()
