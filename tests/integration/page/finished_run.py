"""The workspace of a finished run, written with the core's functions and without the stages.

Items are order files with no, one or many lines; ``orders`` is the dataset, ``revenue`` a fold.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq

from fanfold.messages import Message
from fanfold.model import (
    Basis,
    Counts,
    FileEntry,
    Forecast,
    KeyForm,
    Manifest,
    Outcome,
    Plan,
    Quotas,
    Rejected,
    RunStatus,
    Status,
    utc_text,
)
from fanfold.workspace.batch import ITEM
from fanfold.workspace.failure_groups import FailureGroups, merge_groups, write_groups
from fanfold.workspace.files import read_json, read_jsonl, write_json, write_jsonl
from fanfold.workspace.history import remember
from fanfold.workspace.items import json_lines
from fanfold.workspace.key_index import index_writer
from fanfold.workspace.progress import Closed, Progress, write_closed, write_progress

CODE = "0123456789abcdef"
GONE = Message("Shop 404: no such file", "shop.gone", {"code": 404})
BUSY = Message("/files: HTTP 503, the source is overloaded")
RULE = "greater_than_or_equal_to(0)"
SCHEMA = pa.schema(
    {
        "file": pa.string(),
        "line": pa.int64(),
        "category": pa.dictionary(pa.int32(), pa.string()),
        "price": pa.decimal128(12, 2),
        "ordered_at": pa.timestamp("us", "UTC"),
        "note": pa.string(),
        "as_of": pa.timestamp("us", "UTC"),
    }
)
FOLD = pa.schema(
    {"category": pa.string(), "revenue": pa.decimal128(38, 2), "tags": pa.list_(pa.string())}
)


@dataclass
class File:
    """An order file.

    Attributes:
        lines: Number of its lines.
        broken: How many of them, the first ones, have a negative price.
        status: Its outcome.
        etag: That of the download; without one, the lines are records of an API.
        gb_seconds: What the calls of a function for it cost.
        dearer: What each line costs more than usual.
    """

    lines: int = 1
    broken: int = 0
    status: Status = Status.OK
    etag: str = ""
    gb_seconds: float | None = None
    dearer: int = 0

    def fetched(self):
        if self.etag:
            modified = "2026-03-01T06:00:00.000Z"
            return [{"offset": 0, "bytes": 1500, "etag": self.etag, "modified": modified}]
        return self.records()

    def records(self):
        return [
            {"line": line, "price": "-1.00" if line <= self.broken else f"{line + self.dearer}.50"}
            for line in range(1, self.lines + 1)
        ]

    def outcome(self, key, now):
        at = utc_text(now)
        match self.status:
            case Status.MISSING:
                return Outcome.of(key, Status.MISSING, GONE, attempts=1, at=at)
            case Status.FAILED:
                return Outcome.of(key, Status.FAILED, BUSY, attempts=5, at=at)
            case _:
                return Outcome(key, Status.OK, attempts=1, at=at, gb_seconds=self.gb_seconds)

    def decided(self, key, now):
        """The outcome after ``process``: invalid if no line is left."""
        if self.broken < max(1, self.lines):
            return self.outcome(key, now)
        reason = f"price: '-1.00' breaks the rule '{RULE}'"
        fields = {"column": "price", "value": "-1.00", "rule": RULE}
        return Outcome(key, Status.INVALID, reason, 1, utc_text(now), **fields)

    def rows(self, key, as_of):
        """Rows of the contract, and rejected rows."""
        if self.status is not Status.OK:
            return [], []
        good, bad = [], []
        for record in self.records():
            line = record["line"]
            if record["price"].startswith("-"):
                bad.append(Rejected(key, line, "price", record["price"], RULE))
                continue
            row = {
                "file": key, "line": line, "category": f"category {line % 3}",
                "price": Decimal(record["price"]), "ordered_at": as_of,
                "note": None if line % 2 else "<b>note</b>", "as_of": as_of,
            }  # fmt: skip
            good.append(row)
        return good, bad


PLACES = ("s3://drops at https://s3.example (eu-west-1)",)


def write_plan(workspace, files, batch_size, **fields):
    """Write what ``read_items`` and ``plan`` write; return the plan, with these fields."""
    now = datetime.now(UTC)
    keys = list(files)
    plan = Plan(
        source="shop",
        items=len(keys),
        duplicates=0,
        starts=tuple(range(0, len(keys), batch_size)),
        logical_date=utc_text(now),
        started_at=utc_text(now),
        forecast=Forecast(len(keys), (60.0, 90.0), Basis.EARLIER_RUNS),
        quotas=Quotas(),
        key_column="file",
        key_form=KeyForm("@", lower=True),
        messages={"shop.gone": ["Shop {code}: no such file", "商店 {code}：没有这个文件"]},
        pipeline=workspace.root.parent.name,
        noun=("order file", "订单文件"),
        dataset="orders",
        row_key=("file", "line"),
        folds=("revenue",),
        label="category",
        measure="price",
        not_compared=("as_of",),
        places=PLACES,
        **fields,
    )
    for number in range(plan.batches):
        own = keys[number * batch_size : (number + 1) * batch_size]
        path = workspace.batch(number).items_file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(json_lines(own))
    with index_writer(workspace.keys) as add:
        add([json_lines([key]) for key in keys])
    write_json(workspace.plan, plan.as_json())
    return plan


def write_batch(workspace, number, files):
    """Write what ``fetch`` and ``process`` write for a batch; return its rows."""
    batch, now = workspace.batch(number), datetime.now(UTC)
    own = {key: files[key] for key in read_jsonl(batch.items_file)}
    fetched = {key: file.outcome(key, now) for key, file in own.items()}
    ok = Status.OK
    part = [
        (fetched[key], file.fetched() if fetched[key].status is ok else None)
        for key, file in own.items()
    ]
    batch.write_part(1, part, "00000000")
    decided = {key: file.decided(key, now) for key, file in own.items()}
    by_status = {status: sum(o.status is status for o in decided.values()) for status in Status}
    failures, fetch_failures, rejections = FailureGroups(), FailureGroups(), FailureGroups()
    for outcomes, groups in ((decided, failures), (fetched, fetch_failures)):
        for outcome in outcomes.values():
            if outcome.status is not ok:
                groups.add(outcome)
    found, rejected = [], []
    for key, file in own.items():
        good, bad = file.rows(key, now)
        found += [{ITEM: key, **row} for row in good]
        rejected += bad
    for row in rejected:
        fields = {"column": row.column, "value": row.value, "rule": row.rule}
        rejections.add(Outcome(row.item, Status.INVALID, **fields))
    requests = sum(outcome.requests for outcome in fetched.values())
    write_progress(
        batch,
        Progress(
            number,
            len(own),
            ok=by_status[ok] + by_status[Status.INVALID],
            missing=by_status[Status.MISSING],
            failed=by_status[Status.FAILED],
            requests=requests,
            at=now.timestamp(),
            places=PLACES,
            reasons=tuple(group.as_json() for group in fetch_failures.groups()),
        ),
    )
    batch.rows_file.parent.mkdir(parents=True, exist_ok=True)
    rows = pa.Table.from_pylist(found, pa.schema([pa.field(ITEM, pa.string()), *SCHEMA]))
    # Small row groups: an item may lie in several.
    pq.write_table(rows, batch.rows_file, row_group_size=16)
    write_jsonl(batch.failed_file, (o.as_json() for o in decided.values() if o.status is not ok))
    write_jsonl(batch.rejected_file, (row_json(row) for row in rejected))
    write_closed(
        batch,
        Closed(
            number,
            Counts(len(own), **{str(status): count for status, count in by_status.items()}),
            requests,
            rows=len(found),
            rejected=len(rejected),
            reasons=tuple(group.as_json() for group in failures.groups()),
            rejected_reasons=tuple(group.as_json() for group in rejections.groups()),
            parts=tuple(batch.part_names()),
            code=CODE,
        ),
    )
    return rows.drop_columns(ITEM), batch, by_status, requests


def row_json(row):
    return {name: getattr(row, name) for name in Rejected.__slots__}


def write_run(workspace, files, *, batch_size=3, passed=True, merged=None):
    """Write the workspace of a consolidated run, with its report.

    ``merged``, for mode ``merge``, has further fields of the manifest.
    """
    fields = {} if merged is None else {"mode": "merge", "bytes": 12_345_678}
    plan = write_plan(workspace, files, batch_size, **fields)
    counts, requests, tables = Counts(), 0, []
    lists = dict.fromkeys(("failed.jsonl", "missing.jsonl", "rejected.jsonl"), b"")
    for number in range(plan.batches):
        rows, batch, by_status, sent = write_batch(workspace, number, files)
        counts += Counts(sum(by_status.values()), **{str(s): n for s, n in by_status.items()})
        requests += sent
        tables.append(rows)
        for line in batch.failed_file.read_bytes().splitlines(keepends=True):
            is_missing = json.loads(line)["status"] == Status.MISSING
            lists["missing.jsonl" if is_missing else "failed.jsonl"] += line
        lists["rejected.jsonl"] += batch.rejected_file.read_bytes()
    dataset = pa.concat_tables(tables) if tables else SCHEMA.empty_table()
    dataset = dataset.unify_dictionaries()
    written = {"orders": dataset, "revenue": fold(dataset)}
    workspace.dataset.mkdir(parents=True, exist_ok=True)
    entries = []
    for name, table in written.items():
        pq.write_table(table, workspace.table(name), row_group_size=100)
        csv = workspace.dataset / f"{name}.csv.gz"
        csv.write_bytes(gzip.compress(table.to_pandas().to_csv(index=False).encode()))
        for path, form in ((workspace.table(name), "parquet"), (csv, "csv.gz")):
            entries.append(entry(path, form, table.num_rows, name))
    for name, content in lists.items():
        path = workspace.dataset / name
        path.write_bytes(content)
        entries.append(entry(path, "jsonl", content.count(b"\n"), ""))
    closed = [read_json(workspace.batch(n).closed_file) for n in range(plan.batches)]
    write_groups(
        workspace.failures,
        merge_groups(group for each in closed for group in each["reasons"]),
        merge_groups(group for each in closed for group in each["rejected_reasons"]),
    )
    lost = counts.failed + counts.invalid
    manifest = Manifest(
        workspace.root.parent.name,
        workspace.root.name,
        plan.logical_date,
        (RunStatus.PARTIAL if lost else RunStatus.COMPLETE)
        if dataset.num_rows
        else RunStatus.EMPTY,
        counts,
        tuple(entries),
        requests,
        plan.started_at,
        utc_text(datetime.now(UTC)),
        rows=dataset.num_rows,
        rejected=lists["rejected.jsonl"].count(b"\n"),
        code=CODE,
        places=PLACES,
        gb_seconds=sum(file.gb_seconds or 0 for file in files.values()),
        **({} if merged is None else {"mode": "merge", "generation": 4, **merged}),
    )
    write_json(workspace.manifest, manifest.as_json())
    remember(workspace.history, manifest, passed=passed)
    if passed:
        workspace.report.mkdir()
        (workspace.report / "report.html").write_text("<!doctype html><title>Report</title>")
    return manifest


def fold(dataset):
    """Revenue by category, with a list: a column without statistics of its own."""
    revenue, tags = defaultdict(Decimal), defaultdict(set)
    for row in dataset.to_pylist():
        revenue[row["category"]] += row["price"]
        tags[row["category"]].add(row["file"][:5])
    return pa.Table.from_pylist(
        [
            {"category": name, "revenue": revenue[name], "tags": sorted(tags[name])}
            for name in sorted(revenue)
        ],
        FOLD,
    )


def entry(path, form, rows, table):
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return FileEntry(path.name, form, rows, len(content), digest, table)
