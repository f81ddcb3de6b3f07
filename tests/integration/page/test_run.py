"""What the page shows of a run, from the totals to the last rejected row."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import asdict, replace

import pytest
import requests

from fanfold.messages import ENGINE, Message
from fanfold.model import Status
from fanfold.workspace.files import read_json, write_json
from fanfold.workspace.progress import all_progress, write_progress

from .finished_run import GONE, PLACES, RULE, File, write_plan

KEYS = [f"file-{number:02}.csv" for number in range(20)]
MISSING, INVALID, FAILED = KEYS[3], KEYS[5], (KEYS[8], KEYS[9])
EMPTY, LARGE, PARTLY = KEYS[1], KEYS[10], KEYS[12]
"""Files of no lines, of 250, and of 30 of which 25 are rejected."""
FILES = {
    **dict.fromkeys(KEYS, File(2)),
    MISSING: File(status=Status.MISSING),
    INVALID: File(3, broken=3),
    **dict.fromkeys(FAILED, File(status=Status.FAILED)),
    EMPTY: File(0),
    LARGE: File(250),
    PARTLY: File(30, broken=25),
}
TALLY = {"planned": 20, "ok": 16, "missing": 1, "invalid": 1, "failed": 2, "waiting": 0}
ROWS, REJECTED = 13 * 2 + 250 + 5, 3 + 25


@pytest.fixture
def partial(finished_run):
    """A run of three batches with everything that there is."""
    return finished_run(FILES, batch_size=7, states={("batch.fetch", 1): "failed"})


def test_the_head_counts_items_rows_and_rejected_rows(partial):
    seen = partial.get()
    assert (seen["verdict"], seen["final"], seen["status"]) == ("partial", True, "partial")
    assert (seen["tally"], seen["rows"], seen["rejected"]) == (TALLY, ROWS, REJECTED)
    assert (seen["noun"], seen["key_column"]) == ("order file", "file")
    assert seen["places"] == list(PLACES)
    assert seen["tables"] == ["orders", "revenue"]
    assert seen["requests"]["expected"] == 20
    assert (seen["timing"]["left"], seen["timing"]["expected"]) == (None, None)
    assert seen["requests"]["used"] == 18 + 2 * 5
    assert seen["redrive"] == {"allowed": True, "possible": True, "why_not": None, "items": 3}
    assert [task["task_id"] for task in seen["tasks"]] == [
        "preflight", "read_items", "plan", "batch.fetch", "batch.process", "consolidate",
        "publish", "load", "report",
    ]  # fmt: skip
    states = {task["task_id"]: task["states"] for task in seen["tasks"]}
    assert states["batch.fetch"] == {"success": 2, "failed": 1}


def test_what_consolidate_publish_and_load_warned_of_is_told(partial):
    seen = partial.get()
    assert (seen["warnings"], seen["latest"]) == ([], None)
    newest = "2062-01-01T00:00:00.000Z"
    messages = [
        ENGINE.message("rows.fell", run="daily", percentage="50", tables="orders 9 → 1"),
        ENGINE.message("publish.older", newest=newest),
        ENGINE.message("load.outdated", table="orders", n=2, rows=9, newest=newest),
    ]
    files = partial.workspace.consolidated, partial.workspace.published, partial.workspace.load
    for path, message in zip(files, messages, strict=True):
        write_json(path, {"warnings": [asdict(message)], "latest": False})
    seen = partial.get()
    assert seen["warnings"] == [message.text for message in messages]
    assert seen["latest"] is False
    assert all("the run of 2062-01-01" in message.text for message in messages[1:])
    partial.set_states("success", {("load", -1): "failed"})
    assert partial.get()["warnings"] == [messages[0].text, messages[1].text]


def suggested(page, prefix):
    return [each["key"] for each in page.get("/suggestions", prefix=prefix)["suggestions"]]


def test_a_merged_dataset_is_shown_beside_the_rows_of_its_run(finished_run, partial):
    """In mode ``snapshot`` none of this is there."""
    columns = {f"column {number:02}": 1 for number in range(30)} | {"gift_note": 7}
    numbers = {"run_rows": 12, "superseded": 3, "deleted": 0, "pending": 2}
    merged = finished_run(
        dict.fromkeys(KEYS, File(2)), merged=numbers | {"dropped_columns": columns}
    )
    seen = merged.get()
    assert (seen["rows"], seen["merge"], seen["bytes"]) == (40, numbers, 12_345_678)
    assert seen["dropped_columns"][:2] == [
        {"name": "gift_note", "files": 7}, {"name": "column 00", "files": 1},
    ]  # fmt: skip
    assert (len(seen["dropped_columns"]), seen["more_dropped"]) == (20, 11)
    assert suggested(merged, "03.CSV") == []
    assert suggested(merged, "03.csv") == [KEYS[3]]
    assert suggested(partial, "03.csv") == []
    merged.set_states("running")
    seen = merged.get()
    assert seen["merge"] == {"run_rows": 40, "superseded": None, "deleted": None, "pending": None}
    assert (seen["dropped_columns"], seen["more_dropped"]) == ([], 0)
    seen = partial.get()
    assert (seen["merge"], seen["bytes"], seen["dropped_columns"]) == (None, None, [])


def test_the_batches_add_up_to_the_run(partial):
    batches = partial.get("/batches")["batches"]
    assert [batch["batch"] for batch in batches] == [0, 1, 2]
    assert [batch["tally"]["planned"] for batch in batches] == [7, 7, 6]
    summed = {name: sum(batch["tally"][name] for batch in batches) for name in TALLY}
    assert summed == TALLY
    assert sum(batch["rows"] for batch in batches) == ROWS
    assert [batch["rejected"] for batch in batches] == [3, 25, 0]
    assert [batch["fetch"]["state"] for batch in batches] == ["success", "failed", "success"]
    assert batches[0]["label"] == "items 1–7"
    assert sum(batch["requests"] for batch in batches) == partial.get()["requests"]["used"]


def test_items_that_are_not_ok_are_listed_by_reason(partial):
    found = partial.get("/failures")
    assert found["final"] is True
    failed, invalid, missing = found["groups"]
    assert (failed["status"], failed["count"]) == ("failed", 2)
    assert [example["key"] for example in failed["examples"]] == list(FAILED)
    assert (invalid["status"], invalid["count"], invalid["reason"]) == ("invalid", 1, "")
    assert (missing["status"], missing["reason"]) == ("missing", GONE.text)
    first = partial.get("/failures/items", group=failed["id"], limit=1)
    assert [item["key"] for item in first["items"]] == [FAILED[0]]
    second = partial.get("/failures/items", group=failed["id"], limit=1, after=first["next"])
    assert ([item["key"] for item in second["items"]], second["next"]) == ([FAILED[1]], None)
    every = partial.get("/failures/items")["items"]
    assert [item["key"] for item in every] == [INVALID, *FAILED]
    absent = partial.get("/failures/items", group=missing["id"])["items"]
    assert [item["key"] for item in absent] == [MISSING]
    partial.get("/failures/items", group="nothing", expect=404)

    for route, name, query in [
        ("failures", "failed.jsonl", {}),
        ("missing", "missing.jsonl", {}),
        ("failures", "missing.jsonl", {"group": missing["id"]}),
    ]:
        answer = partial.client.get(f"{partial.path}/{route}.jsonl", params=query)
        assert answer.content == (partial.workspace.dataset / name).read_bytes()
        assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}"'
    answer = partial.client.get(f"{partial.path}/failures.jsonl", params={"group": failed["id"]})
    assert [json.loads(line)["key"] for line in answer.text.splitlines()] == list(FAILED)


def test_rejected_rows_are_listed_by_column_and_rule_and_one_by_one(partial):
    (group,) = partial.get("/failures")["rejected"]
    assert (group["column"], group["rule"], group["count"]) == ("price", RULE, REJECTED)
    assert group["examples"][0] == {"key": INVALID, "value": "-1.00"}
    first = partial.get("/rejected", group=group["id"], limit=27)
    row = {"item": INVALID, "row": 1, "column": "price", "value": "-1.00", "rule": RULE}
    assert first["rows"][0] == row
    second = partial.get("/rejected", group=group["id"], limit=27, after=first["next"])
    assert (second["rows"], second["next"]) == ([{**row, "item": PARTLY, "row": 25}], None)
    partial.get("/rejected", group="nothing", expect=404)
    # A group of items is none of rows.
    items = partial.get("/failures")["groups"][0]["id"]
    partial.get("/rejected", group=items, expect=404)

    answer = partial.client.get(f"{partial.path}/rejected.jsonl", params={"group": group["id"]})
    assert answer.content == (partial.workspace.dataset / "rejected.jsonl").read_bytes()
    assert answer.headers["Content-Disposition"] == 'attachment; filename="rejected.jsonl"'


def test_an_item_is_shown_with_its_first_records_rows_and_rejected_rows(partial):
    item = partial.get("/items", key=KEYS[0])
    assert (item["status"], item["batch"], item["position"]) == ("ok", 0, 0)
    assert (item["records"]["count"], item["records"]["first"][1]["price"]) == (2, "2.50")
    assert (item["rows"]["count"], item["rows"]["first"][1]["price"]) == (2, "2.50")
    assert item["rejected"] == {"count": 0, "first": []}
    assert item["latest"]["attempts"] == 1

    # Its rows are in seventeen row groups, which begin and end with rows of other items.
    item = partial.get("/items", key=LARGE)
    assert [item[part]["count"] for part in ("records", "rows")] == [250, 250]
    for part in ("records", "rows"):
        assert [each["line"] for each in item[part]["first"]] == list(range(1, 21))
    assert {row["file"] for row in item["rows"]["first"]} == {LARGE}

    item = partial.get("/items", key=PARTLY)
    assert (item["status"], item["rows"]["count"], item["rejected"]["count"]) == ("ok", 5, 25)
    assert [row["row"] for row in item["rejected"]["first"]] == list(range(1, 21))

    item = partial.get("/items", key=INVALID)
    assert (item["status"], item["rows"]["count"], item["records"]["count"]) == ("invalid", 0, 3)
    assert (item["latest"]["column"], item["latest"]["rule"]) == ("price", RULE)

    for key, status in ((EMPTY, "ok"), (FAILED[0], "failed"), (MISSING, "missing")):
        item = partial.get("/items", key=key)
        assert item["status"] == status
        assert [item[part]["count"] for part in ("records", "rows", "rejected")] == [0, 0, 0]


def test_an_item_is_found_by_what_people_type(partial):
    assert partial.get("/items", key=f"  @{KEYS[2].upper()} ")["key"] == KEYS[2]
    assert partial.get("/items", key="1", expect=404)["code"] == "unknown_item"
    assert suggested(partial, "file-0") == KEYS[:10]
    assert suggested(partial, "@FILE-0") == KEYS[:10]
    assert suggested(partial, "9") == []


def test_all_rows_of_a_table_are_sorted_and_filtered_and_its_columns_profiled(partial):
    found = partial.get(
        "/dataset", sort="price", descending=True, filter=[">:price:1", "contains::file-0"]
    )
    prices = [float(row[3]) for row in found["page"]]
    assert prices == sorted(prices, reverse=True)
    assert 0 < len(prices) == found["matched"] < found["rows"] == ROWS
    for bad in ({"sort": "rowid"}, {"filter": ">:price:many"}):
        assert partial.get("/dataset", expect=409, **bad)["code"] == "unfit"
    assert partial.get("/dataset", expect=422, filter="price > 1")["code"] == "senseless"
    columns = {each["name"]: each for each in partial.get("/columns")["columns"]}
    assert list(columns) == ["file", "line", "category", "price", "ordered_at", "note", "as_of"]
    assert columns["price"]["smallest"] == "1.50"
    assert sum(columns["line"]["distribution"]["counts"]) == ROWS


def test_the_rows_of_the_dataset_and_its_folds_are_shown_in_pages(partial):
    found = partial.get("/dataset", limit=10)
    assert (found["table"], found["rows"], len(found["page"])) == ("orders", ROWS, 10)
    columns = {column["name"]: column for column in found["columns"]}
    assert list(columns) == ["file", "line", "category", "price", "ordered_at", "note", "as_of"]
    types = {name: column["type"] for name, column in columns.items()}
    assert (types["line"], types["category"]) == ("int64", "category")
    assert (types["price"], types["ordered_at"]) == ("decimal(12, 2)", "timestamp")
    assert columns["file"]["null_share"] == 0
    assert columns["note"]["nulls"] == round(columns["note"]["null_share"] * ROWS) > 0
    assert found["page"][1][:4] == [KEYS[0], 2, "category 2", "2.50"]
    rest = partial.get("/dataset", offset=10, limit=500, table="orders")["page"]
    assert len(rest) == ROWS - 10
    assert partial.get("/dataset", offset=ROWS)["page"] == []

    fold = partial.get("/dataset", table="revenue")
    assert (fold["table"], fold["rows"]) == ("revenue", 3)
    assert fold["page"][0][::2] == ["category 0", ["file-"]]
    # The nulls of a nested column are not in the file.
    assert [column["nulls"] for column in fold["columns"]] == [0, 0, None]
    for name in ("nothing", "../orders", "plan"):
        assert partial.get("/dataset", table=name, expect=404)["code"] == "no_table"


def test_the_files_of_dataset_folds_and_failures_are_downloaded(partial):
    found = partial.get("/files")
    assert found["published"] is True
    assert found["prefix"].startswith("s3://test-")
    assert [(file["name"], file["table"]) for file in found["files"]] == [
        ("orders.parquet", "orders"), ("orders.csv.gz", "orders"),
        ("revenue.parquet", "revenue"), ("revenue.csv.gz", "revenue"),
        ("failed.jsonl", ""), ("missing.jsonl", ""), ("rejected.jsonl", ""),
    ]  # fmt: skip
    for file in found["files"]:
        answer = partial.client.get(f"{partial.path}/files/{file['name']}")
        assert answer.status_code == 307
        # Anyone who has the address needs no login.
        got = requests.get(answer.headers["Location"], timeout=30)
        assert len(got.content) == file["bytes"]
        assert hashlib.sha256(got.content).hexdigest() == file["sha256"]
        assert got.headers["Content-Disposition"] == f'attachment; filename="{file["name"]}"'
    assert partial.get("/files/manifest.json", expect=404)["code"] == "no_file"

    answer = partial.client.get(f"{partial.path}/report")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.content == (partial.workspace.report / "report.html").read_bytes()
    assert partial.get("/comparison", expect=404)["code"] == "no_comparison"


def test_reasons_rules_and_the_noun_are_in_the_language_of_who_asks(partial):
    """Groups have the same ids in both."""
    english = partial.get("/failures")["groups"]
    partial.client.session.headers["Accept-Language"] = "zh-CN,zh;q=0.9,en;q=0.8"
    try:
        chinese = partial.get("/failures")["groups"]
        item, broken = partial.get("/items", key=MISSING), partial.get("/items", key=INVALID)
        listed = partial.get("/failures/items")["items"]
        assert partial.get()["noun"] == "订单文件"
    finally:
        del partial.client.session.headers["Accept-Language"]
    assert [group["id"] for group in chinese] == [group["id"] for group in english]
    assert {"商店 404：没有这个文件"} <= {group["reason"] for group in chinese}
    assert item["latest"]["reason"] == "商店 404：没有这个文件"
    assert "不符合规则" in broken["latest"]["reason"]
    assert "不符合规则" in next(each["reason"] for each in listed if each["key"] == INVALID)


def test_an_active_run_shows_what_its_batches_have_so_far(partial):
    """The files of the batches add up to what the manifest says afterwards."""
    partial.set_states("running", {("consolidate",): None, ("batch.fetch",): "running"})
    seen = partial.get()
    assert (seen["verdict"], seen["final"], seen["status"]) == ("running", False, None)
    assert (seen["tally"], seen["rows"], seen["rejected"]) == (TALLY, ROWS, REJECTED)
    assert seen["redrive"]["why_not"] == "active"
    assert seen["scheduler"] is False
    found = partial.get("/failures")
    assert found["final"] is False
    assert [(group["status"], group["count"]) for group in found["groups"]] == [
        ("failed", 2), ("invalid", 1), ("missing", 1),
    ]  # fmt: skip
    assert [group["count"] for group in found["rejected"]] == [REJECTED]
    for path in ("/failures/items", "/rejected", "/rejected.jsonl"):
        assert partial.get(path, expect=409)["code"] == "not_final"
    assert partial.get("/items", key=INVALID)["status"] == "invalid"

    waiting = all_progress(partial.workspace)[2]
    partial.workspace.batch(2).closed_file.unlink()
    until = "2030-01-01T14:00:00.000Z"
    spent = Message("Shop: the quota is used up")
    fields = {"ok": 3, "missing": 0, "failed": 0, "requests": 3}
    progress = replace(waiting, **fields, recent=(), waits_until=until, waits_for=spent)
    write_progress(partial.workspace.batch(2), progress)
    tasks = {("batch.fetch",): "deferred", ("batch.process",): None}
    partial.set_states("running", tasks, end_date=None)
    seen = partial.get()
    assert seen["verdict"] == "waiting"
    assert seen["wait"] == {"batches": 1, "until": until, "reason": spent.text}
    assert seen["tally"] == TALLY | {"ok": 13, "waiting": 3}
    assert seen["rows"] == ROWS - 12
    assert seen["timing"]["left"]["low"] > 86_400
    assert seen["timing"]["basis"] == "speed"
    # Of one request an hour, the third item is there two hours after the first.
    plan = read_json(partial.workspace.plan)
    quotas = {"limit": 1, "remaining": 0, "reset_at": until, "window": 3600.0}
    write_json(partial.workspace.plan, {**plan, "quotas": plan["quotas"] | quotas})
    bounded = partial.get()["timing"]
    assert bounded["basis"] == "quota"
    assert bounded["expected"] == {"low": 60, "high": 90}
    assert 7000 < bounded["left"]["low"] - seen["timing"]["left"]["low"] < 7400
    batches = partial.get("/batches")["batches"]
    assert batches[2]["waits_until"] == until
    assert (batches[2]["rows"], batches[1]["rows"]) == (None, 250 + 5 + 3 * 2)


def test_an_item_that_is_fetched_again_keeps_its_records_until_then(partial):
    """Its earlier outcome is listed, and a failure of an active run is the latest outcome."""
    batch = partial.workspace.batch(0)
    failed = File(status=Status.FAILED)
    from datetime import UTC, datetime

    batch.write_part(2, [(failed.outcome(KEYS[0], datetime.now(UTC)), None)], "00000000")
    partial.set_states("running", {("consolidate",): None})
    item = partial.get("/items", key=KEYS[0])
    assert (item["status"], [each["status"] for each in item["earlier"]]) == ("failed", ["ok"])
    assert (item["records"]["count"], item["rows"]["count"]) == (2, 2)


def test_a_run_over_its_tolerance_shows_its_dataset_and_publishes_none(finished_run):
    after = {"publish": "upstream_failed", "load": "upstream_failed", "report": "upstream_failed"}
    states = {"consolidate": "failed", **after}
    page = finished_run(FILES, batch_size=7, passed=False, state="failed", states=states)
    seen = page.get()
    assert (seen["verdict"], seen["final"], seen["status"]) == ("failed", True, "partial")
    assert (seen["tables"], seen["report"]) == (["orders", "revenue"], False)
    assert page.get("/dataset")["rows"] == ROWS
    assert page.get("/files")["published"] is False
    file = page.client.get(f"{page.path}/files/orders.parquet")
    assert file.content == page.workspace.table("orders").read_bytes()
    assert page.get("/report", expect=404)["code"] == "no_report"
    assert page.get("/comparison", expect=404)["code"] == "no_comparison"


def test_a_dry_run_an_empty_run_and_one_that_ended_before_its_plan(new_run, page_of, finished_run):
    workspace = new_run(states={"plan": "skipped"})
    write_plan(workspace, dict.fromkeys(KEYS, File()), 5)
    page = page_of(workspace)
    seen = page.get()
    assert (seen["verdict"], seen["tally"]["waiting"]) == ("planned", 20)
    assert (seen["timing"]["left"], seen["timing"]["expected"]) == (None, {"low": 60, "high": 90})
    assert (seen["redrive"]["why_not"], seen["redrive"]["items"]) == ("nothing", 0)
    assert page.redrive(expect=409)["code"] == "nothing"
    assert page.get("/items", key=KEYS[0])["status"] == "waiting"
    assert page.get("/dataset", expect=404)["code"] == "no_dataset"

    page = finished_run({})
    seen = page.get()
    assert (seen["verdict"], seen["tally"]["planned"], seen["rows"]) == ("empty", 0, 0)
    assert page.get("/batches")["batches"] == []
    assert page.get("/failures") == {"final": True, "groups": [], "rejected": []}
    assert page.get("/dataset")["page"] == []

    states = dict.fromkeys(["plan", "consolidate", "publish", "load", "report"], "upstream_failed")
    states |= {"batch.fetch": "upstream_failed", "batch.process": "upstream_failed"}
    page = page_of(new_run(state="failed", states={"read_items": "failed", **states}))
    seen = page.get()
    assert (seen["verdict"], seen["tally"], seen["noun"]) == ("failed", None, None)
    assert (seen["rows"], seen["tables"]) == (None, [])
    # Nothing was fetched, and what failed can be run again all the same.
    assert (seen["redrive"]["possible"], seen["redrive"]["items"]) == (True, 0)
    cost = page.redrive()
    assert (cost["items"], cost["batches"], cost["tasks"] >= 7) == (0, 0, True)
    assert cost["starts_over"]
    assert page.redrive(keys=["1"], expect=409)["code"] == "nothing"
    for part in ("/batches", "/failures", "/suggestions?prefix=1", "/items?key=1"):
        assert page.get(part, expect=404)["code"] == "never_planned"
    page.set_states("running")
    assert page.get("/batches", expect=404)["code"] == "no_plan"


def test_what_a_deleted_run_left_is_not_shown_for_a_new_run_with_its_id(finished_run, site):
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import update

    page = finished_run(FILES)
    assert page.get()["tables"]
    of_run = {"run_id": page.run_id, "task_id": "read_items"}
    with create_session() as session:
        session.execute(update(TaskInstance).filter_by(**of_run).values(try_number=0, state=None))
    for state in ("running", "failed"):
        page.set_states(state)
        seen = page.get()
        assert (seen["tally"], seen["rows"], seen["tables"], seen["report"]) == (
            None,
            None,
            [],
            False,
        )
        assert page.get("/dataset", expect=404)["code"] == "no_dataset"
        listed = site["user"].get("/fanfold/api/pipelines").json()["pipelines"]
        (shown,) = [run for each in listed for run in each["runs"] if run["run_id"] == page.run_id]
        assert (shown["tally"], shown["rows"], shown["rejected"]) == (None, None, None)


def test_two_runs_are_compared_and_both_are_in_the_list_of_pipelines(finished_run, site):
    """By default with the one before of like size; the missing, invalid and failed are told apart."""
    other = dict.fromkeys([*KEYS, "old.csv", INVALID, MISSING], File(2))
    earlier = finished_run(other)
    small = finished_run({KEYS[0]: File()})
    page = finished_run(FILES, batch_size=7)
    later = finished_run({KEYS[0]: File()})
    runs, found = page.get("/runs"), page.get("/comparison")
    assert [run["run_id"] for run in runs["runs"]] == [
        each.run_id for each in (later, small, earlier)
    ]
    assert runs["default"] == earlier.run_id
    assert (found["key"], found["column"], found["columns"]) == (
        ["file", "line"],
        "price",
        ["price"],
    )
    assert found["gone"]["outcomes"].keys() >= {"unlisted", "invalid", "missing"}
    assert found["gone"]["outcomes"]["missing"] == found["gone"]["outcomes"]["unlisted"] == 2
    assert sum(found["gone"]["outcomes"].values()) == found["gone"]["count"]
    assert page.get("/comparison", **{"with": later.run_id})["new"]["count"] == ROWS - 1
    for run_id in (page.run_id, "../elsewhere"):
        assert page.get("/comparison", expect=404, **{"with": run_id})["code"] == "no_other_run"
    assert page.get("/comparison", expect=409, column="note")["code"] == "unfit"
    lines = page.client.get(f"{page.path}/comparison.csv").text.splitlines()
    assert len(lines) == 1 + found["new"]["count"] + found["gone"]["count"] + found["changed"]

    history = page.get("/history", key=MISSING)
    seen = [(run["run_id"], run["status"], run["rows"], run["measure"]) for run in history["runs"]]
    assert seen == [
        (later.run_id, None, 0, None),
        (page.run_id, "missing", 0, None),
        (small.run_id, None, 0, None),
        (earlier.run_id, "ok", 2, None),
    ]
    [*_, last] = later.get("/history", key=KEYS[0])["runs"][:1]
    assert (history["measure"], last["measure"]) == ("price", "1.50")

    listed = site["viewer"].get("/fanfold/api/pipelines").json()["pipelines"]
    (pipeline,) = (each for each in listed if each["dag_id"] == page.dag_id)
    ids = [run["run_id"] for run in pipeline["runs"]]
    assert ids.index(page.run_id) < ids.index(earlier.run_id)
    newest = pipeline["runs"][ids.index(page.run_id)]
    assert (newest["verdict"], newest["tally"]["ok"]) == ("partial", 16)
    assert (newest["rows"], newest["rejected"]) == (ROWS, REJECTED)


def test_the_latest_dataset_of_a_pipeline_is_that_of_the_newest_event_of_publish(
    finished_run, site
):
    """Who may trigger it is told, too."""
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session
    from airflow.utils.timezone import utcnow

    def listed(person):
        found = site[person].get("/fanfold/api/pipelines").json()["pipelines"]
        return next(each for each in found if each["dag_id"] == page.dag_id)

    page = finished_run(dict.fromkeys(KEYS[:3], File()))
    extra = {"rows": ROWS, "bytes": 12_345, "prefix": "orders/"}
    latest = AssetModel(page.dag_id, "s3://fanfold/latest.json")
    by_date = AssetModel(f"{page.dag_id}_by_date", "s3://fanfold")
    with create_session() as session:
        session.add_all([latest, by_date])
        session.flush()
        ids = latest.id, by_date.id
    events = [
        AssetEvent(
            asset_id=asset_id,
            source_dag_id=page.dag_id,
            source_run_id=run_id,
            source_task_id=task_id,
            timestamp=utcnow(),
            extra=extra,
        )
        for run_id, task_id, asset_id in [
            ("an_older", "publish", ids[0]),
            (page.run_id, "publish", ids[0]),
            ("a_backfill", "publish", ids[1]),
            ("x", "own_task", ids[0]),
        ]
    ]
    with create_session() as session:
        session.add_all(events)
    latest = listed("viewer")["latest"]
    assert (latest["run_id"], latest["rows"], latest["bytes"]) == (page.run_id, ROWS, 12_345)
    assert [listed(person)["can_trigger"] for person in ("viewer", "user")] == [False, True]


def test_missing_or_damaged_files_are_named_and_the_rest_is_shown(partial, monkeypatch, tmp_path):
    """The shared directory, a part and the key index; the server keeps no state of its own."""
    before = partial.get()
    with monkeypatch.context() as patch:
        patch.setenv("FANFOLD_SHARED_DIR", str(tmp_path / "away"))
        for part in ("", "/batches", "/failures", "/items?key=1", "/dataset", "/report"):
            assert partial.get(part, expect=503)["code"] == "workspace_away"
        answer = partial.client.get("/fanfold/api/pipelines").json()
        assert answer["workspace"] is False
        assert any(pipeline["runs"] for pipeline in answer["pipelines"])
    assert partial.get() == before

    batch = partial.workspace.batch(0)
    batch.rows_file.write_bytes(b"PAR1 no")
    answer = partial.get("/items", key=KEYS[0], expect=500)
    assert (answer["code"], "00000.parquet" in answer["detail"]) == ("damaged", True)
    partial.workspace.keys.write_bytes(b"no database")
    answer = partial.get("/items", key=KEYS[0], expect=500)
    assert (answer["code"], "keys.db" in answer["detail"]) == ("damaged", True)
    (partial.workspace.dataset / "rejected.jsonl").write_text('{"item": 1}\n')
    answer = partial.get("/rejected", expect=500)
    assert (answer["code"], "rejected.jsonl" in answer["detail"]) == ("damaged", True)
    assert partial.get() == before
    assert partial.get("/dataset")["rows"] == ROWS


def test_the_server_imports_no_pipeline_and_no_source():
    """They are the author's code, with its imports; what the page needs is in ``plan.json``."""
    code = "import sys, fanfold.airflow.page.app as app; app._import_slow_modules(); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "fanfold.queries.items" in loaded
    ours = {name for name in loaded if name.startswith(("pipelines", "fanfold.sources."))}
    # Light, and exported by fanfold itself.
    ours -= {f"fanfold.sources.{name}" for name in ("paging", "reading", "responses")}
    assert ours | loaded & {"fanfold.loader", "pandera", "duckdb"} == set()
