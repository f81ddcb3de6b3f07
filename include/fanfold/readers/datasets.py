"""Read a column of the latest dataset that another pipeline published."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fanfold.errors import BadInput
from fanfold.readers.parquet import column_names, rows_of
from fanfold.storage.published import LATEST, read_published
from fanfold.workspace.files import disk_errors
from fanfold.workspace.paths import safe_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fanfold.model import FileEntry, Manifest
    from fanfold.readers.files import Located
    from fanfold.storage.objects import Bucket


def from_dataset(
    bucket: Bucket, dag_id: str, table: str | None, column: str, folder: Path
) -> Iterator[Located]:
    """Yield the values of a column of a dataset or fold; ``plan`` removes the duplicates.

    Args:
        bucket: Where the pipeline publishes.
        dag_id: The pipeline's DAG.
        table: Name of the dataset or fold; None for the dataset.
        column: Name of the column with the keys.
        folder: Existing folder for the downloaded file.

    Raises:
        BadInput: Nothing is published, or it has no such table or column.
        SinkUnavailable: The dataset was replaced while it was read, or the service is unavailable.
        Inconsistent: The published files are not those of this version of Fanfold.
    """
    published = read_published(bucket, safe_name(dag_id))
    if published is None:
        raise BadInput(
            f"items_uri: {dag_id!r} has published nothing: there is no "
            f"s3://{bucket.name}/{safe_name(dag_id)}/{LATEST}. Run {dag_id} first, then clear this task."
        )
    entry = _entry(published.manifest, table, dag_id)
    with disk_errors(folder):
        path = published.download(entry, folder / "table.parquet")
    name = f"{dag_id}/{entry.table or entry.key}"
    columns = column_names(path, name)
    if column not in columns:
        raise BadInput(f"items_uri: {name} has no column {column!r}, but: {', '.join(columns)}.")
    for number, row in enumerate(rows_of(path, name, [column]), start=1):
        yield "row", number, row[column], None


def _entry(manifest: Manifest, table: str | None, dag_id: str) -> FileEntry:
    """Return the Parquet file of a table; the dataset is the first one."""
    files = [entry for entry in manifest.files if entry.format == "parquet"]
    for entry in files:
        if table in {None, entry.table}:
            return entry
    raise BadInput(
        f"items_uri: {dag_id!r} publishes no table {table!r}, but: "
        f"{', '.join(entry.table for entry in files) or 'none'}."
    )
