"""Observation to robot action; arm and camera drivers; the safety gate before the motors."""
