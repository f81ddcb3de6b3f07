"""Sentences about a consolidated run: in mode ``merge``, and of files with other columns."""

from dataclasses import replace

import pytest

from fanfold.model import Counts, FileEntry, Manifest, RunStatus
from fanfold.stages.consolidating.notes import (
    dropped_text,
    fewer_rows,
    merged_text,
    pending_text,
    rows_by_table,
)

TIME = "2026-03-01T00:00:00.000Z"


def manifest(**fields):
    status, counts = RunStatus.COMPLETE, Counts(2, ok=2)
    return Manifest("w", "r", TIME, status, counts, (), 1, TIME, TIME, **fields)


@pytest.mark.parametrize("text", [merged_text, pending_text, dropped_text])
def test_a_snapshot_of_items_says_nothing(text):
    assert text(manifest(rows=5, rejected=1, repeated=2)) == ""


def test_a_merge_counts_only_what_there_is():
    fields = {"mode": "merge", "generation": 4, "rows": 90, "run_rows": 10}
    assert merged_text(manifest(**fields)) == "generation 4: 90 rows in the dataset, 10 of this run"
    assert merged_text(manifest(**fields, superseded=3, deleted=2)).endswith(
        "10 of this run, 3 superseded by a newer row of their key, 2 keys deleted by their newest row"
    )
    assert pending_text(manifest(**fields, pending=1)).startswith("1 item is failed or invalid")
    assert pending_text(manifest(**fields, pending=7)).startswith("7 items are failed or invalid")


@pytest.mark.parametrize(
    ("rows", "percentage", "tables"),
    [
        ((50, 10, 1), 50, None),
        ((49, 10, 1), 50, "users 100 → 49"),
        ((100, 4, 0), 50, "days 10 → 4, types 1 → 0"),
        ((79, 10, 1), 20, "users 100 → 79"),
        ((0, 0, 0), 100, None),
    ],
)
def test_tables_whose_rows_fall_are_named(rows, percentage, tables):
    def published(*rows):
        files = [
            FileEntry(f"{name}.{form}", form, n, 1, "", name)
            for name, n in zip(("users", "days", "types"), rows, strict=True)
            for form in ("parquet", "csv.gz")
        ]
        return replace(manifest(), files=tuple(files))

    before = rows_by_table(published(100, 10, 1))
    found = fewer_rows(published(*rows), run="daily", rows=before, percentage=percentage)
    assert (found and found.params) == (
        tables and {"run": "daily", "percentage": f"{percentage}", "tables": tables}
    )
    rows = rows_by_table(published(*rows))
    assert fewer_rows(published(100, 10, 1), run="r", rows=rows, percentage=percentage) is None


def test_dropped_columns_are_named_in_one_line():
    columns = {f"c{number:02}": 1 for number in range(21)} | {"new\nline": 3}
    text = dropped_text(manifest(dropped_columns=columns))
    assert text.startswith(r"'new\nline' (3), 'c00' (1), ")
    assert text.endswith("'c18' (1), and 2 more")
