"""CSV files.

pyarrow reads values fast, but a quote that is not closed may shift all that follows without an error,
and its errors do not say where. So text is first cut where records end: at once where its quotes are
as in RFC 4180, and by Python's strict parser where they are not, or where pyarrow finds a record with
another number of values than the header.
"""

from __future__ import annotations

import codecs
import csv
import io
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from fanfold.messages import ENGINE
from fanfold.stages.processing.files.pieces import Piece, Refused
from fanfold.stages.processing.files.streams import Flaw, check_length
from fanfold.storage.quotes import line_of_open_quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from fanfold.sources import Files
    from fanfold.stages.processing.files.columns import Columns

FIELDS = "has as many values as the header"
RECORD = "is a record of CSV (RFC 4180)"
HEADER = "is not the header again"
_NEWLINE, _RETURN = b"\n\r"


def read_csv(
    chunks: Iterable[bytes], source: Files, columns: Columns, extra: dict[str, None]
) -> Iterator[Piece]:
    """Yield the records of a CSV file.

    Args:
        chunks: Its text, UTF-8; the last chunk is empty.
        source: How it is written.
        columns: Columns of the pipeline.
        extra: Gets the names of the other columns.

    Raises:
        Flaw: The file is invalid.
    """
    csv.field_size_limit(max(csv.field_size_limit(), source.max_line_bytes))
    reader = None if source.header else _Reader(source, columns, columns.names, extra)
    text, line, count = b"", 1, 0
    for chunk in _newlines(chunks):
        text += chunk
        is_last = not chunk
        if reader is None:
            header = next(_records(text, line, source, is_last=is_last), None)
            if header is None:
                check_length(len(text), line, source)
                continue
            if header.fields is None:
                raise Flaw(ENGINE.message("decode.quote", line=header.line))
            reader = _Reader(source, columns, header.fields, extra)
            line += text.count(b"\n", 0, header.end)
            text = text[header.end :]
        piece, end = reader.read(text, line, count, is_last=is_last)
        yield piece
        count += len(piece.frame) + len(piece.refused)
        line += text.count(b"\n", 0, end)
        text = text[end:]
        check_length(len(text), line, source)


class _Reader:
    """Reads the records below the header of a file."""

    def __init__(
        self, source: Files, columns: Columns, header: Sequence[str], extra: dict[str, None]
    ) -> None:
        self._places = columns.match(header, extra)
        self._columns = columns.of_frame(extra)
        self._source = source
        self._width = len(header)
        # Two files that were joined; a value of a single column may be its name.
        self._header = list(header) if source.header and len(header) > 1 else []
        places = list(map(str, self._places.values()))
        self._types = dict.fromkeys(places, pa.large_string())
        self._parse = pa_csv.ParseOptions(
            delimiter=source.delimiter,
            quote_char=source.quote or False,
            newlines_in_values=bool(source.quote),
        )
        self._convert = pa_csv.ConvertOptions(
            column_types=self._types,
            include_columns=places or ["0"],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=list(source.nulls),
        )

    def read(self, text: bytes, line: int, count: int, *, is_last: bool) -> tuple[Piece, int]:
        """Return the complete records in a text after ``count`` others, and where they end."""
        end = _end_if_regular(text, line, self._source, is_last=is_last)
        table = None if end is None else self._table(text[:end])
        if end is not None and table is not None and not self._may_have_header(table):
            return Piece(self._frame(table, np.arange(len(table)) + count + 1), end), end
        good: list[bytes] = []
        numbers: list[int] = []
        refused: list[Refused] = []
        end = 0
        for record in _records(text, line, self._source, is_last=is_last):
            end = record.end
            count += 1
            if rule := self._broken_rule(record.fields):
                refused.append(Refused.at(count, record.line, record.text, rule))
            else:
                good.append(record.text)
                numbers.append(count)
        table = self._table(b"".join(good))
        if table is None or len(table) != len(good):
            raise Flaw(ENGINE.message("decode.quote", line=line))  # parsers disagree: not seen
        return Piece(self._frame(table, np.array(numbers, int)), end, refused), end

    def _broken_rule(self, fields: list[str] | None) -> str:
        if fields is None:
            return RECORD
        if len(fields) != self._width:
            return FIELDS
        again = [fields[0].removeprefix("\ufeff"), *fields[1:]] == self._header
        return HEADER if again else ""

    def _may_have_header(self, table: pa.Table) -> bool:
        """Return whether the first column that is read has its name as a value."""
        if not self._header or not self._places:
            return False
        place = next(iter(self._places.values()))
        # It may have a byte order mark before it.
        return pc.any(pc.ends_with(table[str(place)], self._header[place])).as_py() is True

    def _table(self, text: bytes) -> pa.Table | None:
        """Return records, or None if the number of values differs."""
        if not text.strip(b"\r\n"):
            return pa.table({name: pa.array([], pa.large_string()) for name in self._types})
        # pyarrow drops a byte order mark here, and an empty last value is not null if it has no end of
        # line and the one before is quoted.
        if text.startswith(codecs.BOM_UTF8):
            text = codecs.BOM_UTF8 + text
        if not text.endswith(b"\n"):
            text += b"\n"
        names = list(map(str, range(self._width)))
        read = pa_csv.ReadOptions(
            column_names=names, use_threads=False, block_size=min(len(text) + 1, 2**31 - 1)
        )
        try:
            return pa_csv.read_csv(
                pa.BufferReader(text),
                read_options=read,
                parse_options=self._parse,
                convert_options=self._convert,
            )
        except pa.ArrowInvalid:
            return None

    def _frame(self, table: pa.Table, numbers: np.ndarray[Any, Any]) -> pd.DataFrame:
        names = list(self._places)
        frame: pd.DataFrame = table.select(list(self._types)).rename_columns(names).to_pandas()
        frame.index = pd.Index(numbers)
        if names == self._columns:
            return frame
        return frame.reindex(columns=self._columns).astype("str")


