"""What can go wrong in this package; every message is one line for the person at the robot."""


class PolicyNodeError(Exception):
    """Base of all errors of this package."""


class GateError(PolicyNodeError):
    """The arm's measured pose cannot be the start of a motion."""


class BackendError(PolicyNodeError):
    """The arm's driver cannot do what was asked."""


class ObservationError(PolicyNodeError):
    """An observation cannot be assembled: something is missing, too old, or not finite."""


class PolicyError(PolicyNodeError):
    """A policy version that cannot fly."""


class CameraError(PolicyNodeError):
    """A source of images that cannot be opened, or cannot do what is asked of it."""
