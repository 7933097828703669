"""A run's report: the table per iteration, report.png, report.html."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from typing import Any

from mile_bringup.cli_common import table
from mile_bringup.summary import iteration_table, losses_of
from mile_learner.files import write_atomically
from mile_learner.run_folder import Run

HEADERS = ('iteration', 'policy', 'episodes', 'success', 'intervention ratio', 'segments', 'trained')


def write_report(run: Run) -> tuple[list[Mapping[str, Any]], str]:
    """Write report.png and report.html into the run folder; returns the records and the table."""
    records = iteration_table(run)
    if records:
        from mile_bringup.plots import progress

        picture = run.path / 'report.png'
        progress(records, picture)
        write_atomically(run.path / 'report.html', _html(run.path.name, records, picture.read_bytes()).encode())
    return records, report_text(records)


def report_text(records: Sequence[Mapping[str, Any]]) -> str:
    """The table, and below it what the trainings warned of."""
    return '\n'.join([table(*_table_rows(records)), *_warnings(records)])


def _warnings(records: Sequence[Mapping[str, Any]]) -> list[str]:
    trained = ((record.get('trained_version'), record.get('training') or {}) for record in records)
    return [f'{version}: {warning}' for version, training in trained for warning in training.get('warnings', [])]


def _table_rows(records: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[object]]]:
    """Header and one row per iteration, with one column per loss."""
    names = sorted({name for record in records for name in losses_of(record)})
    rows: list[list[object]] = []
    for record in records:
        losses = losses_of(record)
        rows.append(
            [
                record['iteration'],
                record['policy_version'],
                record['episodes'],
                f'{record["successes"]}/{record["episodes"]}',
                record['intervention_ratio'],
                record['segments'],
                record.get('trained_version'),
                *(losses.get(name) for name in names),
            ]
        )
    return [*HEADERS, *names], rows


def _html(title: str, records: Sequence[Mapping[str, Any]], picture: bytes) -> str:
    headers, rows = _table_rows(records)

    def cells(kind: str, values: Sequence[object]) -> str:
        texts = (f'{value:.3f}' if isinstance(value, float) else '' if value is None else str(value) for value in values)
        return '<tr>' + ''.join(f'<{kind}>{html.escape(text)}</{kind}>' for text in texts) + '</tr>\n'

    return (
        f'<!doctype html><meta charset="utf-8"><title>{html.escape(title)}</title>\n'
        '<style>body{font-family:sans-serif;margin:2em}td,th{padding:.3em .8em;text-align:right}img{max-width:100%}</style>\n'
        f'<h1>{html.escape(title)}</h1>\n<table>\n{cells("th", headers)}{"".join(cells("td", row) for row in rows)}</table>\n'
        f'{"".join(f"<p>{html.escape(warning)}</p>" for warning in _warnings(records))}\n'
        f'<img alt="success, intervention ratio, losses" src="data:image/png;base64,{base64.b64encode(picture).decode()}">\n'
    )
