"""Sentences about a consolidated run, for the log and the output of ``make run``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fanfold.model import Manifest

_COLUMNS_SHOWN = 20


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
