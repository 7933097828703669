# The stack beside a ROS 2 distribution, for a robot PC. From the repository's root: docker compose -f docker/compose.yaml build robot
#
# BASE is an official image (`ros`, built from github.com/osrf/docker_images): it holds ROS in /opt/ros/$ROS_DISTRO, a compiler, cmake and
# colcon, and enters through /ros_entrypoint.sh. ros:humble-ros-base is the other one that the packages are meant for.
ARG BASE=ros:jazzy-ros-base
FROM ${BASE}

# libegl1 and Mesa's software driver: MuJoCo renders the camera images of the simulated arm without a display.
RUN apt-get update && apt-get install -y --no-install-recommends python3-venv libegl1 libgl1 libgl1-mesa-dri \
    && rm -rf /var/lib/apt/lists/*

# What is not ROS comes from pip, into an environment that sees the distribution's packages and is made by the distribution's interpreter
# (docs.ros.org, How-To Guides, "Using Python Packages with ROS 2").
RUN python3 -m venv --system-site-packages /opt/mile
COPY requirements/robot.txt /tmp/robot.txt
RUN /opt/mile/bin/pip install --no-cache-dir --require-hashes -r /tmp/robot.txt && rm /tmp/robot.txt

# colcon writes the interpreter that runs it into the node executables: run by the environment's, they find what pip installed
# (github.com/ros2/ros2, issue 1094).
COPY . /mile
WORKDIR /mile/ros2_ws
RUN . "/opt/ros/$ROS_DISTRO/setup.sh" \
    && /opt/mile/bin/python -m colcon build \
    && ln -s /mile/ros2_ws/install/mile_bringup/lib/mile_bringup/mile /opt/mile/bin/mile

ENV PATH=/opt/mile/bin:$PATH HOME=/home/mile USER=mile MILE_HOME=/runs/.mile
RUN install -d -m 1777 /home/mile /runs
COPY docker/entrypoint.sh /entrypoint.sh
WORKDIR /runs
# Any unprivileged user will do; compose.yaml runs it as the one who owns the run folder.
USER 1000:1000
ENTRYPOINT ["/entrypoint.sh"]
CMD ["ros2", "launch", "mile_bringup", "deploy.launch.py"]
