#!/bin/sh
# Names every system tool that the set-up needs and does not find, one a line with how to get it. Usage: check_tools.sh PYTHON
python=$1
missing=0

need() {  # need WHAT HOW
    echo "missing: $1; get it with: $2" >&2
    missing=1
}

[ "$(uname -sm)" = 'Linux x86_64' ] || need "Linux on x86_64 (this is $(uname -sm)): the ROS 2 wheels exist for nothing else" \
    'a ROS 2 distribution and colcon build (see README.md), or docker/'
case $PWD in *[[:space:]]*) need 'a folder name without spaces' "moving $PWD" ;; esac

if ! command -v "$python" > /dev/null; then
    need "Python 3.10 to 3.13 as $python" 'sudo apt install python3 python3-venv python3-dev, or PYTHON=/path/to/python make setup'
elif ! "$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))'; then
    need "Python 3.10 to 3.13 ($python is $("$python" --version 2>&1))" 'sudo apt install python3.12-venv python3.12-dev, then PYTHON=python3.12 make setup'
else
    "$python" -c 'import ensurepip, venv' 2> /dev/null || need "Python's venv module" 'sudo apt install python3-venv'
    "$python" -c 'import pathlib, sys, sysconfig; sys.exit(not (pathlib.Path(sysconfig.get_paths()["include"]) / "Python.h").exists())' \
        || need "Python's headers (Python.h)" 'sudo apt install python3-dev'
fi
command -v c++ > /dev/null || command -v g++ > /dev/null || need 'a C++ compiler' 'sudo apt install g++'
command -v cc > /dev/null || command -v gcc > /dev/null || need 'a C compiler' 'sudo apt install gcc'
command -v cmake > /dev/null || need cmake 'sudo apt install cmake'
exit $missing
