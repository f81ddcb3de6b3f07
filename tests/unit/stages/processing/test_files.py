"""Files are read as they are written, or their flaw is named: no record is changed or lost silently."""

from __future__ import annotations

import csv
import gzip
import json
import re
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pandera.pandas as pa
import pyarrow  # noqa: ICN001 - pa is pandera
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandera.engines import pandas_engine  # noqa: TC002 - pandera reads annotations

from fanfold.errors import BadPipeline
from fanfold.loader import Loaded
from fanfold.model import Outcome, Status
from fanfold.pipeline import Pipeline
from fanfold.sources import Files
from fanfold.stages.processing import files as decoding
from fanfold.stages.processing import process_batch
from fanfold.stages.processing.contract import Contract
from fanfold.stages.processing.files import FileReader, documents, streams
from fanfold.stages.processing.files import parquet as parquet_files
from fanfold.stages.processing.files.columns import Columns
from fanfold.stages.processing.files.delimited import read_csv
from fanfold.stages.processing.files.parquet import read_parquet
from fanfold.stages.processing.files.streams import Flaw
from fanfold.workspace.batch import FetchedFile
from fanfold.workspace.files import read_jsonl

AS_OF = datetime(2026, 1, 1, tzinfo=UTC)


class Line(pa.DataFrameModel):
    a: str = pa.Field(nullable=True)
    b: str = pa.Field(nullable=True)
    c: str = pa.Field(nullable=True)


PIPELINE = Pipeline(name="lines", noun="file", source=Files(), contract=Line, key=("a",))
ABC = Files(optional=())


def process(batch, source=ABC, **changed):
    """Return rows (without ``as_of``), rejected rows and reasons of a batch of files."""
    source = replace(source, columns=source.columns or ("a", "b", "c"))
    pipeline = replace(PIPELINE, source=source, **changed)
    closed = process_batch(batch, Loaded(pipeline, "code"), as_of=AS_OF)
    rows = [tuple(row.values())[:-1] for row in pq.read_table(batch.rows_file).to_pylist()]
    rejected = [tuple(row.values())[1:] for row in read_jsonl(batch.rejected_file)]
    assert (closed.rows, closed.rejected) == (len(rows), len(rejected))
    return rows, rejected, {key: each.reason for key, each in batch.failed().items()}


def gz(*texts):
    return b"".join(map(gzip.compress, texts))


def zst(text):
    return pyarrow.Codec("zstd").compress(text, asbytes=True)


def parquet(*, int96=False, **columns):
    sink = pyarrow.BufferOutputStream()
    pq.write_table(pyarrow.table(columns), sink, use_deprecated_int96_timestamps=int96)
    return sink.getvalue().to_pybytes()


