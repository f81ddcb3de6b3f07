"""What an author's own tasks need: what a DAG published, and the files of the current run."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.sdk import get_current_context

from fanfold.airflow import connections, settings
from fanfold.errors import BadInput
from fanfold.model import Manifest
from fanfold.workspace.files import disk_errors, read_json
from fanfold.workspace.paths import safe_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fanfold.model import FileEntry
    from fanfold.storage.published import Published


class CurrentRun(NamedTuple):
    """The current run, after ``consolidate``: its manifest, and the folder with its files."""

    manifest: Manifest
    folder: Path

    def path(self, table: str) -> Path:
        """Return the Parquet file of the dataset or a fold."""
        return self.folder / self.manifest.file_of(table).key


def current_run() -> CurrentRun:
    """Return the run of the current task."""
    workspace = settings.workspace_of(get_current_context())
    return CurrentRun(Manifest.from_json(read_json(workspace.manifest)), workspace.dataset)


def published_file(dag_id: str, table: str = "", *, column: str = "item") -> dict[str, Any]:
    """Return the Parquet file that a DAG published last as an item; its content is verified.

    Args:
        dag_id: The DAG that published it.
        table: Name of the dataset or a fold; the default is the dataset.
        column: ``item_column`` of the pipeline that reads it.

    Returns:
        URI, ``size``, ``etag``, ``sha256``, ``rows`` and ``run_id``. Of a file that is replaced later,
        the fetch fails: the ETag is another one.

    Raises:
        BadInput: Nothing is published yet, there is no such table, or ``FANFOLD_FILES_ALLOWED`` does not
            allow the file.
        SinkUnavailable: It was replaced while it was read, or the service is unavailable.
    """
    from fanfold.storage.published import LATEST

    with _published(dag_id) as published:
        if published is None:
            raise BadInput(
                f"{dag_id} has published nothing yet: there is no s3://{settings.bucket_name()}/"
                f"{safe_name(dag_id)}/{LATEST}. Run {dag_id}, then clear this task."
            )
        entry = _entry(published, table)
        if entry is None:
            raise BadInput(f"{dag_id} publishes no table {table!r}: correct the name.")
        uri = f"s3://{published.bucket.name}/{published.prefix}{entry.key}"
        with connections.locations(connections.AWS) as locations:
            found = locations.head(uri)
        # The file of this ETag, or it would have been replaced twice.
        with _downloaded(published, entry):
            return {
                column: uri,
                "size": entry.bytes,
                "etag": found.etag if found else "",
                "sha256": entry.sha256,
                "rows": entry.rows,
                "run_id": published.manifest.run_id,
            }


@contextlib.contextmanager
def published_table(dag_id: str, table: str = "") -> Iterator[Path | None]:
    """Download and verify a table that a DAG published last, for the block; yield None if there is none.

    Raises:
        SinkUnavailable: It was replaced while it was read, or the service is unavailable.
    """
    with _published(dag_id) as published:
        entry = _entry(published, table) if published else None
        if published is None or entry is None:
            yield None
            return
        with _downloaded(published, entry) as path:
            yield path


@contextlib.contextmanager
def _published(dag_id: str) -> Iterator[Published | None]:
    from fanfold.storage.published import read_published

    with connections.bucket(settings.bucket_name()) as bucket:
        yield read_published(bucket, safe_name(dag_id))


def _entry(published: Published, table: str) -> FileEntry | None:
    """Return the Parquet file of a table; the dataset is the first one."""
    files = [entry for entry in published.manifest.files if entry.format == "parquet"]
    return next((entry for entry in files if table in {"", entry.table}), None)


@contextlib.contextmanager
def _downloaded(published: Published, entry: FileEntry) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="fanfold-published-") as name:
        folder = Path(name)
        with disk_errors(folder):
            path = published.download(entry, folder / "table.parquet")
        yield path
