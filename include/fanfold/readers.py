"""Readers: where the items come from. Each checks its items by name before anything is fetched."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast
from urllib.parse import unquote, urlsplit

from fanfold.errors import BadInput
from fanfold.workspace import write_jsonl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from fanfold.workspace import Workspace

_SHOWN_ITEMS = 5
_SHOWN_CHARACTERS = 60
_FORMATS = (".csv", ".jsonl", ".parquet")

Located = tuple[str, Any]
"""Where an item stands (``line 7``) and the item."""


def from_list(items: Iterable[Any]) -> Iterator[Located]:
    """Yield the items of a Param."""
    for position, item in enumerate(items, start=1):
        yield f"item {position}", item


def from_file(path: Path, column: str, *, name: str) -> Iterator[Located]:
    """Yield the items of a CSV, JSONL or Parquet file; ``.gz`` may follow the first two.

    Args:
        path: The file.
        column: The column, or the key of each JSON object, that holds the items. A CSV or Parquet
            file with one column may call it anything; a JSONL file may hold bare strings.
        name: What the file is called in messages.

    Raises:
        BadInput: The file is missing, empty of a header, not UTF-8, or of another format.
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
        BadInput: The name ends otherwise.
    """
    name = uri.lower()
    bare = name.removesuffix(".gz")
    for ending in _FORMATS:
        if bare.endswith(ending) and (ending != ".parquet" or bare == name):
            return ending
    raise BadInput(f"items_uri: {uri} must end in .csv, .jsonl (or .gz behind these) or .parquet.")


def local_path(uri: str) -> Path:
    """Return the path of a ``file://`` URI.

    Raises:
        BadInput: It names a host, or is not absolute.
    """
    parts = urlsplit(uri)
    if parts.netloc not in {"", "localhost"} or not parts.path.startswith("/"):
        raise BadInput(f"items_uri: {uri} must look like file:///absolute/path.csv.")
    return Path(unquote(parts.path))


def write_items(
    workspace: Workspace, located: Iterable[Located], check: Callable[[str], str]
) -> tuple[int, int]:
    """Write the items that a reader yields, in canonical form; return (items, blanks left out).

    Blanks are dropped, surrounding space is removed. Anything else that the source cannot know is
    refused here, all of it in one message.

    Raises:
        BadInput: Some items are refused; the message says where they stand and what they are.
    """
    blanks = 0
    refused: list[str] = []
    refusals = 0

    def checked() -> Iterator[str]:
        nonlocal blanks, refusals
        for where, raw in located:
            if raw is None or (isinstance(raw, str) and not raw.strip()):
                blanks += 1
                continue
            try:
                yield check(_as_item(raw))
            except ValueError as error:
                refusals += 1
                if len(refused) < _SHOWN_ITEMS:
                    refused.append(f"{where} is {_shortened(raw)}: {error}")
        if refusals:
            more = f"; and {refusals - len(refused)} more" if refusals > len(refused) else ""
            raise BadInput(
                f"{refusals} of the items cannot be fetched, so nothing was: "
                f"{'; '.join(refused)}{more}. Correct the list and trigger again."
            )

    items = write_jsonl(workspace.listed, checked())
    return items, blanks


def _as_item(raw: Any) -> str:
    if isinstance(raw, bool) or not isinstance(raw, (str, int)):
        raise ValueError("an item is a string or a whole number")  # noqa: TRY004
    return str(raw).strip().removeprefix("\ufeff")


def _shortened(raw: Any) -> str:
    text = str(raw)
    cut = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
    return ascii(cut) + (f" ({len(text)} characters)" if cut != text else "")


def _open(path: Path) -> TextIO:
    # The mark that spreadsheets put before UTF-8 is not part of the first column's name.
    if path.suffix.lower() == ".gz":
        return cast("TextIO", gzip.open(path, "rt", encoding="utf-8-sig", newline=""))
    return path.open(encoding="utf-8-sig", newline="")


def _from_csv(path: Path, column: str, name: str) -> Iterator[Located]:
    with _open(path) as file:
        rows = csv.reader(file)
        try:
            header = [cell.strip() for cell in next(rows, [])]
            index = _column_index(header, column, name)
            for row in rows:
                yield f"line {rows.line_num}", row[index] if index < len(row) else None
        except csv.Error as error:
            raise BadInput(f"items_uri: {name}, line {rows.line_num}: {error}.") from None


def _column_index(columns: list[str], column: str, name: str) -> int:
    if column in columns:
        return columns.index(column)
    if len(columns) == 1 and columns[0] and not columns[0].isdecimal():
        return 0
    found = ", ".join(_shortened(text) for text in columns[:10]) or "nothing"
    raise BadInput(
        f"items_uri: {name} needs a header with a column {column!r}; its first line has {found}."
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
                    f"items_uri: {name}, line {number} is not JSON: {_shortened(line)}."
                ) from None
            if isinstance(value, dict):
                if column not in value:
                    raise BadInput(f"items_uri: {name}, line {number} has no {column!r}.")
                value = value[column]
            yield f"line {number}", value


def _from_parquet(path: Path, column: str, name: str) -> Iterator[Located]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            index = _column_index(list(names), column, name)
            row = 0
            for batch in file.iter_batches(columns=[names[index]]):
                for value in batch.column(0).to_pylist():
                    row += 1
                    yield f"row {row}", value
    except pa.ArrowInvalid as error:
        raise BadInput(f"items_uri: {name} is not a Parquet file ({error}).") from None
