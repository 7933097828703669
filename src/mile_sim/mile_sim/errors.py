"""The error of this package: one line that says what was got, what was expected, what to do."""


class SimError(ValueError):
    """A request that the simulation cannot fulfil."""
