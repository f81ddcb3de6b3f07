"""The fold: every planned item once, in order, and no run passes with more failures than tolerated."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import itertools
from collections import Counter
from datetime import UTC, datetime

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanfold.errors import Inconsistent, ToleranceExceeded
from fanfold.model import (
    Counts,
    Manifest,
    Outcome,
    RunIdentity,
    RunStatus,
    Status,
)
from fanfold.sources import weibo
from fanfold.stages import consolidating
from fanfold.stages.consolidating import _for_csv, check_tolerance, consolidate
from fanfold.stages.planning import write_plan
from fanfold.stages.processing import process_batch
from fanfold.stages.processing.contract import SCHEMA
from fanfold.workspace.files import read_json, read_jsonl, write_jsonl
from fanfold.workspace.paths import CSV, FAILED, PARQUET, Workspace

RUN = RunIdentity("weibo_user_profiles", "manual__1", datetime(2026, 1, 1, tzinfo=UTC))
AS_OF = pd.Timestamp(RUN.logical_date)

FATES = ("ok", "missing", "invalid", "failed", "unfetched", "unprocessed")


def profile(uid, name="张伟"):
    return {
        "id": int(uid),
        "screen_name": name,
        "followers_count": 1,
        "friends_count": 1,
        "statuses_count": 1,
        "created_at": "Mon Jan 01 08:00:00 +0800 2024",
    }


def run_of(tmp_path, fates, *, batch_size=3, name="张伟"):
    """Make the workspace of a run whose items came to the given ends."""
    workspace = Workspace(tmp_path)
    write_jsonl(workspace.listed, [str(number + 1) for number in range(len(fates))])
    made = write_plan(
        workspace,
        source="weibo",
        wanted_size=batch_size,
        logical_date="2026-01-01T00:00:00.000Z",
        started_at="2026-01-01T00:00:00.000Z",
    )
    for batch in range(made.batches):
        keys = list(read_jsonl(workspace.batch(batch).items_file))
        done, late = [], []
        for key in keys:
            fate = fates[int(key) - 1]
            record = profile(key, name)
            if fate == "invalid":
                record["followers_count"] = -1
            if fate in {"ok", "invalid"}:
                done.append((Outcome(key, Status.OK, attempts=1), record))
            elif fate == "unprocessed":
                late.append((Outcome(key, Status.OK, attempts=1), record))
            elif fate != "unfetched":
                done.append((Outcome(key, Status(fate), "why", 2), None))
        # What was fetched comes in the order of the answers, not of the list.
        workspace.batch(batch).write_part(1, list(reversed(done)))
        process_batch(workspace.batch(batch), weibo.SOURCE, as_of=AS_OF)
        if late:
            workspace.batch(batch).write_part(2, late)
    return workspace


@pytest.mark.parametrize("size", [1, 5, 50])
def test_every_planned_item_has_one_outcome_and_a_line_unless_ok(tmp_path, size):
    """All pairs of neighbouring outcomes, in batches of any size."""
    fates = [fate for pair in itertools.product(FATES, repeat=2) for fate in pair]
    if size == 1:
        fates = fates[:14]  # each batch costs a call of pandera
    workspace = run_of(tmp_path, fates, batch_size=size)
    manifest = consolidate(workspace, RUN, SCHEMA)
    tally = Counter(fates)
    assert manifest.counts == Counts(
        planned=len(fates),
        ok=tally["ok"],
        missing=tally["missing"],
        invalid=tally["invalid"],
        failed=tally["failed"] + tally["unfetched"] + tally["unprocessed"],
    )
    rows = pq.read_table(workspace.dataset / PARQUET)
    expected = [str(number + 1) for number, fate in enumerate(fates) if fate == "ok"]
    assert rows["user_id"].to_pylist() == expected
    assert rows.schema.equals(SCHEMA)
    with gzip.open(workspace.dataset / CSV, "rt", encoding="utf-8", newline="") as file:
        assert [row["user_id"] for row in csv.DictReader(file)] == expected
    failed = list(read_jsonl(workspace.dataset / FAILED))
    others = [str(number + 1) for number, fate in enumerate(fates) if fate != "ok"]
    assert [line["key"] for line in failed] == others
    assert all(line["reason"] for line in failed)


def test_a_redrive_under_a_clock_that_was_set_back_does_not_end_earlier(tmp_path, monkeypatch):
    """The warehouse orders the results of a run by their end."""

    class SetBack(datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2025, 12, 30, tzinfo=tz)

    workspace = run_of(tmp_path, ["ok", "failed"])
    first = consolidate(workspace, RUN, SCHEMA)
    monkeypatch.setattr(consolidating, "datetime", SetBack)
    assert consolidate(workspace, RUN, SCHEMA).finished_at == first.finished_at
    workspace.manifest.unlink()
    assert consolidate(workspace, RUN, SCHEMA).finished_at == first.started_at


def test_the_manifest_tells_sizes_and_digests_of_the_files(tmp_path):
    workspace = run_of(tmp_path, ["ok", "missing", "ok"])
    manifest = consolidate(workspace, RUN, SCHEMA)
    assert Manifest.from_json(read_json(workspace.manifest)) == manifest
    assert consolidate(workspace, RUN, SCHEMA).files == manifest.files
    assert [entry.key for entry in manifest.files] == [PARQUET, CSV, FAILED]
    assert [entry.rows for entry in manifest.files] == [2, 2, 1]
    assert manifest.requests == 4
    for entry in manifest.files:
        content = (workspace.dataset / entry.key).read_bytes()
        assert (entry.bytes, entry.sha256) == (len(content), hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize(
    ("fates", "status"),
    [
        ([], RunStatus.EMPTY),
        (["ok", "missing"], RunStatus.COMPLETE),
        (["ok", "invalid"], RunStatus.PARTIAL),
        (["ok", "failed"], RunStatus.PARTIAL),
        (["missing"], RunStatus.COMPLETE),
    ],
    ids=str,
)
def test_the_status_follows_the_outcomes(tmp_path, fates, status):
    assert consolidate(run_of(tmp_path, fates), RUN, SCHEMA).status is status


@given(
    st.sampled_from(["", "=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "'="]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)
def test_a_cell_that_a_spreadsheet_would_run_is_quoted_and_no_other_is_changed(start, text):
    value = start + text
    cell = _for_csv(pa.table({"name": [value]}))["name"][0].as_py()
    runs = value[:1] != "" and value[0] in "=+-@\t\r\n＝＋－＠"
    assert cell == ("'" + value if runs else value)


def test_the_csv_holds_hostile_names_as_text(tmp_path):
    name = '=cmd()|"x", <script>\r\n\u202e名'
    workspace = run_of(tmp_path, ["ok"], name=name)
    consolidate(workspace, RUN, SCHEMA)
    plain = gzip.decompress((workspace.dataset / CSV).read_bytes()).decode("utf-8")
    row = next(csv.DictReader(io.StringIO(plain, newline="")))
    assert row["screen_name"] == "'" + name
    assert row["followers_count"] == "1"
    assert row["created_at"].startswith("2024-01-01 00:00:00")


def test_too_many_failures_stop_the_run_with_the_reasons_and_the_way_on(tmp_path):
    workspace = run_of(tmp_path, ["ok"] * 7 + ["failed", "invalid", "missing"])
    manifest = consolidate(workspace, RUN, SCHEMA)
    check_tolerance(workspace, manifest, 20)
    with pytest.raises(ToleranceExceeded) as caught:
        check_tolerance(workspace, manifest, 19.9)
    said = str(caught.value)
    assert "2 of 10 items failed (20 %)" in said
    assert "followers_count breaks the rule" in said
    assert "clear `batch.fetch`" in said


def test_a_broken_part_is_named_with_the_task_to_clear(tmp_path):
    workspace = run_of(tmp_path, ["ok", "ok"])
    workspace.batch(0).rows_file.write_bytes(b"PAR1")
    with pytest.raises(Inconsistent, match=r"Clear `batch.process` of batch 0"):
        consolidate(workspace, RUN, SCHEMA)


def test_batches_that_contradict_the_plan_are_refused(tmp_path):
    workspace = run_of(tmp_path, ["ok"] * 4)
    write_jsonl(workspace.batch(1).items_file, [])
    with pytest.raises(Inconsistent, match="The plan has 4 items, but its batches have 3"):
        consolidate(workspace, RUN, SCHEMA)