FIELDS, RECORD = "has as many values as the header", "is a record of CSV (RFC 4180)"
HEADER = "is not the header again"
ONE = ("1", "2", "3")
GOOD = {
    "plain.csv": (b"a,b,c\n1,2,3\n", [ONE]),
    "no newline at the end.csv": (b"a,b,c\n1,2,3", [ONE]),
    "crlf.csv": (b"a,b,c\r\n1,2,3\r\n", [ONE]),
    "carriage returns.csv": (b"a,b,c\r1,2,3\r4,5,6\r", [ONE, ("4", "5", "6")]),
    "byte order mark.csv": (b"\xef\xbb\xbfa,b,c\n1,2,3\n", [ONE]),
    "empty.csv": (b"", []),
    "empty.jsonl": (b"", []),
    "empty.parquet": (b"", []),
    "empty.csv.gz": (b"", []),
    "blank lines.csv": (b"\n\r\na,b,c\n\n1,2,3\n\r\n", [ONE]),
    "only blank lines.csv": (b"\n\r\n", []),
    "only a header.csv": (b"a,b,c\n", []),
    "only a header without newline.csv": (b"a,b,c", []),
    "nulls.csv": (b'a,b,c\n,"",3\n', [(None, "", "3")]),
    "no newline and no last value.csv": (b'a,b,c\n1,"2",', [("1", "2", None)]),
    "another byte order mark.csv": (b"a,b,c\n\xef\xbb\xbf1,2,3\n", [("\ufeff1", "2", "3")]),
    "lines in values.csv": (b'a,b,c\n1,"2\n,""x""",3\n', [("1", '2\n,"x"', "3")]),
    "return in a value.csv": (b'a,b,c\n1,"2\rx",3\n', [("1", "2\rx", "3")]),
    "quote within a value.csv": (b'a,b,c\n1,5" pipe,3\n', [("1", '5" pipe', "3")]),
    "nul.csv": (b"a,b,c\n1,x\0y,3\n", [("1", "xy", "3")]),
    "quoted header.csv": (b'"a","b\n","c"\n1,2,3\n', [ONE]),
    "spaces.csv": (b"a,b,c\n 1,2 ,3\n", [(" 1", "2 ", "3")]),
    "members.csv.gz": (gz(b"a,b,c\n1,", b"", b"2,3\n"), [ONE]),
    "frames.csv.zst": (zst(b"a,b,c\n1,") + zst(b"2,3\n"), [ONE]),
    "plain.jsonl": (b'{"a":"1","b":"2","c":"3"}\n\n{"c":null,"z":1}', [ONE, (None, None, None)]),
    "plain.ndjson.gz": (gz(b'{"a":1,"b":2,"c":"3"}\r\n'), [ONE]),
    "plain.parquet": (parquet(a=["1"], b=[2], c=["3"]), [ONE]),
    "no rows.parquet": (parquet(a=[], b=[], c=[]), []),
    "joined.jsonl": (
        b'\xef\xbb\xbf{"a":1,"b":2,"c":3}\n\xef\xbb\xbf{"a":1,"b":2,"c":3}\n',
        [ONE] * 2,
    ),
    "ids.parquet": (
        parquet(a=pyarrow.array([Decimal(1)], pyarrow.decimal128(38, 0)), b=[2], c=[3]),
        [ONE],
    ),
}
BROKEN = {
    # The file is invalid: with its reason.
    "quote never closed.csv": (b'a,b,c\n1,2,3\n4,"x,6\n7,8,9\n', "line 3: a quote that opens"),
    "second quote never closed.csv": (b'a,b,c\n4,"x\ny","z\n7,8,9\n', "line 3: a quote that opens"),
    "quotes shifted.csv": (b'a,b,c\n1,2,3\n4,"x,6\n7,"8",9\n1,1,1\n', "line 3: a quote that opens"),
    "all quoted.csv": (b'"a","b","c"\n"4","x,"6"\n"4","5\n"7","8","9"\n', "line 3: a quote that"),
    "quote in the header.csv": (b'a,"b,c\n1,2,3\n', "line 1: a quote"),
    "long line.csv": (b"a,b,c\n1,2,3\n1," + b"x" * 999 + b",3\n", "in line 3 is longer than 500 b"),
    "long value.csv": (b'a,b,c\n1,"' + b"xxxx\n" * 200 + b'",3\n', "in line 2 is longer than 500"),
    "one long line.csv": (b"x" * 1000, "in line 1 is longer than 500"),
    "long line.jsonl": (b"{}\n[" + b"1," * 999 + b"1]\n", "in line 2 is longer than 500"),
    "latin.csv": ("a,b,c\n1,2,3\n1,é,3\n".encode("latin-1"), "line 3 is not utf-8"),
    "cut off.jsonl": (b'{"a":1,"b":2,"c":3}\n{"a":"\xe4\xb8', "line 2 is not utf-8"),
    "utf-16.csv": ("a,b,c\n1,2,3\n".encode("utf-16"), "line 1 is not utf-8"),
    "cut off.csv.gz": (gz(b"a,b,c\n" + b"1,2,3\n" * 99)[:-9], "cut off: Truncated compressed stream (at byte 0"),
    "damaged.csv.gz": (gz(b"a,b,c\n")[:-6] + b"abcdef", "not gzip, damaged"),
    "text.csv.gz": (b"a,b,c\n1,2,3\n", "not gzip"),
    "garbage at the end.csv.gz": (gz(b"a,b,c\n") + b"x", "not gzip, damaged"),
    "cut off.csv.zst": (zst(b"a,b,c\n" + b"1,2,3\n" * 99)[:-9], "not zstd, damaged"),
    "bomb.csv.gz": (gz(b"a,b,c\n" * 9999), "more than 50,000 bytes after decompression"),
    "text.parquet": (b"a,b,c\n1,2,3\n", "not a Parquet file"),
    "cut off.parquet": (parquet(a=["1"], b=["2"], c=["3"])[:-1], "not a Parquet file"),
    "packed.parquet.gz": (gz(b""), "packed.parquet.gz: neither"),
    "picture.png": (b"a,b,c\n", "picture.png: neither"),
    "no column.csv": (b"a,x,y\n1,2,3\n", "no column b, c; the file has a, x, y"),
    "no column.jsonl": (b'{"a":1,"B ":2}\n{}\n', "no column c; the file has a, B "),
    "no columns.jsonl": (b"{}\n", "no column a, b, c; the file has "),
    "no column.parquet": (parquet(a=[1], b=[2]), "no column c; the file has a, b"),
    "twice.csv": (b"a,b,c,A\n1,2,3,4\n", "two columns for a: a, A"),
    "twice.jsonl": (b'{"a":1,"A":2,"b":1,"c":1}\n', "two columns for a: a, A"),
    "columns.csv": (b"a," * 10_001, "more than 10,000 columns"),
    # A record is rejected: its number, value and rule.
    "fields.csv": (b"a,b,c\n1,2,3\n\n1,2\n1,2,3,4\n1,2,3\n", [
        (2, "", "line 4: 1,2", FIELDS), (3, "", "line 5: 1,2,3,4", FIELDS)]),
    "text after a quote.csv": (b'a,b,c\n1,"2" x,3\n1,2,3\n', [
        (1, "", 'line 2: 1,"2" x,3', RECORD)]),
    "joined.csv": (b"a,b,c\n1,2,3\na,x,c\n\xef\xbb\xbfa,b,c\n4,5,6\n", [
        (3, "", "line 4: \ufeffa,b,c", HEADER)]),
    "return.csv": (b"a,b,c\n1,2\r,3\n1,2,3\n", [(1, "", "line 2: 1,2\r,3", RECORD)]),
    "spaces.csv": (b"a,b,c\n1,2,3\n   \n", [(2, "", "line 3:    ", FIELDS)]),
    "lines.jsonl": (b'{"a":1,"b":2,"c":3}\n[1]\n{"a":1}}\n{"a":NaN}\n{"a":1,"a":2}\n', [
        (2, "", "line 2: [1]", "is a JSON object"),
        (3, "", 'line 3: {"a":1}}', "is a JSON object"),
        (4, "", 'line 4: {"a":NaN}', "is a JSON object"),
        (5, "", 'line 5: {"a":1,"a":2}', "is a JSON object")]),
}  # fmt: skip


