"""Read a column of the latest dataset that another pipeline published."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, TypeVar

from fanfold.errors import BadInput, Inconsistent, SinkUnavailable
from fanfold.model import Manifest
from fanfold.readers.files import read_parquet
from fanfold.storage.objects import read_bytes
from fanfold.workspace.files import disk_errors
from fanfold.workspace.paths import safe_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fanfold.model import FileEntry
    from fanfold.readers.files import Located
    from fanfold.storage.objects import Bucket

T = TypeVar("T")


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
    import pyarrow.parquet as pq

    key = f"{safe_name(dag_id)}/latest.json"
    latest = read_bytes(bucket, key)
    if latest is None:
        raise BadInput(
            f"items_uri: {dag_id!r} has published nothing: there is no s3://{bucket.name}/{key}."
        )
    manifest_key, prefix, digest = _parsed(
        bucket, key, latest[0], lambda data: (data["manifest"], data["prefix"], data["sha256"])
    )
    document = read_bytes(bucket, manifest_key)
    if document is None or hashlib.sha256(document[0]).hexdigest() != digest:
        raise _replaced(bucket, manifest_key)
    entry = _entry(_parsed(bucket, manifest_key, document[0], Manifest.from_json), table, dag_id)
    path = folder / "table.parquet"
    with bucket.errors(), disk_errors(folder):
        bucket.client.download_file(bucket.name, prefix + entry.key, str(path))
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != entry.sha256:
            raise _replaced(bucket, prefix + entry.key)
    columns = pq.read_schema(path).names
    if column not in columns:
        raise BadInput(
            f"items_uri: {dag_id}/{entry.table or entry.key} has no column {column!r}, but: "
            f"{', '.join(columns)}."
        )
    for number, row in enumerate(read_parquet(path, [column]), start=1):
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


def _parsed(bucket: Bucket, key: str, data: bytes, parse: Callable[[dict[str, Any]], T]) -> T:
    try:
        return parse(json.loads(data))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Inconsistent(
            f"s3://{bucket.name}/{key} is not a file of this version of Fanfold ({error!r}): run "
            "the pipeline that publishes it again."
        ) from error


def _replaced(bucket: Bucket, key: str) -> SinkUnavailable:
    return SinkUnavailable(
        f"s3://{bucket.name}/{key} does not have the SHA-256 that latest.json or the manifest "
        "gives: it was replaced while it was read. If this happens again, run the pipeline that "
        "publishes it again."
    )
