"""A run that publishes profiles starts their segmentation, by Airflow's scheduler and an Asset."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fanfold.local.stack import running_stack
from fanfold.simulator.sample import user_ids
from fanfold.storage.objects import Bucket
from fanfold.storage.published import read_published

PROFILES, SEGMENTS = "weibo_user_profiles", "account_segments"
DAGS = Path(__file__).parents[2] / "dags"


@pytest.fixture(scope="module")
def scheduled(tmp_path_factory):
    """A stack whose scheduler starts runs by Assets, with the two DAGs."""
    folder = tmp_path_factory.mktemp("dags")
    shutil.copy(DAGS / f"{SEGMENTS}.py", folder)
    text = (DAGS / f"{PROFILES}.py").read_text("utf-8")
    daily = "schedule=policies.daily(hour=2)"
    assert daily in text
    # Not by the clock: that run would have other users.
    (folder / f"{PROFILES}.py").write_text(text.replace(daily, "schedule=None"), "utf-8")
    environment = {"AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "True"}
    home = tmp_path_factory.mktemp("segments")
    with running_stack(home, dags=folder, extra_env=environment) as stack:
        yield stack


def test_published_profiles_are_segmented_published_loaded_and_exported(scheduled):
    for dag_id in (PROFILES, SEGMENTS):
        scheduled.wait_for_dag(dag_id)
    users = user_ids(100)
    scheduled.trigger(PROFILES, {"user_ids": users}, run_id="daily")
    assert scheduled.wait(PROFILES, "daily", timeout=180) == "success"

    deadline = time.monotonic() + 60
    path = f"/api/v2/dags/{SEGMENTS}/dagRuns"
    while not (runs := scheduled.api("GET", path)["dag_runs"]):
        assert time.monotonic() < deadline, "no event of the Asset has started it"
        time.sleep(0.2)
    (run,) = runs
    assert run["run_type"] == "asset_triggered"
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
        assert loaded == column(members.format("user_profiles"))
        assert sum(column("SELECT accounts FROM segment_profiles")) == 99
        origin = column("SELECT value FROM model_card ORDER BY position LIMIT 2")
    assert origin == ["daily", profiles.file_of("user_profiles").sha256]

    root = scheduled.home.shared / "exports" / SEGMENTS
    latest = json.loads((root / "latest.json").read_text())
    assert latest["run_id"] == run["dag_run_id"]
    folder = root / latest["folder"]
    assert pq.read_table(folder / "account_segments.parquet")["user_id"].to_pylist() == loaded
