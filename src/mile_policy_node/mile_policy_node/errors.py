"""What can go wrong in this package; every message is one line for the person at the robot."""


class PolicyNodeError(Exception):
    """Base of all errors of this package."""


class GateError(PolicyNodeError):
    """The arm's measured pose cannot be the start of a motion."""
