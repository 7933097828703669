"""The error of this package: one line that says what was got, what was expected, what to do."""

import shlex


class LearnerError(ValueError):
    """Input that the learner cannot use: a bag, a run folder, a policy version, or a request."""


def quoted(word: object) -> str:
    """A path, or another word, for a command line that a person can copy."""
    return shlex.quote(str(word))