def test_files_of_all_forms_are_read_as_they_are(downloaded):
    batch = downloaded({name: content for name, (content, _) in GOOD.items()})
    rows, rejected, reasons = process(batch)
    expected = [(f"file:///{name}", *row) for name, (_, found) in GOOD.items() for row in found]
    assert rows == expected
    assert (rejected, reasons) == ([], {})


@pytest.mark.parametrize("name", BROKEN)
def test_a_flaw_is_named_and_costs_nothing_else(downloaded, name):
    content, expected = BROKEN[name]
    good = {"0.csv": b"a,b,c\nx,y,z\n", "1.csv": b"a,b,c\nx,y,z\n"}
    source = replace(ABC, max_line_bytes=500, max_decoded_bytes=50_000)
    if name == "columns.csv":
        source = ABC
    batch = downloaded({"0.csv": good["0.csv"], name: content, "1.csv": good["1.csv"]})
    rows, rejected, reasons = process(batch, source)
    assert [row[1:] for row in rows if row[0] in {"file:///0.csv", "file:///1.csv"}] == [
        ("x", "y", "z")
    ] * 2
    if isinstance(expected, str):
        assert expected in reasons[f"file:///{name}"]
        assert (len(rows), rejected) == (2, [])
    else:
        assert rejected == expected
        assert reasons == {}
        assert len(rows) > 2


