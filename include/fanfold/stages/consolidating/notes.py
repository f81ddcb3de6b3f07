"""Sentences about a consolidated run, for the log and the output of ``make run``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fanfold.messages import ENGINE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fanfold.messages import Message
    from fanfold.model import Manifest
    from fanfold.pipeline import Pipeline

_COLUMNS_SHOWN = 20


def repeated_text(manifest: Manifest, pipeline: Pipeline) -> str:
    """Return a sentence on the rows of a dataset that have the key of another row; empty if none has."""
    if not manifest.repeated:
        return ""
    return (
        f"{manifest.repeated} of {manifest.rows} rows of {pipeline.dataset} have the key "
        f"({', '.join(pipeline.key)}) of an earlier row: folds and charts count them, and the "
        "warehouse table has the last one only. Drop them in the transform, or add columns to the key."
    )


def same_text(manifest: Manifest) -> str:
    """Return how many rows are not in the dataset because an earlier item has given them; empty if none."""
    if not manifest.same:
        return ""
    differing = f", {manifest.differing} of them with other values" * bool(manifest.differing)
    return (
        f"{manifest.same} {'row has' if manifest.same == 1 else 'rows have'} the key of an earlier item's row"
        f"{differing}: the dataset has the earlier one (same.jsonl)"
    )


def merged_text(manifest: Manifest) -> str:
    """Return what a run in mode ``merge`` changed; empty if it merged nothing."""
    if not manifest.generation:
        return ""
    parts = [f"{manifest.rows} rows in the dataset", f"{manifest.run_rows} of this run"]
    if manifest.superseded:
        parts.append(f"{manifest.superseded} superseded by a newer row of their key")
    if manifest.deleted:
        parts.append(f"{manifest.deleted} keys deleted by their newest row")
    return f"generation {manifest.generation}: {', '.join(parts)}"


def rows_by_table(manifest: Manifest) -> dict[str, int]:
    """Return the number of rows of the dataset and of each fold."""
    return {each.table: each.rows for each in manifest.files if each.format == "parquet"}


def fewer_rows(
    manifest: Manifest, *, run: str, rows: Mapping[str, int], percentage: float
) -> Message | None:
    """Return a warning on tables with fewer rows than those of a run, by more than a percentage."""
    now = rows_by_table(manifest)
    fell = [
        f"{table} {before:,} → {now[table]:,}"
        for table, before in rows.items()
        if table in now and now[table] < before * (1 - percentage / 100)
    ]
    if not fell:
        return None
    return ENGINE.message(
        "rows.fell", run=run, percentage=f"{percentage:g}", tables=", ".join(fell)
    )


def pending_text(manifest: Manifest) -> str:
    """Return how many items wait for a correction; empty if none does."""
    if not manifest.pending:
        return ""
    return (
        f"{manifest.pending} {'item is' if manifest.pending == 1 else 'items are'} failed or invalid, in "
        "this or an earlier run: the dataset has the rows of an earlier version, if there was one"
    )


def dropped_text(manifest: Manifest) -> str:
    """Return which columns of files were dropped, those in most files first, with the number of files; empty if none was."""
    shown = [f"{name[:80]!r} ({files})" for name, files in manifest.most_dropped(_COLUMNS_SHOWN)]
    more = len(manifest.dropped_columns) - len(shown)
    return ", ".join([*shown, f"and {more} more"] if more else shown)
