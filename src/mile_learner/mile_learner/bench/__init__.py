"""The comparison: tasks, experts, simulated humans, suites of runs, statistics, report. Needs requirements/bench.in."""
