"""The error classes of this package; messages are one line: what was got, what was expected, what to do."""


class BringupError(RuntimeError):
    """Something failed that a person can put right."""


class UsageError(BringupError):
    """What was asked for cannot be done as asked."""
