"""The error class of this package."""


class BringupError(RuntimeError):
    """Something a person can put right; the message is one line: what was got, what was expected, what to do."""
