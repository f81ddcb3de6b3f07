"""Consolidate: every row and outcome of the batches once, in order, and the tolerance."""

from __future__ import annotations

import csv
import gzip
import hashlib
import itertools
import random
import resource
import threading
from collections import Counter
from datetime import datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanfold.errors import Inconsistent, ToleranceExceeded, WorkspaceUnavailable
from fanfold.messages import ENGINE
from fanfold.model import Counts, Manifest, Outcome, RunStatus, Status
from fanfold.stages import consolidating
from fanfold.stages.consolidating import tables
from fanfold.stages.consolidating.tables import ROW_GROUP, write_table
from fanfold.stages.consolidating.tolerance import check_tolerance
from fanfold.workspace.batch import ITEM
from fanfold.workspace.csv_cells import for_csv
from fanfold.workspace.failure_groups import read_groups
from fanfold.workspace.files import read_json, read_jsonl, write_jsonl

VERSION = "5eed5eed"
REJECTED_LINE = {"order_id": ""}


def line(order, number=1, **values):
    return {"order_id": order, "line": number, "price": "1.5", "tags": [], **values}


def rows_of(run):
    """The rows in the Parquet file, which are those of the CSV file."""
    table = pq.read_table(run.workspace.table("order_lines"))
    rows = list(zip(table["order_id"].to_pylist(), table["line"].to_pylist(), strict=True))
    path = run.workspace.dataset / "order_lines.csv.gz"
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        assert [(row["order_id"], int(row["line"])) for row in csv.DictReader(file)] == rows
    return rows


@pytest.mark.parametrize("size", [1, 5, 50])
def test_every_row_and_every_outcome_is_there_once_in_order(orders, size):
    """All pairs of neighbouring ends of an item, in batches of any size."""
    ends = {
        "rows": lambda n: [line(f"o{n}", 2), line(f"o{n}", 1), line(f"o{n}", 3)],
        "no rows": lambda _: [],
        "some rejected": lambda n: [REJECTED_LINE, line(f"o{n}"), REJECTED_LINE],
        "all rejected": lambda _: [REJECTED_LINE],
        "missing": lambda _: "missing",
        "failed": lambda _: "failed",
        "not fetched": lambda _: None,
    }
    fates = [fate for pair in itertools.product(ends, repeat=2) for fate in pair]
    run = orders([ends[fate](n) for n, fate in enumerate(fates)], batch_size=size)
    manifest = run.consolidate()
    assert run.closed == 0
    tally = Counter(fates)
    assert manifest.counts == Counts(
        planned=len(fates),
        ok=tally["rows"] + tally["no rows"] + tally["some rejected"],
        missing=tally["missing"],
        invalid=tally["all rejected"],
        failed=tally["failed"] + tally["not fetched"],
    )
    kept = {"rows": [2, 1, 3], "some rejected": [1]}
    expected = [(f"o{n}", number) for n, fate in enumerate(fates) for number in kept.get(fate, ())]
    assert rows_of(run) == expected
    assert pq.read_schema(run.workspace.table("order_lines")).equals(run.schema)
    lines = {
        name: list(read_jsonl(run.workspace.dataset / f"{name}.jsonl"))
        for name in ("failed", "missing", "rejected")
    }
    lost = {"failed": {"all rejected", "failed", "not fetched"}, "missing": {"missing"}}
    for name, of in lost.items():
        keys = [f"file-{n}.csv" for n, fate in enumerate(fates) if fate in of]
        assert [each["key"] for each in lines[name]] == keys
    refused = {"some rejected": 2, "all rejected": 1}
    assert [each["item"] for each in lines["rejected"]] == [
        f"file-{n}.csv" for n, fate in enumerate(fates) for _ in range(refused.get(fate, 0))
    ]
    assert (manifest.rows, manifest.rejected) == (len(expected), len(lines["rejected"]))
    groups = {of: read_groups(run.workspace.failures, of=of) for of in ("items", "rows")}
    assert sum(group.count for group in groups["items"]) == len(lines["failed"]) + len(
        lines["missing"]
    )
    assert [group.count for group in groups["rows"]] == [manifest.rejected]


