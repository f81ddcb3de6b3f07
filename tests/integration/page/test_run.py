"""What the page shows of a run, from the totals to the last failed user."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace

import requests

from fanfold.messages import Message
from fanfold.workspace.files import read_json, write_json
from fanfold.workspace.paths import Workspace
from fanfold.workspace.progress import all_progress, write_progress

UIDS = [str(1404376560 + number) for number in range(40)]
UNKNOWN, INVALID, FAILED = UIDS[3], UIDS[5], (UIDS[8], UIDS[9])
FAULTS = {UNKNOWN: "unknown", INVALID: "invalid"} | dict.fromkeys(FAILED, "odd_code")
TALLY = {"planned": 40, "ok": 36, "missing": 1, "invalid": 1, "failed": 2, "waiting": 0}


def test_a_partial_run_is_shown_to_the_last_user(pipeline, run_page):
    """All parts of one run's page: the run takes most of the time."""
    pipeline.simulator.control(uids=FAULTS)
    page = run_page(user_ids=UIDS, batch_size=7, tolerated_failure_percentage=50)
    seen = page.get()
    assert (seen["verdict"], seen["final"], seen["status"]) == ("partial", True, "partial")
    assert seen["tally"] == TALLY
    assert seen["requests"]["expected"] == 40
    assert seen["requests"]["used"] > 40
    assert seen["redrive"] == {"allowed": True, "possible": True, "why_not": None, "items": 3}
    assert [task["task_id"] for task in seen["tasks"]] == [
        "preflight", "read_items", "plan", "batch.fetch", "batch.process", "consolidate",
        "publish", "load", "report",
    ]  # fmt: skip
    states = {task["task_id"]: task["states"] for task in seen["tasks"]}
    assert states["batch.fetch"] == {"success": 5, "failed": 1}
    assert states["report"] == {"success": 1}

    _tells_batches(page)
    _tells_failures(page)
    _tells_items(page)
    _tells_the_dataset(page)
    _gives_files_away(page)
    _shows_the_report(page)
    assert page.get("/comparison", expect=404)["code"] == "no_comparison"
    _speaks_the_language_of_who_asks(page)
    _tells_what_batches_have_so_far(page)


def _tells_batches(page):
    batches = page.get("/batches")["batches"]
    assert [batch["batch"] for batch in batches] == list(range(6))
    assert [batch["tally"]["planned"] for batch in batches] == [7, 7, 7, 7, 7, 5]
    summed = {name: sum(batch["tally"][name] for batch in batches) for name in TALLY}
    assert summed == TALLY
    assert [batch["fetch"]["state"] for batch in batches].count("failed") == 1
    assert batches[1]["fetch"]["state"] == "failed"
    assert batches[0]["label"] == "items 1–7"
    assert all(batch["process"]["seconds"] > 0 for batch in batches)
    assert sum(batch["requests"] for batch in batches) == page.get()["requests"]["used"]


def _tells_failures(page):
    found = page.get("/failures")
    assert found["final"] is True
    failed, invalid, missing = found["groups"]
    assert (failed["status"], failed["count"]) == ("failed", 2)
    assert [example["key"] for example in failed["examples"]] == list(FAILED)
    assert (invalid["status"], invalid["count"], invalid["reason"]) == ("invalid", 1, "")
    assert (missing["status"], missing["reason"][-12:]) == ("missing", "no such user")
    first = page.get("/failures/items", group=failed["id"], limit=1)
    assert [item["key"] for item in first["items"]] == [FAILED[0]]
    second = page.get("/failures/items", group=failed["id"], limit=1, after=first["next"])
    assert ([item["key"] for item in second["items"]], second["next"]) == ([FAILED[1]], None)
    every = page.get("/failures/items")["items"]
    assert [item["key"] for item in every] == [UNKNOWN, INVALID, *FAILED]
    page.get("/failures/items", group="nothing", expect=404)

    answer = page.client.get(f"{page.path}/failures.jsonl")
    assert answer.content == (page.workspace.dataset / "failed.jsonl").read_bytes()
    assert answer.headers["Content-Disposition"] == 'attachment; filename="failed.jsonl"'
    answer = page.client.get(f"{page.path}/failures.jsonl", params={"group": failed["id"]})
    assert [json.loads(line)["key"] for line in answer.text.splitlines()] == list(FAILED)


