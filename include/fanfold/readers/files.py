"""Read items and their attributes from CSV, JSONL and Parquet files.

Messages name the line and the kind of fault, never the content of a file: anyone who may trigger a run
reads them.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import shutil
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast
from urllib.parse import unquote

from fanfold.errors import BadInput, ItemRefused
from fanfold.readers.delimited import Records
from fanfold.readers.limited import MAX_BYTES, LimitedText, too_much
from fanfold.readers.parquet import column_names, rows_of
from fanfold.readers.values import check_unique, json_value
from fanfold.workspace.files import disk_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from fanfold.storage.locations import Locations

_FILE = "file://"
_FORMATS = (".csv", ".jsonl", ".parquet")
_NAME = re.compile(r"[^\W\d]+(?:[ -][^\W\d]+)*")
"""What may be the name of a column: letters, underscores, and blanks or hyphens between them."""
_SEPARATORS = re.compile(r"[;\t|]")
"""Other separators than commas in files that are named CSV."""

Attributes = dict[str, Any] | None
Located = tuple[str, int, Any, Attributes]
"""Position of an item (``line``, 7), its key, and its attributes (JSON values), if it has any."""


def written_uri(uri: str, locations: Locations) -> str:
    """Return the URI of an existing file as it is, or with its percent-encoding resolved.

    ``file:///d/list #1.csv`` and ``file:///d/list%20%231.csv`` name the same file.

    Raises:
        SourceBusy: The file server is unavailable.
    """
    if not uri.startswith(_FILE) or "%" not in uri:
        return uri
    with suppress(BadInput):  # the other form may be allowed
        if locations.head(uri):
            return uri
    return unquote(uri)


def from_uri(
    uri: str, locations: Locations, column: str, check: Callable[[str], str]
) -> Iterator[Located]:
    """Yield the items of a file in an allowed folder or bucket, as :func:`from_file`.

    Raises:
        BadInput: As :func:`from_file`; the file is missing, too large, not allowed, or not a regular file.
        BadConfiguration: The bucket does not exist, or its connection is wrong.
        SourceBusy: Service, disk or file server is unavailable.
        WorkspaceUnavailable: The disk has no space for a copy of the object.
    """
    uri = written_uri(uri, locations)
    file_format(uri)
    try:
        with ExitStack() as stack:
            found, stream = stack.enter_context(locations.open(uri))
            if found.size > MAX_BYTES:
                raise too_much(uri, MAX_BYTES, "bytes")
            if not uri.startswith(_FILE):
                with disk_errors(Path(tempfile.gettempdir())):
                    copy = stack.enter_context(tempfile.TemporaryFile(prefix="fanfold-items-"))
                    shutil.copyfileobj(stream, copy)
                copy.seek(0)
                stream = cast("BinaryIO", copy)
            yield from from_file(stream, column, name=uri, check=check)
    except FileNotFoundError:
        raise BadInput(f"items_uri: there is no file {uri}.") from None
    except ItemRefused as error:
        raise BadInput(f"items_uri: {uri}: {error}.") from error


def from_file(
    stream: BinaryIO, column: str, *, name: str, check: Callable[[str], str] = str
) -> Iterator[Located]:
    """Yield the items of a CSV, JSONL or Parquet file; CSV and JSONL may be gzipped (``.gz``).

    Args:
        stream: The file, opened at its beginning.
        column: The column, or the name in each JSON object, with the keys; the others are
            attributes. The only column of a CSV or Parquet file may have any name; a CSV file of one
            column needs no header, and a JSONL file may contain bare strings.
        name: Name of the file in messages; its suffix is the format.
        check: Raises ``ValueError`` for what is no item. It tells a header from an item.

    Raises:
        BadInput: The file has no header, is not UTF-8, is damaged or cut off, exceeds a limit
            (:mod:`fanfold.readers.limited`), or has another format.
    """
    kind = file_format(name)
    if kind == ".parquet":
        yield from _from_parquet(stream, column, name)
        return
    if name.lower().endswith(".gz"):
        if not stream.read(1):  # GzipFile would read it as an empty text
            raise BadInput(f"items_uri: {name} has no bytes: it is cut off. Write it again.")
        stream.seek(0)
        stream = cast("BinaryIO", gzip.GzipFile(fileobj=stream))
    text = LimitedText(stream, name)
    try:
        # utf-8-sig: the byte order mark that spreadsheets write is not part of the first column's name.
        with io.TextIOWrapper(cast("BinaryIO", text), "utf-8-sig", newline="") as lines:
            read = _from_csv if kind == ".csv" else _from_jsonl
            # The second of two files that were joined may have one, too.
            yield from read((line.removeprefix("\ufeff") for line in lines), column, name, check)
    except UnicodeDecodeError as error:
        line = text.lines + error.object[: error.start].count(b"\n") + 1
        raise BadInput(f"items_uri: {name}, line {line} is not UTF-8. Save it as UTF-8.") from None


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


def _from_csv(
    lines: Iterable[str], column: str, name: str, check: Callable[[str], str]
) -> Iterator[Located]:
    records = Records(lines, name)
    rows = iter(records)
    first = next(filter(None, rows), [])
    header = [cell.strip() for cell in first]
    if len(header) == 1 and header != [column] and column in _SEPARATORS.split(header[0]):
        raise BadInput(f"items_uri: {name} has other separators than commas. Save it with commas.")
    if _is_item(header, column, name, check):
        yield "line", records.line, header[0], None
        header, first = [column], []
    index = _column_index(header, column, name)
    others = [(place, text) for place, text in enumerate(header) if place != index and text]
    attributes: Attributes = None
    for row in rows:
        cells = len(row)
        if row == first and row:
            raise BadInput(
                f"items_uri: {name}, line {records.line} is the header again, as of two files that were "
                "joined. Remove the line."
            )
        if cells > len(header) and any(row[len(header) :]):
            raise BadInput(
                f"items_uri: {name}, line {records.line} has more values than the header. Put a value "
                "with a comma into quotes."
            )
        if others:
            attributes = {text: row[place] for place, text in others if place < cells}
        yield "line", records.line, row[index] if index < cells else None, attributes


def _is_item(header: list[str], column: str, name: str, check: Callable[[str], str]) -> bool:
    """Return whether the first line of a file of one column, as Mastodon exports them, is an item.

    Raises:
        BadInput: It may be either.
    """
    if len(header) != 1 or header[0] in {column, "item"}:
        return False
    try:
        check(header[0])
    except ValueError:
        return False
    if _NAME.fullmatch(header[0]):
        raise BadInput(
            f"items_uri: {name}, line 1 may be the name of the column or the first item. Write "
            f"{column!r} instead of it, or in a line before it."
        )
    return True


def _from_jsonl(
    lines: Iterable[str], column: str, name: str, _: Callable[[str], str]
) -> Iterator[Located]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            yield "line", number, None, None
            continue
        try:
            value = json.loads(line, object_pairs_hook=_object)
        except (ValueError, RecursionError):
            raise BadInput(
                f"items_uri: {name}, line {number} is not JSON, or an object has two values of one name."
            ) from None
        attributes: Attributes = None
        if isinstance(value, dict):
            if column not in value:
                raise BadInput(f"items_uri: {name}, line {number} has no {column!r}.")
            attributes = value
            value = attributes.pop(column)
        yield "line", number, value, attributes


def _from_parquet(stream: BinaryIO, column: str, name: str) -> Iterator[Located]:
    columns = column_names(stream, name)
    key = columns[_column_index(columns, column, name)]
    for number, row in enumerate(rows_of(stream, name), start=1):
        value = row.pop(key)
        yield "row", number, value, {each: json_value(row[each]) for each in row}


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError
    return found


def _column_index(columns: list[str], column: str, name: str) -> int:
    if columns.count(column) == 1 or (len(columns) == 1 and columns[0]):
        check_unique(columns, f"items_uri: {name}")
        return columns.index(column) if column in columns else 0
    raise BadInput(
        f"items_uri: {name} needs a header with one column {column!r}. Of its {len(columns)} columns, "
        f"{columns.count(column)} have this name."
    )