def test_the_manifest_has_sizes_and_digests_of_the_files_and_their_tables(orders):
    run = orders([[line("a"), line("b")], "missing", [REJECTED_LINE, line("c")], "failed"])
    manifest = run.consolidate()
    assert Manifest.from_json(read_json(run.workspace.manifest)) == manifest
    assert run.consolidate().files == manifest.files
    assert [(entry.key, entry.table, entry.rows) for entry in manifest.files] == [
        ("order_lines.parquet", "order_lines", 3),
        ("order_lines.csv.gz", "order_lines", 3),
        ("failed.jsonl", "", 1),
        ("missing.jsonl", "", 1),
        ("rejected.jsonl", "", 1),
    ]
    assert (manifest.requests, manifest.code) == (6, "c0de")
    for entry in manifest.files:
        content = (run.workspace.dataset / entry.key).read_bytes()
        assert (entry.bytes, entry.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_a_batch_is_closed_again_if_it_is_not_or_by_other_code_or_was_fetched_since(orders):
    run = orders([[line("a")], [line("b")], "failed", [line("d")]], batch_size=1)
    run.workspace.batch(0).closed_file.unlink()
    later = [(Outcome("file-2.csv", Status.OK, attempts=1), [line("c")])]
    run.workspace.batch(2).write_part(2, later, VERSION)
    run.consolidate()
    assert (run.closed, rows_of(run)) == (2, [(order, 1) for order in "abcd"])
    run.loaded = type(run.loaded)(run.loaded.pipeline, "0ther")
    assert run.consolidate().code == "0ther"
    assert run.closed == 6


def test_records_of_another_version_of_the_source_are_refused_with_their_batches(orders):
    run = orders([[line(str(number))] for number in range(4)], batch_size=1)
    other = [(Outcome("file-2.csv", Status.OK, attempts=1), [line("c")])]
    run.workspace.batch(2).write_part(2, other, "01d01d01")
    with pytest.raises(
        Inconsistent, match=r"batches 2 were .*another version.*Clear `batch.fetch`"
    ):
        run.consolidate()
    with pytest.raises(Inconsistent, match="batches 0, 1, 2, 3 were"):
        run.consolidate("0ther")
    assert not run.workspace.manifest.exists()


@pytest.mark.parametrize(
    ("fates", "status"),
    [
        ([], RunStatus.EMPTY),
        ([[line("a")], "missing"], RunStatus.COMPLETE),
        ([[]], RunStatus.COMPLETE),
        ([[line("a")], [REJECTED_LINE]], RunStatus.PARTIAL),
        ([[line("a"), REJECTED_LINE]], RunStatus.PARTIAL),
        ([[line("a")], "failed"], RunStatus.PARTIAL),
    ],
    ids=["no items", "missing", "no rows", "invalid", "rejected", "failed"],
)
def test_the_status_follows_outcomes_and_rejected_rows(orders, fates, status):
    run = orders(fates)
    assert run.consolidate().status is status
    assert pq.read_schema(run.workspace.table("order_lines")).equals(run.schema)


def test_a_redrive_under_a_clock_that_was_set_back_does_not_end_earlier(orders, monkeypatch):
    """The warehouse orders the results of a run by their end."""

    class SetBack(datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2025, 12, 30, tzinfo=tz)

    run = orders([[line("a")], "failed"])
    first = run.consolidate()
    monkeypatch.setattr(consolidating, "datetime", SetBack)
    assert run.consolidate().finished_at == first.finished_at
    run.workspace.manifest.unlink()
    assert run.consolidate().finished_at == first.started_at


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda batch: batch.rows_file.unlink(), "No such file"),
        (lambda batch: batch.rows_file.write_bytes(b"PAR1"), "Parquet"),
        (lambda batch: pq.write_table(pa.table({ITEM: ["a"]}), batch.rows_file), "columns"),
        (
            lambda batch: pq.write_table(
                pq.read_table(batch.rows_file).slice(0, 1), batch.rows_file
            ),
            "1 rows instead of 2",
        ),
        (lambda batch: batch.failed_file.write_bytes(b""), "0 lines instead of 1"),
        (lambda batch: batch.failed_file.write_bytes(b"{}\n"), "'status'"),
        (lambda batch: batch.rejected_file.unlink(), "missing"),
    ],
    ids=[
        "no rows",
        "damaged rows",
        "other columns",
        "lost row",
        "lost line",
        "torn line",
        "lost file",
    ],
)
def test_a_damaged_file_of_a_batch_is_named_with_the_task_to_clear(orders, spoil, reason):
    run = orders([[line("a")], [line("b"), line("c")], "failed"], batch_size=1)
    good = run.consolidate()
    spoil(run.workspace.batch(2 if reason in {"0 lines instead of 1", "'status'"} else 1))
    with pytest.raises(Inconsistent, match=rf"{reason}.*Clear `batch.process` of batch [12]"):
        run.consolidate()
    assert Manifest.from_json(read_json(run.workspace.manifest)) == good


