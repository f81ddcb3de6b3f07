"""Read items and their attributes from CSV, JSONL and Parquet files."""

from __future__ import annotations

import csv
import gzip
import json
from datetime import date, time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast
from urllib.parse import unquote, urlsplit

from fanfold.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHOWN_CHARACTERS = 60
_FORMATS = (".csv", ".jsonl", ".parquet")
_PARQUET_BUFFER = 1024 * 1024
"""Bytes of a column that are read at once."""
BLOCK_ITEMS = 10_000
"""Items that are read from Parquet, and written, at once."""

Attributes = dict[str, Any] | None
Located = tuple[str, int, Any, Attributes]
"""Position of an item (``line``, 7), its key, and its attributes (JSON values), if it has any."""


def from_file(path: Path, column: str, *, name: str) -> Iterator[Located]:
    """Yield the items of a CSV, JSONL or Parquet file; CSV and JSONL may be gzipped (``.gz``).

    Args:
        path: The file.
        column: The column, or the name in each JSON object, with the keys; the others are
            attributes. The only column of a CSV or Parquet file may have any name; a JSONL file may
            contain bare strings.
        name: Name of the file in messages.

    Raises:
        BadInput: The file is missing, has no header, is not UTF-8, or has another format.
    """
    kind = file_format(name)
    try:
        if kind == ".csv":
            yield from _from_csv(path, column, name)
        elif kind == ".jsonl":
            yield from _from_jsonl(path, column, name)
        else:
            yield from _from_parquet(path, column, name)
    except FileNotFoundError:
        raise BadInput(f"items_uri: there is no file {name}.") from None
    except OSError as error:
        raise BadInput(f"items_uri: {name} cannot be read: {error.strerror or error}.") from None
    except UnicodeDecodeError as error:
        raise BadInput(
            f"items_uri: {name} is not UTF-8 (byte {error.start}). Save it as UTF-8."
        ) from None


def file_format(uri: str) -> str:
    """Return ``.csv``, ``.jsonl`` or ``.parquet``.

    Raises:
        BadInput: The name has another suffix.
    """
    name = uri.lower()
    bare = name.removesuffix(".gz")
    for ending in _FORMATS:
        if bare.endswith(ending) and (ending != ".parquet" or bare == name):
            return ending
    raise BadInput(f"items_uri: {uri} must end in .csv, .csv.gz, .jsonl, .jsonl.gz or .parquet.")


def local_path(uri: str) -> Path:
    """Return the path of a ``file://`` URI.

    Raises:
        BadInput: The URI has a host, or its path is not absolute.
    """
    parts = urlsplit(uri)
    if parts.netloc not in {"", "localhost"} or not parts.path.startswith("/"):
        raise BadInput(f"items_uri: {uri} must look like file:///absolute/path.csv.")
    return Path(unquote(parts.path))


def json_value(value: Any) -> Any:
    """Return a value of a Parquet file or a database as a JSON value.

    Dates and times become ISO 8601, other types their text; NaN becomes null.
    """
    if value is None or isinstance(value, str | int | list | dict):
        return value
    if isinstance(value, float):
        return value if value == value else None  # noqa: PLR0124 - NaN
    return value.isoformat() if isinstance(value, date | time) else str(value)


def shortened(raw: Any) -> str:
    """Return the start of a value in ASCII, for a message."""
    text = str(raw)
    cut = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
    return ascii(cut) + (f" ({len(text)} characters)" if cut != text else "")


def _open(path: Path) -> TextIO:
    # The byte order mark that spreadsheets write is not part of the first column's name.
    if path.suffix.lower() == ".gz":
        return cast("TextIO", gzip.open(path, "rt", encoding="utf-8-sig", newline=""))
    return path.open(encoding="utf-8-sig", newline="")


def _from_csv(path: Path, column: str, name: str) -> Iterator[Located]:
    with _open(path) as file:
        rows = csv.reader(file)
        try:
            header = [cell.strip() for cell in next(rows, [])]
            index = _column_index(header, column, name)
            others = [(place, text) for place, text in enumerate(header) if place != index and text]
            attributes: Attributes = None
            for row in rows:
                cells = len(row)
                if others:
                    attributes = {text: row[place] for place, text in others if place < cells}
                yield "line", rows.line_num, row[index] if index < cells else None, attributes
        except csv.Error as error:
            raise BadInput(f"items_uri: {name}, line {rows.line_num}: {error}.") from None


def _column_index(columns: list[str], column: str, name: str) -> int:
    if column in columns:
        return columns.index(column)
    if len(columns) == 1 and columns[0] and not columns[0].isdecimal():
        return 0
    found = ", ".join(shortened(text) for text in columns[:10]) or "empty"
    raise BadInput(
        f"items_uri: {name} needs a header with a column {column!r}; its first line is {found}."
    )


def _from_jsonl(path: Path, column: str, name: str) -> Iterator[Located]:
    with _open(path) as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                raise BadInput(
                    f"items_uri: {name}, line {number} is not JSON: {shortened(line)}."
                ) from None
            attributes: Attributes = None
            if isinstance(value, dict):
                if column not in value:
                    raise BadInput(f"items_uri: {name}, line {number} has no {column!r}.")
                attributes = value
                value = attributes.pop(column)
            yield "line", number, value, attributes


def _from_parquet(path: Path, column: str, name: str) -> Iterator[Located]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        columns = pq.read_schema(path).names
        key = columns[_column_index(columns, column, name)]
        for number, row in enumerate(read_parquet(path, columns), start=1):
            value = row.pop(key)
            yield "row", number, value, row
    except pa.ArrowInvalid as error:
        raise BadInput(f"items_uri: {name} is not a Parquet file ({error}).") from None


def read_parquet(path: Path, columns: list[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of some columns of a Parquet file, as JSON values, in bounded memory."""
    import pyarrow.parquet as pq

    # The default reads the whole column of a row group at once: 100 MB and more.
    with pq.ParquetFile(path, buffer_size=_PARQUET_BUFFER, pre_buffer=False) as file:
        for batch in file.iter_batches(BLOCK_ITEMS, columns=columns):
            values = [map(json_value, column.to_pylist()) for column in batch.columns]
            for row in zip(*values, strict=True):
                yield dict(zip(batch.schema.names, row, strict=True))
