"""Read the items of a run: from its Params, a local file or an object in S3."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from fanfold import readers
from fanfold.airflow import connections
from fanfold.errors import BadInput
from fanfold.workspace.files import disk_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fanfold.airflow.settings import Options


@contextlib.contextmanager
def located_items(options: Options, column: str) -> Iterator[Iterable[readers.Located]]:
    """Yield the items of a run with their locations (line or row), for error messages.

    An items file takes precedence over the list; ``column`` is its items column.

    Raises:
        BadInput: The file is missing or cannot be read.
    """
    uri = options.items_uri
    if uri is None:
        yield readers.from_list(options.user_ids)
    elif uri.startswith("s3://"):
        with tempfile.TemporaryDirectory(prefix="fanfold-items-") as folder:
            path = Path(folder) / f"items{readers.file_format(uri)}"
            if uri.endswith(".gz"):
                path = path.with_name(f"{path.name}.gz")
            _download(uri, path)
            yield readers.from_file(path, column, name=uri)
    else:
        yield readers.from_file(readers.local_path(uri), column, name=uri)


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