def _tells_items(page):
    item = page.get("/items", key=UIDS[0])
    assert (item["status"], item["batch"], item["position"]) == ("ok", 0, 0)
    assert (str(item["record"]["id"]), item["row"]["user_id"]) == (UIDS[0], UIDS[0])
    assert item["latest"]["attempts"] == 1

    item = page.get("/items", key=INVALID)
    assert (item["status"], item["row"]) == ("invalid", None)
    assert item["record"]["id"] == int(INVALID)
    assert item["latest"]["column"] in item["latest"]["reason"]
    assert item["latest"]["rule"]

    item = page.get("/items", key=FAILED[0])
    assert (item["status"], item["record"], item["row"]) == ("failed", None, None)
    assert "error without a valid code" in item["latest"]["reason"]
    assert page.get("/items", key=UNKNOWN)["status"] == "missing"
    assert page.get("/items", key=f"  {UIDS[1]} ")["key"] == UIDS[1]

    assert page.get("/items", key="1", expect=404)["code"] == "unknown_item"
    assert page.get("/suggestions", prefix="140437656")["keys"] == sorted(UIDS)[:10]
    assert page.get("/suggestions", prefix="9")["keys"] == []


def _tells_the_dataset(page):
    found = page.get("/dataset", limit=10)
    assert (found["rows"], len(found["page"])) == (36, 10)
    columns = {column["name"]: column for column in found["columns"]}
    assert list(columns)[:2] == ["source", "user_id"]
    assert columns["followers_count"]["type"] == "int64"
    assert columns["created_at"]["type"] == "timestamp"
    assert columns["user_id"]["null_share"] == 0
    assert 0 < columns["last_status_at"]["null_share"] < 1
    ids = [row[1] for row in found["page"]]
    rest = [row[1] for row in page.get("/dataset", offset=10, limit=500)["page"]]
    assert ids + rest == [uid for uid in UIDS if uid not in FAULTS]
    assert page.get("/dataset", offset=36)["page"] == []


def _gives_files_away(page):
    found = page.get("/files")
    assert found["published"] is True
    assert found["prefix"].startswith("s3://test-")
    assert [file["name"] for file in found["files"]] == [
        "users.parquet", "users.csv.gz", "failed.jsonl",
    ]  # fmt: skip
    for file in found["files"]:
        answer = page.client.get(f"{page.path}/files/{file['name']}")
        assert answer.status_code == 307
        # Anyone who has the address needs no login.
        got = requests.get(answer.headers["Location"], timeout=30)
        assert len(got.content) == file["bytes"]
        assert hashlib.sha256(got.content).hexdigest() == file["sha256"]
        assert got.headers["Content-Disposition"] == f'attachment; filename="{file["name"]}"'
    assert page.get("/files/manifest.json", expect=404)["code"] == "no_file"


def _shows_the_report(page):
    answer = page.client.get(f"{page.path}/report")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.content == (page.workspace.report / "report.html").read_bytes()


