"""Which systematic error of a teacher makes a mediocre clone of it: bisection, which looks around where luck decides."""

from __future__ import annotations

from mile_learner.bench.tasks import InitialRecipe


class ErrorSearch:
    """The error to try, given whether the clones of those before were too good or too bad.

    Errors closer than the recipe's `resolution` are one and the same (say, the same snapshot of a training). Whether a clone of it is good
    is then a matter of luck, which bisection would take for a sharp threshold: the bracket opens again instead.
    """

    def __init__(self, recipe: InitialRecipe) -> None:
        self._low, self._high, self._recipe = 0.0, recipe.limit, recipe
        self.error = recipe.guess

    def attempts(self, most: int) -> int:
        """How many errors may be tried, given how many may be where luck does not matter."""
        return 3 * most if self._recipe.resolution > 0 else most

    def judge(self, *, too_good: bool) -> None:
        """Choose the next error, after the clone of this one."""
        if too_good:
            self._low = self.error
        else:
            self._high = self.error
        if self._high - self._low < self._recipe.resolution:
            self._low = max(0.0, self._low - self._recipe.resolution)
            self._high = min(self._recipe.limit, self._high + self._recipe.resolution)
        self.error = (self._low + self._high) / 2
