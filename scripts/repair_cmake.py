"""Points the CMake files of the ROS 2 wheels at this environment.

The wheels' exported targets name the include folders of the machine that built them (/opt/python/cp3XX-cp3XX/...); without this an
interface package fails with "includes non-existent path". Run with the environment's Python; running it twice changes nothing.
"""

import re
import sys
import sysconfig
from pathlib import Path

import numpy

BUILD_MACHINE = r'/opt/python/cp\d+-cp\d+'


def repaired(text: str) -> str:
    """Returns `text` with the build machine's numpy and Python include folders replaced by this environment's."""
    text = re.sub(BUILD_MACHINE + r'/lib/python3\.\d+/site-packages/numpy/(_core|core)/include', lambda _: numpy.get_include(), text)
    return re.sub(BUILD_MACHINE + r'/include/python3\.\d+', lambda _: sysconfig.get_paths()['include'], text)


def main() -> None:
    for path in Path(sys.prefix, 'share').glob('*/cmake/*.cmake'):
        old = path.read_text()
        new = repaired(old)
        if new != old:
            # A new file, never a write in place: the old one may be a hard link into the installer's cache.
            temporary = path.with_suffix('.tmp')
            temporary.write_text(new)
            temporary.replace(path)


if __name__ == '__main__':
    main()