def _tells_what_batches_have_so_far(page):
    """While a run is on, its progress files add up to what the manifest says afterwards."""
    page.set_states("running", {("consolidate",): None, ("batch.fetch",): "running"})
    seen = page.get()
    assert (seen["verdict"], seen["final"], seen["status"]) == ("running", False, None)
    assert seen["tally"] == TALLY
    assert seen["redrive"]["why_not"] == "active"
    assert seen["scheduler"] is False
    groups = page.get("/failures")
    assert groups["final"] is False
    assert [(group["status"], group["count"]) for group in groups["groups"]] == [
        ("failed", 2), ("invalid", 1), ("missing", 1),
    ]  # fmt: skip
    assert page.get("/failures/items", expect=409)["code"] == "not_final"
    assert page.get("/items", key=INVALID)["status"] == "invalid"

    waiting = all_progress(page.workspace)[2]
    for number in (2, 3):
        page.workspace.batch(number).progress_file.unlink()
        page.workspace.batch(number).counts_file.unlink()
    until = "2030-01-01T14:00:00.000Z"
    spent = Message("Weibo 10023: the quota is used up", "weibo.quota", {"code": 10023})
    fields = {"ok": 3, "missing": 0, "failed": 0, "requests": 3}
    progress = replace(waiting, **fields, recent=(), waits_until=until, waits_for=spent)
    write_progress(page.workspace.batch(2), progress)
    page.set_states("running", {("batch.fetch",): "deferred", ("batch.process",): None})
    seen = page.get()
    assert seen["verdict"] == "waiting"
    assert seen["wait"] == {"batches": 1, "until": until, "reason": spent.text}
    assert seen["tally"] == TALLY | {"ok": 25, "waiting": 11}
    assert seen["timing"]["left"] > 86_400
    assert seen["timing"]["basis"] == "speed"
    # Of four requests an hour, eleven items are there two hours after the first four are given.
    plan = read_json(page.workspace.plan)
    quotas = {"limit": 4, "remaining": 0, "reset_at": until, "window": 3600.0}
    write_json(page.workspace.plan, {**plan, "quotas": plan["quotas"] | quotas})
    bounded = page.get()["timing"]
    assert bounded["basis"] == "quota"
    assert 7000 < bounded["left"] - seen["timing"]["left"] < 7400
    write_json(page.workspace.plan, plan)
    assert page.get("/batches")["batches"][2]["waits_until"] == until


def _speaks_the_language_of_who_asks(page):
    """Reasons and rules, not what the source sent; groups are the same in both."""
    page.client.session.headers["Accept-Language"] = "zh-CN,zh;q=0.9,en;q=0.8"
    try:
        chinese = page.get("/failures")["groups"]
        item, broken = page.get("/items", key=UNKNOWN), page.get("/items", key=INVALID)
        listed = page.get("/failures/items")["items"]
    finally:
        del page.client.session.headers["Accept-Language"]
    english = page.get("/failures")["groups"]
    assert [group["id"] for group in chinese] == [group["id"] for group in english]
    assert {"Weibo 20003: no such user"} <= {group["reason"] for group in english}
    assert {"微博 20003：没有这个用户"} <= {group["reason"] for group in chinese}
    assert item["latest"]["reason"] == "微博 20003：没有这个用户"
    assert "不符合规则" in broken["latest"]["reason"]
    assert "不符合规则" in next(each["reason"] for each in listed if each["key"] == INVALID)
    assert all("no such" not in each["reason"] for each in listed)


def test_a_run_over_its_tolerance_shows_its_dataset_and_publishes_none(pipeline, run_page):
    pipeline.simulator.control(uids=FAULTS)
    page = run_page(user_ids=UIDS, batch_size=20, tolerated_failure_percentage=1)
    seen = page.get()
    assert (seen["verdict"], seen["final"], seen["status"]) == ("failed", True, "partial")
    assert (seen["dataset"], seen["report"]) == (True, False)
    assert page.get("/dataset")["rows"] == 36
    assert page.get("/files")["published"] is False
    assert page.get("/files/users.parquet", expect=409)["code"] == "not_published"
    assert page.get("/report", expect=404)["code"] == "no_report"
    assert page.get("/comparison", expect=404)["code"] == "never_compared"
    page.set_states("running", {("report",): None})
    assert page.get("/comparison", expect=404)["code"] == "not_compared_yet"


