"""Readers: where the items come from. Each checks its items by name before anything is fetched."""

from __future__ import annotations

import csv
import gzip
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast
from urllib.parse import unquote, urlsplit

from fanfold.errors import BadInput
from fanfold.workspace.files import whole_file
from fanfold.workspace.items import json_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from fanfold.workspace.paths import Workspace

_SHOWN_ITEMS = 5
_SHOWN_CHARACTERS = 60
_FORMATS = (".csv", ".jsonl", ".parquet")

_PARQUET_BUFFER = 1024 * 1024
"""Bytes of a column that are read at once."""
_BLOCK_ITEMS = 10_000
"""Items that are read from Parquet, and written, at once."""

Located = tuple[str, int, Any]
"""Where an item stands (``line``, 7) and the item."""


def from_list(items: Iterable[Any]) -> Iterator[Located]:
    """Yield the items of a Param."""
    for position, item in enumerate(items, start=1):
        yield "item", position, item


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
    refused = _Refused()
    keys: list[str] = []
    items = 0
    with whole_file(workspace.listed) as temporary, temporary.open("wb") as file:
        for kind, number, raw in located:
            item = raw.strip() if isinstance(raw, str) else raw
            if item is None or item == "":
                blanks += 1
                continue
            try:
                keys.append(check(_as_text(item)))
            except ValueError as error:
                refused.add(f"{kind} {number}", raw, error)
            if len(keys) == _BLOCK_ITEMS:
                items += len(keys)
                file.write(json_lines(keys))
                keys.clear()
        if refused.count:
            raise refused.error()
        file.write(json_lines(keys))
    return items + len(keys), blanks


@dataclass(slots=True)
class _Refused:
    """Items that the source cannot know: the first of them, and how many they are."""

    shown: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, where: str, raw: Any, error: ValueError) -> None:
        self.count += 1
        if len(self.shown) < _SHOWN_ITEMS:
            self.shown.append(f"{where} is {_shortened(raw)}: {error}")

    def error(self) -> BadInput:
        more = f"; and {self.count - len(self.shown)} more" if self.count > len(self.shown) else ""
        return BadInput(
            f"{self.count} of the items cannot be fetched, so nothing was: "
            f"{'; '.join(self.shown)}{more}. Correct the list and trigger again."
        )


def _as_text(item: Any) -> str:
    if isinstance(item, str):
        return item.removeprefix("\ufeff")
    if isinstance(item, bool) or not isinstance(item, int):
        raise ValueError("an item is a string or a whole number")  # noqa: TRY004
    return str(item)


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
                yield "line", rows.line_num, row[index] if index < len(row) else None
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
            yield "line", number, value


def _from_parquet(path: Path, column: str, name: str) -> Iterator[Located]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Otherwise the whole column of a row group is read at once: 100 MB and more.
        with pq.ParquetFile(path, buffer_size=_PARQUET_BUFFER, pre_buffer=False) as file:
            names = file.schema_arrow.names
            index = _column_index(list(names), column, name)
            row = 0
            for batch in file.iter_batches(_BLOCK_ITEMS, columns=[names[index]]):
                for value in batch.column(0).to_pylist():
                    row += 1
                    yield "row", row, value
    except pa.ArrowInvalid as error:
        raise BadInput(f"items_uri: {name} is not a Parquet file ({error}).") from None
