# Training and evaluation without ROS, for a machine with more cores or a GPU: `mile train`, `mile eval`, `mile inspect` on a run folder.
# From the repository's root: docker compose -f docker/compose.yaml build learner
FROM python:3.11-slim

# libegl1 and Mesa's software driver: MuJoCo renders without a display.
RUN apt-get update && apt-get install -y --no-install-recommends libegl1 libgl1 libgl1-mesa-dri && rm -rf /var/lib/apt/lists/*

COPY requirements/robot.txt /tmp/robot.txt
RUN pip install --no-cache-dir --require-hashes -r /tmp/robot.txt && rm /tmp/robot.txt

COPY src /tmp/src
COPY launch /tmp/launch
COPY config /tmp/config
RUN pip install --no-cache-dir --no-deps --no-build-isolation \
    /tmp/src/mile_learner /tmp/src/mile_policy_node /tmp/src/mile_teleop /tmp/src/mile_sim /tmp/src/mile_bringup \
    && rm -r /tmp/src /tmp/launch /tmp/config

ENV HOME=/home/mile USER=mile MILE_HOME=/runs/.mile
RUN install -d -m 1777 /home/mile /runs
WORKDIR /runs
USER 1000:1000
ENTRYPOINT ["mile"]
CMD ["--help"]
