"""A run that publishes profiles starts their segmentation, by Airflow's scheduler and an Asset."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pyarrow.parquet as pq

from fanfold.simulator.sample import user_ids
from fanfold.storage.objects import Bucket
from fanfold.storage.published import read_published

PROFILES, SEGMENTS = "weibo_user_profiles", "account_segments"


def test_published_profiles_are_segmented_published_loaded_and_exported(
    scheduled, started_by_asset
):
    for dag_id in (PROFILES, SEGMENTS):
        scheduled.wait_for_dag(dag_id)
    users = user_ids(100)
    conf = {"user_ids": users, "update_latest": "yes"}
    scheduled.trigger(PROFILES, conf, run_id="daily")
    assert scheduled.wait(PROFILES, "daily", timeout=180) == "success"

    run = started_by_asset(scheduled, SEGMENTS)
    assert scheduled.wait(SEGMENTS, run["dag_run_id"], timeout=180) == "success"

    bucket = Bucket(scheduled.s3(), "fanfold")
    profiles, segments = (
        read_published(bucket, dag_id).manifest for dag_id in (PROFILES, SEGMENTS)
    )
    assert segments.run_id == run["dag_run_id"]
    assert segments.rows == profiles.rows == segments.file_of("account_segments").rows == 99
    with closing(sqlite3.connect(scheduled.home.warehouse)) as connection:

        def column(query):
            return [value for (value,) in connection.execute(query)]

        members = "SELECT user_id FROM {} ORDER BY user_id"
        loaded = column(members.format("account_segments"))
        assert set(loaded) <= set(column(members.format("user_profiles")))
        assert sum(column("SELECT accounts FROM segment_profiles")) == 99
        origin = column("SELECT value FROM model_card ORDER BY position LIMIT 2")
    assert origin == ["daily", profiles.file_of("user_profiles").sha256]

    root = scheduled.home.shared / "exports" / SEGMENTS
    latest = json.loads((root / "latest.json").read_text())
    assert latest["run_id"] == run["dag_run_id"]
    folder = root / latest["folder"]
    assert pq.read_table(folder / "account_segments.parquet")["user_id"].to_pylist() == loaded
