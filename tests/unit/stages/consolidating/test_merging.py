"""Mode merge: the dataset after any runs in any order is that of all current files, or newest rows."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandera.pandas as pa_schema
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanfold.errors import Inconsistent, ToleranceExceeded
from fanfold.loader import Loaded
from fanfold.model import Basis, Counts, Forecast, Outcome, Plan, RunIdentity, RunStatus, Status
from fanfold.pipeline import Fold, Pipeline
from fanfold.sources import Compute, Files
from fanfold.stages.consolidating import consolidate, merging, tables
from fanfold.stages.consolidating.tolerance import check_tolerance
from fanfold.stages.processing import arrow_schema
from fanfold.workspace.base import Base, BaseRef, LedgerRow, read_ledger, write_base_ref
from fanfold.workspace.batch import ITEM
from fanfold.workspace.files import write_json, write_jsonl
from fanfold.workspace.paths import Workspace
from fanfold.workspace.progress import Closed, write_closed

START = datetime(2026, 1, 1, tzinfo=UTC)


class Line(pa_schema.DataFrameModel):
    """A row: its keys, when it changed, whether it was cancelled, and a value."""

    order: str
    at: pa.float64 = pa_schema.Field(nullable=True)  # type: ignore[valid-type]
    cancelled: bool = pa_schema.Field(nullable=True)
    value: int


class WithNote(Line):
    """The contract with one more column."""

    note: str = pa_schema.Field(nullable=True)


class Renamed(Line):
    """The contract with a column that rows of before cannot have."""

    currency: str


class Wider(Line):
    """The contract with a wider type."""

    value: float


class Narrower(Line):
    """The contract with a type that Arrow rounds to without an error."""

    at: pa.float32 = pa_schema.Field(nullable=True)  # type: ignore[valid-type]


FILES = Pipeline(
    name="orders",
    noun="file",
    source=Files(),
    contract=Line,
    key=("order",),
    mode="merge",
    newest="at",
    deleted="cancelled",
)
COMPUTED = replace(FILES, source=Compute(function=dict))


@dataclass(frozen=True)
class End:
    """What became of an item in a run: its rows ``(order, at, cancelled, value)``, or a status."""

    item: str
    rows: tuple = ()
    status: str = "ok"
    modified: int = 0
    rejected: int = 0


@dataclass
class Shop:
    """Runs of a pipeline, one after the other published."""

    folder: Path
    pipeline: Pipeline = FILES
    base: Base | None = None
    manifest: object = None
    workspace: Workspace | None = None
    code: str = "c0de"
    runs: list = field(default_factory=list)

    def run(self, ends, *, day=None, ref=None, batch_size=2, publish=True):
        """Consolidate a run and make it the base of the next one; return its manifest."""
        number = len(self.runs)
        as_of = START + timedelta(days=number if day is None else day)
        workspace = Workspace(self.folder / f"run-{number}")
        self._write(workspace, ends, as_of, batch_size)
        seen = self.base.manifest if self.base else None
        write_base_ref(workspace, ref or BaseRef(seen.generation if seen else 0))
        run = RunIdentity("orders", f"run-{number}", as_of)
        self.runs.append((workspace, run))
        return self.consolidate(number, publish=publish)

    def consolidate(self, number, *, publish=True):
        """Consolidate a run, again."""
        workspace, run = self.runs[number]
        made = consolidate(
            workspace,
            run,
            Loaded(self.pipeline, self.code),
            lambda batch: pytest.fail(f"batch {batch.number} is not closed"),
            schema=arrow_schema(self.pipeline.contract),
            version="",
            base=self.base,
        )
        self.workspace, self.manifest = workspace, made
        if publish:
            self.base = self.published(number, made)
        return made

    def published(self, number, manifest):
        dataset = self.runs[number][0].dataset
        paths = [dataset / manifest.file_of("", form).key for form in ("state", "ledger")]
        return Base(manifest, f"sha of {number}", *paths)

    def _write(self, workspace, ends, as_of, size):
        plan = Plan(
            "orders", len(ends), 0, tuple(range(0, len(ends), size)), "", "",
            Forecast(0, None, Basis.UNKNOWN), pipeline="orders",
        )  # fmt: skip
        write_json(workspace.plan, plan.as_json())
        fields = arrow_schema(self.pipeline.contract)
        schema = pa.schema([pa.field(ITEM, pa.string(), nullable=False), *fields])
        for number, start in enumerate(plan.starts):
            some = ends[start : start + size]
            batch = workspace.batch(number)
            write_jsonl(batch.items_file, [end.item for end in some])
            write_jsonl(
                batch.attributes_file,
                [{"etag": f"e{end.modified}", "modified": modified(end)} for end in some],
            )
            failed = [
                Outcome(end.item, Status(end.status), "why") for end in some if end.status != "ok"
            ]
            write_jsonl(batch.failed_file, [outcome.as_json() for outcome in failed])
            rejected = [{"item": end.item} for end in some for _ in range(end.rejected)]
            write_jsonl(batch.rejected_file, rejected)
            names = (*Line.to_schema().columns, "note", "currency")
            rows = [
                {
                    ITEM: end.item,
                    "as_of": as_of,
                    **dict(zip(names, (*row, "x", "EUR"), strict=True)),
                }
                for end in some
                for row in end.rows
            ]
            pq.write_table(pa.Table.from_pylist(rows, schema), batch.rows_file)
            statuses = [end.status for end in some]
            counts = Counts(len(some), **{name: statuses.count(name) for name in set(statuses)})
            closed = Closed(number, counts, 0, len(rows), len(rejected), code=self.code)
            write_closed(batch, closed)

    def rows(self, *names):
        table = pq.read_table(self.workspace.table("orders"), columns=list(names) or None)
        return [tuple(row.values()) for row in table.to_pylist()]

    def ledger(self):
        return list(read_ledger(self.workspace.dataset / "orders.ledger.parquet"))


def modified(end):
    return f"2026-01-01T00:00:{end.modified:02d}.000Z"


@pytest.fixture
def shop(tmp_path):
    return Shop(tmp_path)


def newest_of(candidates, rank):
    """The reference: the newest row of each key by ``rank``, unless it is deleted."""
    best = {}
    for row in candidates:
        _, (order, *_), *_ = row
        if order not in best or rank(row) > rank(best[order]):
            best[order] = row
    return [row for row in candidates if best[row[1][0]] is row and not row[1][2]]


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["A", "B", "C", "é"]),
        st.sampled_from([None, 1.0, 2.0]),
        st.sampled_from([None, False, False, True]),
    ),
    max_size=5,
)
STATUSES = st.sampled_from(["ok", "ok", "ok", "ok", "missing", "failed", "invalid"])
RUNS = st.lists(
    st.dictionaries(
        st.sampled_from(["f1", "f2", "f3", "é4"]), st.tuples(ROWS, STATUSES), max_size=4
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=20, deadline=None)
@given(RUNS, st.data())
def test_files_read_in_any_runs_published_in_any_order_give_the_dataset_of_all_current_files(
    runs, data
):
    """The runs overlap: each listed the files before any other was published."""
    value = iter(range(10_000))
    history = [
        [
            End(
                item,
                tuple((*row, next(value)) for row in rows) if status == "ok" else (),
                status,
                n,
            )
            for item, (rows, status) in ends.items()
        ]
        for n, ends in enumerate(runs)
    ]
    order = data.draw(st.permutations(range(len(runs))))
    current, known = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        shop = Shop(Path(folder))
        for number in order:
            if not history[number]:
                continue
            made = shop.run(history[number], day=number, ref=BaseRef())
            for end in history[number]:
                if end.modified >= known.get(end.item, end).modified:
                    known[end.item] = end
                    if end.status in {"ok", "missing"}:
                        current[end.item] = end.rows
        if not known:
            return
        candidates = [
            (item, row, number)
            for item in sorted(current)
            for number, row in enumerate(current[item])
        ]
        rank = lambda row: (row[1][1] is not None, row[1][1] or 0, row[0], row[2])  # noqa: E731
        expected = [row[1] for row in newest_of(candidates, rank)]
        found = shop.rows("order", "at", "cancelled", "value")
        assert found == expected
        lost = [end for end in known.values() if end.status in {"failed", "invalid"}]
        assert made.pending == len(lost)
        assert made.rows + made.superseded + made.deleted == len(candidates)
        assert [row.rows for row in shop.ledger()] == [
            len(current.get(item, ())) for item in sorted(known)
        ]
        whole = Shop(Path(folder) / "whole")
        whole.run([End(item, rows) for item, rows in current.items()] or [End("none")])
        assert whole.rows("order", "at", "cancelled", "value") == found


@settings(max_examples=12, deadline=None)
@given(RUNS, st.data())
def test_computed_rows_merged_in_any_order_of_runs_are_the_newest_of_each_key(runs, data):
    value = iter(range(10_000))
    history = [
        [End(item, tuple((*row, next(value)) for row in rows)) for item, (rows, _) in ends.items()]
        for ends in runs
    ]
    order = data.draw(st.permutations(range(len(runs))))
    candidates = sorted(
        (
            (end.item, row, day, number)
            for day, ends in enumerate(history)
            for end in ends
            for number, row in enumerate(end.rows)
        ),
        key=lambda row: (row[0], row[2], row[3]),
    )
    rank = lambda row: (row[1][1] is not None, row[1][1] or 0, row[2], row[0], row[3])  # noqa: E731
    expected = [row[1] for row in newest_of(candidates, rank)]
    with tempfile.TemporaryDirectory() as folder:
        shop = Shop(Path(folder), COMPUTED)
        for day in order:
            if history[day]:
                shop.run(history[day], day=day)
        if shop.workspace:
            assert shop.rows("order", "at", "cancelled", "value") == expected


def test_rows_are_placed_between_row_groups_in_the_order_of_items(shop, monkeypatch):
    """Groups of three rows: items of both sides begin and end inside and at the ends of groups."""
    for module in (tables, merging):
        monkeypatch.setattr(module, "ROW_GROUP", 3)
    numbers = iter(range(1000))

    def ends(names, size):
        return [
            End(f"f{n:02d}", tuple((f"o{next(numbers)}", None, None, n) for _ in range(size)))
            for n in names
        ]

    shop.run(ends(range(0, 20, 2), 2), batch_size=3)
    shop.run(ends([*range(1, 20, 2), 20, 4], 5), batch_size=2)
    values = [value for *_, value in shop.rows("order", "value")]
    sizes = {n: 5 if n % 2 or n in {4, 20} else 2 for n in range(21)}
    assert values == [n for n in range(21) for _ in range(sizes[n])]
    with pq.ParquetFile(shop.base.state) as file:
        groups = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
    assert set(groups[:-1]) == {3}


def test_the_same_base_and_run_give_the_same_bytes_and_a_redrive_of_a_published_run_the_same_rows(
    shop,
):
    shop.run([End("a", (("A", 1.0, False, 1),)), End("b", (("B", 1.0, False, 2),))])
    ends = [End("a", (("A", 2.0, False, 3), ("C", 1.0, True, 4))), End("c", (), "failed")]
    once = shop.run(ends, publish=False)
    again = shop.consolidate(1)
    assert (again.files, again.base) == (once.files, "sha of 0")
    rows = shop.rows()
    # Another run is published; then the failed item is fetched.
    shop.run([End("d", (("D", 1.0, False, 5),))])
    redriven = [ends[0], End("c", (("B", 3.0, False, 6),))]
    shop._write(shop.runs[1][0], redriven, START + timedelta(days=1), 2)
    made = shop.consolidate(1)
    assert [value for *_, value in shop.rows("order", "value")] == [3, 6, 5]
    assert rows[0] == shop.rows()[0]
    assert (made.superseded, made.deleted, made.pending, made.run_rows) == (1, 1, 0, 3)


def test_the_ledger_says_what_became_of_each_item_and_its_latest_attributes(shop):
    shop.run([End("b", (("B", None, None, 1),) * 2, modified=1), End("a", (), "failed", 1)])
    shop.run([End("b", (), "invalid", modified=2, rejected=3)])
    attributes = ("e1", None, "2026-01-01T00:00:01.000Z", None)
    assert shop.ledger() == [
        LedgerRow("a", *attributes, "failed", "why", 0, 0, 1, "run-0"),
        LedgerRow(
            "b", "e2", None, "2026-01-01T00:00:02.000Z", None, "invalid", "why", 2, 3, 2, "run-1"
        ),
    ]
    assert shop.manifest.pending == 2
    assert shop.rows("value") == [(1,)]


def test_a_corrected_file_that_drops_a_row_gives_the_row_back_that_it_superseded(shop):
    shop.run([End("a", (("A", 1.0, False, 1),)), End("b", (("A", 2.0, True, 2),))])
    assert shop.rows("value") == []
    shop.run([End("b", (("B", 2.0, False, 3),), modified=1)])
    assert shop.rows("value") == [(1,), (3,)]


def test_a_restored_older_version_of_a_file_counts_if_the_run_saw_the_newer_one(shop):
    shop.run([End("a", (("A", None, None, 1),), modified=9)])
    shop.run([End("a", (("A", None, None, 2),), modified=3)])
    assert shop.rows("value") == [(2,)]


def test_a_rebuild_drops_items_that_it_did_not_read_and_keeps_those_that_failed(shop):
    first = [End(name, ((name, None, None, 1),)) for name in "abc"]
    shop.run(first)
    seen = shop.base.manifest.generation
    shop.run([End("d", (("d", None, None, 2),))])  # published since
    rebuild = BaseRef(seen, rebuild=True)
    shop.run([End("a", (("a", None, None, 3),)), End("b", (), "failed")], ref=rebuild)
    assert shop.rows("order", "value") == [("a", 3), ("b", 1), ("d", 2)]
    assert [row.item for row in shop.ledger()] == ["a", "b", "d"]


@pytest.mark.parametrize(
    ("changed", "ref", "found"),
    [
        ({"key": ("order", "value")}, {"keep": True}, [("a", 1), ("b", 2), ("c", 4), ("b", 3)]),
        ({"contract": WithNote}, {"keep": True}, [("a", 1), ("c", 4), ("b", 3)]),
        ({"contract": Renamed}, {"keep": True}, "'currency' is new and not nullable.*rebuild"),
        ({"contract": Wider}, {"keep": True}, [("a", 1.0), ("c", 4.0), ("b", 3.0)]),
        ({"contract": Narrower}, {"keep": True}, "double to float would change .*'at'.*rebuild"),
        ({"contract": Renamed}, {}, r"earlier_rows=rebuild .* or with earlier_rows=keep"),
        ({"contract": WithNote}, {"rebuild": True}, [("c", 4), ("b", 3)]),
        ({"contract": WithNote}, {"rebuild": True, "generation": 0}, "published rows of another"),
    ],
    ids=[
        "keep, other key",
        "keep, new column",
        "keep, impossible",
        "keep, wider",
        "keep, narrower",
        "neither",
        "rebuild",
        "overtaken",
    ],
)
def test_rows_of_another_version_are_merged_only_if_told_so(shop, changed, ref, found):
    shop.run([End("f1", (("a", 1.1, None, 1), ("b", 1.1, None, 2)))])
    shop.run([End("f3", (("c", 1.1, None, 4),))])
    before = shop.base
    shop.pipeline = replace(shop.pipeline, **changed)
    shop.code = "0ther"
    ends = [End("f3", (("c", 2.0, None, 4),)), End("f4", (("b", 2.0, None, 3),))]
    reference = BaseRef(**{"generation": before.manifest.generation, **ref})
    if isinstance(found, str):
        with pytest.raises(Inconsistent, match=found):
            shop.run(ends, ref=reference)
        return
    shop.run(ends, ref=reference)
    assert shop.rows("order", "value") == found


def test_a_fold_over_rows_of_later_runs_has_the_latest_date_of_them(shop):
    """A backfill, and a run that is cleared, do not make a table look older than its rows."""
    fold = Fold("total", key=("n",), sql="SELECT 1 AS n, sum(value) AS value FROM dataset")
    shop.pipeline = replace(COMPUTED, folds=[fold])
    found = []
    for day, value in ((5, 1), (2, 2), (7, 3)):
        shop.run([End(f"item {day}", ((str(day), None, None, value),))], day=day)
        found += pq.read_table(
            shop.workspace.table("total"), columns=["value", "as_of"]
        ).to_pylist()
    dates = [START + timedelta(day) for day in (5, 5, 7)]
    assert [(row["value"], row["as_of"]) for row in found] == [*zip((1, 3, 6), dates, strict=True)]


def test_kept_rows_are_deleted_by_the_column_that_the_author_names_now(shop):
    shop.run([End("f1", (("a", 1.0, True, 1),)), End("f2", (("b", 1.0, None, 2),))])
    found = {}
    for generation, deleted in enumerate(("", "cancelled"), 1):
        shop.pipeline = replace(shop.pipeline, deleted=deleted)
        shop.run([End("f2", (("b", 1.0, None, 2),))], ref=BaseRef(generation, keep=True))
        found[deleted] = shop.rows("order"), shop.manifest.deleted
    assert found == {"": ([("a",), ("b",)], 0), "cancelled": ([("b",)], 1)}


def test_the_last_date_that_was_searched_stays_after_runs_of_earlier_or_other_files(shop):
    for listed in ("2026-01-02", "2026-01-05", "2026-01-03", ""):
        ref = BaseRef(len(shop.runs), listed=listed)
        shop.run([End("f1", (("a", 1.0, None, 1),))], ref=ref)
        assert shop.manifest.listed == ("2026-01-02" if listed == "2026-01-02" else "2026-01-05")


def test_an_empty_run_merges_nothing_and_rejected_rows_are_a_share_of_the_runs_own(shop):
    shop.run([End("a", tuple((str(n), None, None, n) for n in range(50)))])
    empty = shop.run([], publish=False)
    assert (empty.status, empty.rows, empty.generation) == (RunStatus.EMPTY, 0, 0)
    assert {entry.format for entry in empty.files} == {"parquet", "csv.gz", "jsonl"}
    made = shop.run([End("b", (("b", None, None, 1),), rejected=1)], publish=False)
    assert (made.rows, made.run_rows, made.rejected) == (51, 1, 1)
    check_tolerance(shop.workspace, made, 0, 50)
    with pytest.raises(ToleranceExceeded, match=r"1 of 2 rows break the contract \(50.0%\)"):
        check_tolerance(shop.workspace, made, 0, 49)
