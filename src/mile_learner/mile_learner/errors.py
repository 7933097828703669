"""The error of this package: one line that says what was got, what was expected, what to do."""


class LearnerError(ValueError):
    """Input that the learner cannot use: a bag, a run folder, a policy version, or a request."""