def test_a_dry_run_an_empty_run_and_one_that_ended_before_its_plan(run_page):
    page = run_page(user_ids=UIDS, dry_run=True)
    seen = page.get()
    assert (seen["verdict"], seen["tally"]["waiting"]) == ("planned", 40)
    assert (seen["redrive"]["why_not"], seen["redrive"]["items"]) == ("nothing", 0)
    assert page.redrive(expect=409)["code"] == "nothing"
    assert page.get("/items", key=UIDS[0])["status"] == "waiting"
    assert page.get("/dataset", expect=404)["code"] == "no_dataset"

    page = run_page(user_ids=[])
    seen = page.get()
    assert (seen["verdict"], seen["tally"]["planned"]) == ("empty", 0)
    assert page.get("/batches")["batches"] == []
    assert page.get("/failures") == {"final": True, "groups": []}
    assert page.get("/dataset")["page"] == []

    page = run_page(user_ids=["no number"])
    seen = page.get()
    assert (seen["verdict"], seen["tally"]) == ("failed", None)
    # Nothing was fetched, and what failed can be run again all the same.
    assert (seen["redrive"]["possible"], seen["redrive"]["items"]) == (True, 0)
    cost = page.redrive()
    assert (cost["items"], cost["batches"], cost["tasks"] >= 7) == (0, 0, True)
    assert page.redrive(keys=["1"], expect=409)["code"] == "nothing"
    for part in ("/batches", "/failures", "/suggestions?prefix=1", "/items?key=1"):
        assert page.get(part, expect=404)["code"] == "never_planned"
    page.set_states("running")
    assert page.get("/batches", expect=404)["code"] == "no_plan"


def test_two_runs_are_compared_and_both_are_in_the_list_of_pipelines(compared, page_of, site):
    page = page_of(compared.workspace)
    seen, found = page.get(), page.get("/comparison")
    assert found["previous"] == seen["previous"]
    assert (found["both"], found["new"]["count"], found["gone"]["count"]) == (3, 2, 0)
    assert {example["key"] for example in found["new"]["examples"]} == set(UIDS[3:5])
    assert found["changed"] == 0

    listed = site["viewer"].get("/fanfold/api/pipelines").json()["pipelines"]
    (weibo,) = (each for each in listed if each["dag_id"] == "weibo_user_profiles")
    ids = [run["run_id"] for run in weibo["runs"]]
    assert ids.index(page.run_id) < ids.index(seen["previous"])
    newest = weibo["runs"][ids.index(page.run_id)]
    assert (newest["verdict"], newest["rows"], newest["tally"]["ok"]) == ("complete", 5, 5)
    assert newest["seconds"] > 0


def test_missing_or_damaged_files_are_named_and_the_rest_is_shown(
    compared, page_of, monkeypatch, tmp_path
):
    """The shared directory, a part and the key index; the server keeps no state of its own."""
    page = page_of(compared.workspace)
    before = page.get()
    with monkeypatch.context() as patch:
        patch.setenv("FANFOLD_SHARED_DIR", str(tmp_path / "away"))
        for part in ("", "/batches", "/failures", "/items?key=1", "/dataset", "/report"):
            assert page.get(part, expect=503)["code"] == "workspace_away"
        answer = page.client.get("/fanfold/api/pipelines").json()
        assert answer["workspace"] is False
        assert any(pipeline["runs"] for pipeline in answer["pipelines"])
    assert page.get() == before

    copied = shutil.copytree(compared.shared, tmp_path / "copied")
    monkeypatch.setenv("FANFOLD_SHARED_DIR", str(copied))
    workspace = Workspace(copied / page.dag_id / page.run_id)
    workspace.batch(0).rows_file.write_bytes(b"PAR1 no")
    answer = page.get("/items", key=UIDS[0], expect=500)
    assert (answer["code"], "00000.parquet" in answer["detail"]) == ("damaged", True)
    workspace.keys.write_bytes(b"no database")
    answer = page.get("/items", key=UIDS[0], expect=500)
    assert (answer["code"], "keys.db" in answer["detail"]) == ("damaged", True)
    assert page.get() == before
    assert page.get("/dataset")["rows"] == 5