def test_slices_of_any_size_give_the_same_rows_and_rejects(downloaded):
    """Also rows of a file that were written before its flaw was found are dropped."""
    files = {**{name: content for name, (content, _) in GOOD.items()}}
    files |= {f"broken {name}": content for name, (content, _) in BROKEN.items()}
    del files["broken columns.csv"]
    files["long.csv"] = b"a,b,c\n" + b"".join(b"%d,2,3\n1,2\n" % n for n in range(300))
    files["long, quote never closed.csv"] = files["long.csv"] + b'1,"'
    files["long, no column.jsonl"] = b'{"a":1,"b":2}\n' * 300
    source = replace(ABC, max_line_bytes=90_000)
    found = []
    for number, size in enumerate((1 << 20, 1000)):
        with sized(size, max(1, size // 50)):
            rows, rejected, reasons = process(downloaded(files, number), source)
        reasons = {key: re.sub("only [0-9,]+", "only", each) for key, each in reasons.items()}
        found.append((rows, rejected, reasons))
    assert found[0][0]
    assert found[0] == found[1]
    assert not {row[0] for row in found[0][0]} & set(found[0][2])


@contextmanager
def sized(chunk, records):
    """Read files in slices of some bytes and records."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (decoding, documents, parquet_files, streams):
            for name, value in (("CHUNK", chunk), ("RECORDS", records)):
                if hasattr(module, name):
                    patch.setattr(module, name, value)
        yield


def read(text, cuts=(), source=ABC):
    """Return the records of a CSV file by number, refused ones as their rule, or its flaw."""
    ends = sorted({*(text.find(b"\n") + 1 + cut for cut in cuts), len(text)})
    chunks = [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    columns = Columns(("a", "b"), {"a": "a", "b": "b"}, frozenset("ab"), "drop")
    found = {}
    try:
        for piece in read_csv([*filter(None, chunks), b""], source, columns, {}):
            assert list(piece.frame.columns) == ["a", "b"]
            values = piece.frame.astype(object).where(piece.frame.notna(), None)
            found |= dict(zip(piece.frame.index.tolist(), values.to_numpy().tolist(), strict=True))
            found |= {number: rule for number, _, rule in piece.refused}
    except Flaw as flaw:
        return str(flaw)
    assert sorted(found) == list(range(1, len(found) + 1))
    return dict(sorted(found.items()))


TEXT = st.lists(
    st.sampled_from(['"', ",", "\n", "\r\n", "\r", "x", "é", " ", '""', '"x"', '",', ',"'])
)
LINES = st.lists(
    st.sampled_from(
        ["1,2", '"1",2', '"1\n1",""', '1,"2,""2"', '1,2"', "1", '"1"2,3', "", '1,"2', '"']
    ),
    max_size=8,
)


@given(TEXT.map("".join) | LINES.map("\n".join), st.lists(st.integers(0, 50), max_size=4))
@settings(max_examples=200)
def test_a_csv_file_is_read_as_pythons_strict_parser_does_in_any_chunks(text, cuts):
    data = f"a,b\n{text}".encode()
    found = read(data, cuts)
    assert found == read(data)
    try:
        rows = [row for row in csv.reader(re.split("(?<=\n)", text), strict=True) if row]
    except csv.Error:
        assert isinstance(found, str) or RECORD in found.values()
        return
    values = [
        ["" if value is None else value for value in each] if isinstance(each, list) else each
        for each in found.values()
    ]
    assert values == [row if len(row) == 2 else FIELDS for row in rows]


@given(
    st.lists(st.tuples(st.sampled_from("xy"), st.integers(1, 9)), max_size=40),
    st.integers(40, 300),
    st.integers(1, 7),
)
@settings(max_examples=60)
def test_records_that_belong_together_are_never_in_two_slices(groups, chunk, records):
    numbered = [(value, n) for n, (value, count) in enumerate(groups) for _ in range(count)]
    texts = {
        "0.csv": "a,b\n" + "".join(f"{value},{n}\n" for value, n in numbered),
        "1.jsonl": "".join(json.dumps({"a": value, "b": n}) + "\n" for value, n in numbered),
    }
    columns = Contract("lines", (), pyarrow.schema([]), None, ())
    source = Files(columns=("a", "b"), together="a")
    with tempfile.TemporaryDirectory() as folder, sized(chunk, records):
        files = []
        for name, text in texts.items():
            path = Path(folder) / name
            path.write_text(text)
            outcome = Outcome(path.as_uri(), Status.OK)
            files.append(FetchedFile(outcome, path, 0, len(text), "", ""))
        slices = list(FileReader(PIPELINE, source, columns).slices(files))
    found = [
        (key, *map(str, row))
        for each in slices
        for key, row in zip(each.keys, each.frame().to_numpy().tolist(), strict=True)
    ]
    assert found == [(file.outcome.key, value, str(n)) for file in files for value, n in numbered]
    for before, after in pairwise(slices):
        last, first = before.frame().iloc[-1], after.frame().iloc[0]
        assert before.keys[-1] != after.keys[0] or last["a"] != first["a"]


class Typed(pa.DataFrameModel):
    order: str
    amount: pandas_engine.Decimal = pa.Field(dtype_kwargs={"precision": 8, "scale": 2})
    day: pandas_engine.Date = pa.Field(nullable=True)
    row: int


TYPED = {"contract": Typed, "key": ("order", "row")}
DAY = date(2026, 1, 2)
HALF = Decimal("1.50")
MISSING = "no column amount; the file has order, day"
DRIFT = {
    # Content, options of Files, rows or the reason, and the columns that are dropped.
    "reordered.csv": (b"day,amount,order\n2026-01-02,1.5,x\n", {}, [("x", HALF, DAY, 1)], {}),
    "other case.csv": (b"ORDER, Amount ,Day\nx,1.50,\n", {}, [("x", HALF, None, 1)], {}),
    "optional.csv": (b"order,amount\nx,1.5\ny,1.5\n", {}, [
        ("x", HALF, None, 1), ("y", HALF, None, 2)], {}),
    "missing.csv": (b"order,day\nx,\n", {}, MISSING, {}),
    "missing.jsonl": (b'{"order":"x","day":null}\n', {}, MISSING, {}),
    "missing.parquet": (parquet(order=["x"], day=[DAY]), {}, MISSING, {}),
    "extra.csv": (b"z,order,,amount,Z\n1,x,2,1.5,3\n", {}, [("x", HALF, None, 1)], {
        "z": 1, "column 3": 1, "Z": 1}),
    "extra.jsonl": (b'{"z":{},"order":"x","amount":1.5}\n', {}, [("x", HALF, None, 1)], {"z": 1}),
    "extra.parquet": (parquet(z=[1], order=["x"], amount=[HALF], day=[DAY]), {}, [
        ("x", HALF, DAY, 1)], {"z": 1}),
    "frozen.csv": (b"order,amount,z,y\nx,1,2,3\n", {"extra": "reject"}, "not name: z, y", {}),
    "frozen.jsonl": (b'{"order":1,"z":2}\n', {"extra": "reject"}, "not name: z", {}),
    "kept.csv": (b"order,amount,row\nx,1.5,7\n", {"extra": "keep"}, [("x", HALF, None, 7)], {}),
    "mapped.csv": (
        b"Name,Total\nx,1.5\n",
        {"columns": {"order": ("amazon-order-id", "Name"), "amount": "total"}},
        [("x", HALF, None, 1)],
        {},
    ),
    "mapped, not its own name.csv": (
        b"Name,amount\nx,1.5\n",
        {"columns": {"order": "Name", "amount": "total"}},
        "no column amount; the file has Name, amount",
        {},
    ),
    "mapped, beside its own name.jsonl": (
        b'{"Name":"x","order":"y","amount":1.5}\n{"Name":"x","amount":1.5}\n',
        {"columns": {"order": "Name", "amount": "amount"}},
        [("x", HALF, None, 1), ("x", HALF, None, 2)],
        {"order": 1},
    ),
    "kept, beside its own name.csv": (
        b"Name,order,amount\nx,y,1.5\n",
        {"columns": {"order": "Name", "amount": "amount"}, "extra": "keep"},
        "two columns for order: Name, order",
        {},
    ),
    "kept twice.jsonl": (
        b'{"order":"x","amount":1.5,"row":1,"row ":2}\n',
        {"extra": "keep"},
        "two columns for row",
        {},
    ),
    "no header.csv": (
        b"x;'1.5'\n",
        {"columns": ["order", "amount"], "header": False, "delimiter": ";", "quote": "'"},
        [("x", HALF, None, 1)],
        {},
    ),
    "no quotes.csv": (b'order,amount\n"x,1.5\n', {"quote": ""}, [('"x', HALF, None, 1)], {}),
    "gb18030.csv": (
        "order,amount\n中文\U0001f600,1.5\n".encode("gb18030"),
        {"encoding": "gb18030"},
        [("中文\U0001f600", HALF, None, 1)],
        {},
    ),
    "utf-16.csv": ("order,amount\nx,1.5\n".encode("utf-16"), {"encoding": "utf-16"}, [
        ("x", HALF, None, 1)], {}),
    "marked as utf-8.csv": (
        "order,amount\né,1.5\n".encode("utf-8-sig"), {"encoding": "latin-1"}, [
        ("é", HALF, None, 1)], {}),
    "nulls.csv": (b'order,amount,day\nx,1.5,NULL\n"NULL",1.5,\n', {"nulls": ["NULL", ""]}, [
        ("x", HALF, None, 1), ("NULL", HALF, None, 2)], {}),
    "told.dat": (gz(b"order,amount\nx,1.5\n"), {"format": "csv", "compression": "gzip"}, [
        ("x", HALF, None, 1)], {}),
    "types.jsonl": (b'{"order":12,"amount":"1.50","day":"2026-01-02"}\n', {}, [
        ("12", HALF, DAY, 1)], {}),
    "types.parquet": (
        parquet(order=[2**60 + 1, 12], amount=pyarrow.array([1.5, 1.5]), day=["2026-01-02", None]),
        {},
        [(str(2**60 + 1), HALF, DAY, 1), ("12", HALF, None, 2)],
        {},
    ),
    "far.parquet": (
        parquet(order=["x"], amount=[HALF], day=[datetime(9999, 12, 31)], int96=True),  # noqa: DTZ001
        {},
        [("x", HALF, date(9999, 12, 31), 1)],
        {},
    ),
    "together.parquet": (parquet(order=[None, 1], amount=[HALF, HALF]), {"together": "order"}, [
        ("1", HALF, None, 2)], {}),
    "categories.parquet": (
        parquet(order=pyarrow.array(["x"]).dictionary_encode(), amount=[1]), {}, [
        ("x", Decimal(1), None, 1)], {}),
    "nothing but optional.csv": (b"z\n1\n2\n", {"optional": ["amount", "day", "order"]}, [], {"z": 1}),
}  # fmt: skip


@pytest.mark.parametrize("name", DRIFT)
def test_columns_that_drift(downloaded, name):
    content, options, expected, dropped = DRIFT[name]
    batch = downloaded({name: content})
    pipeline = replace(PIPELINE, source=Files(**options), **TYPED)
    closed = process_batch(batch, Loaded(pipeline, "code"), as_of=AS_OF)
    found = pq.read_table(batch.rows_file, columns=["order", "amount", "day", "row"]).to_pylist()
    assert closed.dropped_columns == dropped
    if isinstance(expected, str):
        assert expected in batch.failed()[f"file:///{name}"].reason
    else:
        assert [tuple(row.values()) for row in found] == expected


def test_files_of_other_types_are_not_in_one_slice_and_bad_values_are_rejected(downloaded):
    files = {
        "a.csv": b"order,amount\nx,1.5\n007,1.505\n",
        "b.parquet": parquet(order=["x"], amount=[1.505]),
        "c.parquet": parquet(order=[1, None], amount=pyarrow.array([1, 2], pyarrow.int8())),
        "d.jsonl": b'{"order":"x","amount":[]}\n{"order":"x","amount":1}\n',
    }
    types = []

    def rows(records):
        types.append(str(records["order"].dtype))
        return records

    batch = downloaded(files)
    pipeline = replace(PIPELINE, source=Files(), transform=rows, **TYPED)
    closed = process_batch(batch, Loaded(pipeline, "code"), as_of=AS_OF)
    assert types == ["str", "str", "Int64", "object"]
    rule = "is a decimal number that fits precision and scale"
    assert [tuple(row.values())[1:] for row in read_jsonl(batch.rejected_file)] == [
        (2, "amount", "1.505", rule),
        (1, "amount", "1.505", rule),
        (2, "order", "null", "not_nullable"),
        (1, "amount", "[]", rule),
    ]
    assert list(batch.invalid()) == ["file:///b.parquet"]
    assert closed.rows == 3


def test_rows_are_in_the_order_of_files_whatever_the_transform_returns(downloaded):
    files = {f"{n}.csv": f"a,b,c\n{9 - n},,\n{n},,\n".encode() for n in range(3)}
    batch = downloaded(files)
    rows, *_ = process(batch, transform=lambda records: records.sort_values("a"))
    assert [(item[-5], a) for item, a, *_ in rows] == [
        ("0", "0"), ("0", "9"), ("1", "1"), ("1", "8"), ("2", "2"), ("2", "7")]  # fmt: skip


def test_each_gets_documents_with_null_and_exact_numbers(downloaded):
    files = {
        "a.csv": b"a,b,c\n1,,x\n",
        "b.parquet": parquet(a=[2**60 + 1, None], b=[[2**60 + 1, None], None], c=[True, None]),
        "c.jsonl": b'{"a":1,"c":{"d":null}}\n',
    }
    found = []
    process(
        downloaded(files),
        replace(ABC, optional=("b",)),
        each=lambda record: found.append(record) or [],
    )
    assert found == [
        {"a": "1", "b": None, "c": "x"},
        {"a": 2**60 + 1, "b": [2**60 + 1, None], "c": True},
        {"a": None, "b": None, "c": None},
        {"a": 1, "b": None, "c": {"d": None}},
    ]


def test_an_item_with_a_broken_line_is_rejected_if_the_author_says_so(downloaded):
    text = "a,b,c\n" + "1,2,3\n" * 60
    files = {"a.csv": text.encode(), "b.csv": f"{text}1,2\n".encode()}
    with sized(100, 10):
        rows, rejected, reasons = process(downloaded(files), reject="item")
    assert {row[0] for row in rows} == {"file:///a.csv"}
    assert [row[0] for row in rejected] == list(range(1, 62))
    assert reasons == {"file:///b.csv": f"{FIELDS}: 'line 62: 1,2'"}


def test_rows_must_be_unique_in_all_slices_of_valid_files(downloaded):
    class Contract(Line):
        class Config:
            unique = ["a", "b"]  # noqa: RUF012 - pandera's form

    lines = "".join(f"{n % 40},,{n}\n" for n in range(60))
    files = {
        "0.csv": f'a,b,c\n{lines}1,2,"'.encode(),
        "1.csv": f"a,b,c\n{lines}".encode(),
        "2.csv": b"a,b,c\n,1,1\n,1,2\n39,,1\n40,,1\n",
    }
    with sized(100, 10):
        rows, rejected, reasons = process(downloaded(files), contract=Contract)
    assert [row[1:] for row in rows] == [(str(n), None, str(n)) for n in range(40)] + [
        (None, "1", "1"),
        ("40", None, "1"),
    ]
    assert rejected == [
        *((n, "", "", "unique") for n in range(41, 61)),
        (2, "", "", "unique"),
        (3, "", "", "unique"),
    ]
    assert list(reasons) == ["file:///0.csv"]


def test_records_that_belong_together_have_a_limit(downloaded, monkeypatch):
    monkeypatch.setattr(decoding, "_TOGETHER", 1000)
    files = {
        "a.csv": b"a,b,c\n" + b"1,2,3\n" * 100 + b"2,2,3\n",
        "b.csv": b"a,b,c\n" + b"1,2,3\n" * 999,
    }
    with sized(100, 10):
        rows, _, reasons = process(downloaded(files), replace(ABC, together="a"))
    assert len(rows) == 101
    assert reasons == {
        "file:///b.csv": "more than 1,000 bytes of consecutive records with the same a"
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"together": "z"}, "'z'"),
        ({"optional": ["z"]}, "'z'"),
        ({"columns": {"a": "A", "b": "a "}}, "two columns of Files are named 'a '"),
    ],
)
def test_a_mistake_in_the_columns_of_the_source_is_named(downloaded, options, message):
    with pytest.raises(BadPipeline, match=message):
        process(downloaded({}), Files(**options))


def test_texts_that_repeat_in_a_parquet_file_are_unpacked_in_small_pieces():
    """300 MB in a file of a few KB: memory is bounded, and the decoded size is limited."""
    once = pyarrow.DictionaryArray.from_arrays([0] * 300, ["x" * 10**6])
    sink = pyarrow.BufferOutputStream()
    pq.write_table(pyarrow.table({"a": once}), sink, store_schema=False)
    source = replace(ABC, columns=("a",), max_decoded_bytes=100 << 20)
    columns = Columns(("a",), {"a": "a"}, frozenset("a"), "drop")

    def most(**limits):
        before = pyarrow.total_allocated_bytes()
        pieces = read_parquet(
            pyarrow.BufferReader(sink.getvalue()), replace(source, **limits), columns, {}
        )
        return max(pyarrow.total_allocated_bytes() - before for _ in pieces)

    assert most(max_decoded_bytes=64 << 30) < 64 << 20
    with pytest.raises(Flaw, match="more than 104,857,600 bytes after decompression"):
        most()
    with pytest.raises(Flaw, match="a value has more than 999,999 bytes"):
        most(max_line_bytes=999_999)
