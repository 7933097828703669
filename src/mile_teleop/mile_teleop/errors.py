"""Errors of this package; every message is one line for the person at the robot."""


class TeleopError(ValueError):
    """Base of all errors of mile_teleop."""


class PadError(TeleopError):
    """A pad message that cannot be obeyed."""


class RefusedError(TeleopError):
    """A request that the arbiter or the recorder does not grant in its present state."""


class BagError(TeleopError):
    """A bag that cannot be written."""
