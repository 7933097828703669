"""What the guards say of the trainings of a comparison: recorded for each, counted at the end."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from mile_learner.bench.results import read_results
from mile_learner.bundle import Bundle
from mile_learner.guards import data_warnings, model_warnings
from mile_learner.methods.base import InterventionData

KIND = 'warnings'
"""Of the record of one training; cells from before there were guards have none."""


def training_warnings(data: InterventionData, start: Bundle, trained: Bundle, target_rate: float | None) -> list[str]:
    """What `mile_learner.guards` says of a training; not of a mental model that the method has no use for, and left as it was.

    Raises:
        LearnerError: weights or actions are not finite.
    """
    if trained.mental_model is start.mental_model:
        start, trained = (Bundle(bundle.policy, None, bundle.manifest) for bundle in (start, trained))
    return [*data_warnings(data, start, target_rate=target_rate), *model_warnings(data, trained)]


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