def test_batches_that_contradict_the_plan_are_refused(orders):
    run = orders([[line(str(number))] for number in range(4)], close=False)
    write_jsonl(run.workspace.batch(1).items_file, [])
    with pytest.raises(Inconsistent, match="The plan has 4 items, but its batches have 3"):
        run.consolidate()


def test_too_many_lost_items_or_rows_stop_the_run_with_reasons_and_params(orders):
    fates = [[line("a"), line("b"), REJECTED_LINE], [line("c")], "failed", [REJECTED_LINE]]
    run = orders([*fates, "missing"])
    manifest = run.consolidate()
    check_tolerance(run.workspace, manifest, 40, 40)
    with pytest.raises(ToleranceExceeded) as caught:
        check_tolerance(run.workspace, manifest, 39.9, 40)
    message = str(caught.value)
    assert (
        "2 of 5 items are failed or invalid (40.0%), but tolerated_failure_percentage is 39.9: 1 × "
        in message
    )
    assert "5 个条目中有 2 个失败或无效（40.0%）" in ENGINE.translate(caught.value.message, "zh")
    assert "clear `batch.fetch`" in message
    assert "rows" not in message
    with pytest.raises(ToleranceExceeded) as caught:
        check_tolerance(run.workspace, manifest, 40, 39.9)
    message = str(caught.value)
    assert "2 of 5 rows break the contract (40.0%), but tolerated_rejected_percentage" in message
    assert "2 × order_id breaks the rule 'not_nullable' (such as " in message


# Parquet and CSV


