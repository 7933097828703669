#!/bin/bash
# shellcheck disable=SC1090,SC1091 # what is sourced exists in the image only
set -e
source "/opt/ros/$ROS_DISTRO/setup.bash" --
source /mile/ros2_ws/install/setup.bash --
exec "$@"
