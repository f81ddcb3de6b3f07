"""Read the items of a run: from its Params, a file, a dataset, an earlier run or a query.

Who may trigger a run may read what its worker can read: files of the worker, objects of the
connection ``aws_default``, and, where the pipeline's author allows queries, one database.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from fanfold import readers
from fanfold.airflow import connections, settings
from fanfold.airflow.query import query_rows
from fanfold.errors import BadInput
from fanfold.readers.datasets import from_dataset
from fanfold.readers.runs import from_run
from fanfold.workspace.files import disk_errors
from fanfold.workspace.paths import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@contextlib.contextmanager
def located_items(chosen: settings.ItemsFrom, column: str) -> Iterator[Iterable[readers.Located]]:
    """Yield the items of a run with their locations (line or row), for error messages.

    ``column`` is the column with the keys.

    Raises:
        BadInput: The file, dataset, run or query is missing or wrong.
        BadConfiguration: A connection or an environment variable is missing or wrong.
        SinkUnavailable: Object storage or the database is unavailable.
    """
    with contextlib.ExitStack() as stack:
        if chosen.sql:
            connection = chosen.sql_connection or connections.WAREHOUSE
            columns, rows = stack.enter_context(query_rows(connection, chosen.sql))
            yield readers.from_rows(columns, rows, column)
        elif chosen.uri:
            yield _from_uri(chosen.uri, column, stack)
        else:
            yield readers.from_list(chosen.items, column)


def _from_uri(uri: str, column: str, stack: contextlib.ExitStack) -> Iterable[readers.Located]:
    scheme, _, rest = uri.partition("://")
    if scheme == "run":
        dag_id, _, run_id = rest.partition("/")
        workspace = Workspace.of_run(settings.shared_directory(), dag_id, run_id)
        return from_run(workspace, name=uri)
    if scheme not in {"s3", "dataset"}:
        return readers.from_file(readers.local_path(uri), column, name=uri)
    temporary = tempfile.TemporaryDirectory(prefix="fanfold-items-")
    folder = Path(stack.enter_context(temporary))
    if scheme == "dataset":
        dag_id, *table, column = rest.split("/")
        bucket = stack.enter_context(connections.bucket(settings.bucket_name()))
        return from_dataset(bucket, dag_id, table[0] if table else None, column, folder)
    path = folder / f"items{readers.file_format(uri)}"
    if uri.endswith(".gz"):
        path = path.with_name(f"{path.name}.gz")
    _download(uri, path)
    return readers.from_file(path, column, name=uri)


def _download(uri: str, path: Path) -> None:
    from botocore.exceptions import ClientError

    name, _, key = uri.removeprefix("s3://").partition("/")
    with connections.bucket(name) as bucket, bucket.errors(), disk_errors(path.parent):
        try:
            bucket.client.download_file(name, key, str(path))
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in {"404", "NoSuchKey"}:
                raise BadInput(f"items_uri: there is no object {uri}.") from None
            raise
