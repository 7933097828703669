"""What the guards say of the trainings of a comparison: recorded for each, counted at the end."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from mile_learner.bench.results import read_results

KIND = 'warnings'
"""Of the record of one training; cells from before there were guards have none."""


def count_warnings(out: Path) -> tuple[int, dict[str, int]]:
    """How many trainings of a comparison were guarded, and how many had each warning, by name.

    Raises:
        LearnerError: a damaged cell.
    """
    if not any((out / 'cells').glob('*.jsonl')):
        return 0, {}
    records = [record for cell in read_results(out) for record in cell.of(KIND)]
    return len(records), dict(Counter(text.partition(':')[0] for record in records for text in record['warnings']).most_common())


def warnings_text(trainings: int, counts: dict[str, int]) -> str:
    """One line."""
    return f'trainings watched: {trainings}; warnings: {", ".join(f"{name} in {count}" for name, count in counts.items()) or "none"}'