class _Record(NamedTuple):
    """A record: where it ends, its first line, its text, and its values if its quotes are right."""

    end: int
    line: int
    text: bytes
    fields: list[str] | None


def _records(text: bytes, line: int, source: Files, *, is_last: bool) -> Iterator[_Record]:
    """Yield the complete records of a text that begins in a line.

    Raises:
        Flaw: A quote is not closed, or a line is too long.
    """
    end = 0
    taken: list[bytes] = []
    is_over = False

    def lines() -> Iterator[str]:
        nonlocal is_over
        for each in io.BytesIO(text):
            if not (each.endswith(b"\n") or is_last):
                break
            check_length(len(each), line + len(taken), source)
            taken.append(each)
            yield each.decode()
        is_over = True

    reader = csv.reader(
        lines(),
        delimiter=source.delimiter,
        quotechar=source.quote or None,
        quoting=csv.QUOTE_MINIMAL if source.quote else csv.QUOTE_NONE,
        strict=True,
    )
    while True:
        fields: list[str] | None
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error:
            if is_over and not is_last:
                return
            if is_over or len(taken) > 1:
                opened = line_of_open_quote(taken, source.quote.encode(), at_end=is_over)
                raise Flaw(ENGINE.message("decode.quote", line=line + opened)) from None
            fields = None
        record = b"".join(taken)
        check_length(len(record), line, source)
        end += len(record)
        if fields != []:  # a blank line
            yield _Record(end, line, record, fields)
        line += len(taken)
        taken.clear()


def _end_if_regular(text: bytes, line: int, source: Files, *, is_last: bool) -> int | None:
    """Return where the last complete record ends, or None if the quotes are not as in RFC 4180.

    There, each quote opens a value at its begin, closes it at its end, or is one of two within.

    Raises:
        Flaw: A record is too long.
    """
    if text.count(b"\r") != text.count(b"\r\n"):
        return None
    data = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(data == _NEWLINE) + 1
    if source.quote and (quote := source.quote.encode()) in text:
        quotes = np.flatnonzero(data == quote[0])
        opening, closing = quotes[::2], quotes[1::2]
        before = data[opening[opening > 0] - 1]
        after = data[closing[closing < len(data) - 1] + 1]
        allowed = [*source.delimiter.encode(), _NEWLINE, quote[0]]
        is_regular = np.isin(before, allowed).all() and np.isin(after, [*allowed, _RETURN]).all()
        if not is_regular or (is_last and len(opening) > len(closing)):
            return None
        ends = ends[np.searchsorted(quotes, ends) % 2 == 0]
    if is_last and (not len(ends) or ends[-1] < len(text)):
        ends = np.append(ends, len(text))
    lengths = np.diff(ends, prepend=0)
    if len(lengths) and lengths.max() > source.max_line_bytes:
        before_it = int(ends[lengths.argmax()] - lengths.max())
        check_length(int(lengths.max()), line + text.count(b"\n", 0, before_it), source)
    return int(ends[-1]) if len(ends) else 0


def _newlines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield text whose lines end in a line feed; those of old Macs end in a carriage return."""
    is_mac = None
    for chunk in chunks:
        if is_mac is None and chunk:
            is_mac = b"\r" in chunk and b"\n" not in chunk
        yield chunk.replace(b"\r", b"\n") if is_mac else chunk