def test_the_bytes_depend_on_the_rows_and_not_on_the_batches(tmp_path):
    """Categories come with the dictionary of each batch."""
    rows = ROW_GROUP * 2 + 5
    table = pa.table(
        {
            "id": pa.array(range(rows)),
            "word": [f"word {number % 41}" for number in range(rows)],
            "kind": ["abcde"[number // 9000] for number in range(rows)],
        }
    )
    schema = table.schema.set(2, pa.field("kind", pa.dictionary(pa.int8(), pa.string())))
    digests = set()
    for size in (1000, 7777, ROW_GROUP, rows):
        paths = tmp_path / f"{size}.parquet", tmp_path / f"{size}.csv.gz"
        batches = [
            part.set_column(2, "kind", part["kind"].dictionary_encode()).cast(schema)
            for part in table.to_batches(size)
        ]
        assert write_table(*paths, schema, batches) == rows
        digests.add(tuple(path.read_bytes() for path in paths))
        with pq.ParquetFile(paths[0]) as file:
            groups = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
            assert groups == [ROW_GROUP, ROW_GROUP, 5]
            assert file.read()["kind"].cast(pa.string()).equals(table["kind"])
    assert len(digests) == 1


def test_a_disk_that_was_full_for_the_csv_alone_ends_the_table_and_its_thread(
    tmp_path, monkeypatch
):
    """Another thread writes the CSV. It is larger: gzip does not see that the texts repeat."""
    monkeypatch.setattr(tables, "ROW_GROUP", 100)
    texts = [random.Random(number).randbytes(5_000).hex() for number in range(20)]
    batch = pa.record_batch({"text": texts * 5})
    paths = tmp_path / "t.parquet", tmp_path / "t.csv.gz"
    write_table(*paths, batch.schema, [batch])
    before = [path.read_bytes() for path in paths]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = 2 * len(before[0])
    assert size < len(before[1])
    threads = threading.active_count()

    def batches():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
        yield from [batch, batch]
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    try:
        with pytest.raises(WorkspaceUnavailable, match="File too large"):
            write_table(*paths, batch.schema, batches())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert threading.active_count() == threads
    assert [path.read_bytes() for path in paths] == before
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_rows_that_come_faster_than_the_csv_is_written_wait(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "ROW_GROUP", 1000)
    texts = random.Random(1)
    before = pa.total_allocated_bytes()
    held = []

    def batches():
        for _ in range(30):
            yield pa.record_batch({"text": [texts.randbytes(500).hex() for _ in range(1000)]})
            held.append(pa.total_allocated_bytes() - before)

    schema = pa.schema([("text", pa.string())])
    assert write_table(tmp_path / "t.parquet", tmp_path / "t.csv.gz", schema, batches()) == 30_000
    assert 1_000_000 < max(held) < 10_000_000


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_in_the_csv_are_the_texts_that_arrow_writes(unit):
    times = [None, -(10**11), -951782401, -1, 0, 1, 951782400, 10**11 + 1]
    rows = pa.table({"at": pa.array(times, pa.timestamp(unit, "UTC"))})
    sink = pa.BufferOutputStream()
    pa_csv.write_csv(rows, sink, pa_csv.WriteOptions(include_header=False))
    texts = ["" if text is None else text for text in for_csv(rows)["at"].to_pylist()]
    assert texts == sink.getvalue().to_pybytes().decode().splitlines()


@given(
    st.sampled_from(["", "=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "'="]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)
def test_a_cell_that_a_spreadsheet_would_run_is_quoted_and_no_other_is_changed(start, text):
    value = start + text
    cell = for_csv(pa.table({"name": [value]}))["name"][0].as_py()
    runs = value[:1] != "" and value[0] in "=+-@\t\r\n＝＋－＠"
    assert cell == ("'" + value if runs else value)


def test_the_csv_has_numbers_times_lists_and_hostile_text_as_they_are(orders):
    name = '=cmd()|"x", <script>\r\n\u202e名'
    full = {"weight": 0.1, "tags": ["ä", '"', None], "product": name}
    run = orders([[line("-1", price="-0.00000001", **full), line(name, price="0", tags=None)]])
    run.consolidate()
    path = run.workspace.dataset / "order_lines.csv.gz"
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        first, second = csv.DictReader(file)
    assert first == {
        "order_id": "'-1",
        "line": "1",
        "product": "'" + name,
        "price": "-0.00000001",
        "weight": "0.1",
        "tags": '["ä", "\\"", null]',
        "as_of": "2026-01-01 00:00:00.000000Z",
    }
    assert (second["order_id"], second["price"]) == ("'" + name, "0.00000000")
    assert second["weight"] == second["tags"] == second["product"] == ""
    table = pq.read_table(run.workspace.table("order_lines"))
    assert table["price"].to_pylist() == [Decimal("-0.00000001"), Decimal(0)]
    assert table["order_id"].to_pylist() == ["-1", name]


def test_row_groups_are_bounded_in_bytes_whatever_the_batches(monkeypatch):
    monkeypatch.setattr(tables, "GROUP_BYTES", 10_000)
    kind = pa.struct({"list": pa.list_(pa.string()), "map": pa.map_(pa.string(), pa.binary())})
    values = [
        None
        if n % 7 == 0
        else {"list": None if n % 3 == 0 else ["x" * n, None], "map": [("k", b"y" * n)]}
        for n in range(200)
    ]
    nested, texts = pa.array(values, kind), pa.array(["z" * (n * 37 % 900) for n in range(200)])
    whole = pa.record_batch({"nested": nested, "text": texts, "kind": texts.dictionary_encode()})

    def groups(size):
        batches = [whole.slice(start, size) for start in range(0, 200, size)]
        return [len(group) for group in tables.row_groups(batches)]

    found = groups(200)
    assert sum(found) == 200
    assert 20 < len(found) < 60
    assert found == groups(1) == groups(7) == groups(64)
    assert next(tables.row_groups([whole])).to_pylist() == whole.to_pylist()[: found[0]]
