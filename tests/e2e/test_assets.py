"""Assets by date, lineage and pools, with Airflow's scheduler."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pyarrow.parquet as pq

SUM, WEEKLY = "concurrent_sum", "weekly"
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)


def test_a_week_starts_after_its_seven_days_tables_start_a_dag_and_lineage_tells_what_was_written(
    scheduled, started_by_asset
):
    """Six days are events only. The seventh is a run, in the middle of the day and with a pool that is missing."""
    for dag_id in (SUM, WEEKLY, "tables"):
        scheduled.wait_for_dag(dag_id)
    assets = scheduled.api("GET", "/api/v2/assets?limit=200")["assets"]
    (by_date,) = [each for each in assets if each["name"] == f"{SUM}_by_date"]
    assert by_date["uri"] == f"s3://fanfold/{SUM}"
    for day in range(1, 7):
        key = f"{MONDAY + timedelta(days=day):%Y-%m-%d}T00:00:00"
        event = {"asset_id": by_date["id"], "partition_key": key, "extra": {}}
        scheduled.api("POST", "/api/v2/assets/events", json=event)

    date = MONDAY + timedelta(hours=10, minutes=42)
    conf = {"items": ["7", "0-99"], "update_latest": "yes"}
    made = {"dag_run_id": "monday", "logical_date": date.isoformat(), "conf": conf}
    assert scheduled.api("GET", f"/api/v2/dags/{WEEKLY}/dagRuns")["total_entries"] == 0
    scheduled.api("POST", f"/api/v2/dags/{SUM}/dagRuns", json=made)
    assert scheduled.wait(SUM, "monday", timeout=120) == "success"
    run = started_by_asset(scheduled, WEEKLY)
    assert run["partition_key"] == "2026-03-02 (W10)"
    started_by_asset(scheduled, "tables")
    fetched = scheduled.api("GET", f"/api/v2/dags/{SUM}/dagRuns/monday/taskInstances")
    pools = {each["pool"] for each in fetched["task_instances"]}
    assert pools == {"default_pool"}

    lines = (scheduled.home.root / "lineage.jsonl").read_text("utf-8").splitlines()
    complete = {
        event["job"]["name"]: event
        for event in map(json.loads, lines)
        if event["eventType"] == "COMPLETE" and event["job"]["name"].startswith(f"{SUM}.")
    }
    folder = scheduled.home.shared / SUM / "monday" / "dataset"
    published, loaded = (
        {(each["namespace"], each["name"]): each for each in complete[f"{SUM}.{task}"]["outputs"]}
        for task in ("publish", "load")
    )
    for table, rows in {"partial_sums": 2, "total_sum": 1}.items():
        columns = [
            {"name": field.name, "type": str(field.type), "fields": []}
            for field in pq.read_schema(folder / f"{table}.parquet")
        ]
        names = ("s3://fanfold", f"{SUM}/{table}"), ("file", f"{scheduled.home.warehouse}/{table}")
        for dataset in (published[names[0]], loaded[names[1]]):
            assert dataset["facets"]["schema"]["fields"] == columns
            assert dataset["outputFacets"]["outputStatistics"]["rowCount"] == rows
    read = {(each["namespace"], each["name"]) for each in complete[f"{SUM}.load"]["inputs"]}
    assert read == set(published)
