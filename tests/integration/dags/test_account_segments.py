"""A custom flow: profiles, their segments, and the author's own tasks before, between and after."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import pyarrow.parquet as pq
import pytest

from fanfold.simulator.sample import user_ids
from fanfold.storage.objects import Bucket
from fanfold.storage.published import read_published

# Airflow and its providers warn about themselves.
pytestmark = pytest.mark.filterwarnings("ignore")

DAG = "account_segments"
PROFILES = "weibo_user_profiles"
DAYS = [datetime(2027, 1, day, tzinfo=UTC) for day in range(1, 9)]


def exported(pipeline):
    """The run in the folder of the sink, and its segments."""
    root = pipeline.shared / "exports" / DAG
    latest = json.loads((root / "latest.json").read_text())
    folder = latest["folder"].removeprefix("file://")
    return latest["run_id"], pq.read_table(f"{folder}/account_segments.parquet").to_pylist()


def published(pipeline):
    return read_published(Bucket(pipeline.client, pipeline.bucket), DAG)


def test_profiles_that_were_never_published_are_named_in_one_sentence(pipeline):
    run = pipeline.run(DAG, date=DAYS[0])
    assert run.state == "failed"
    assert run.error("latest_profiles") == (
        "weibo_user_profiles has published nothing yet: there is no "
        f"s3://{pipeline.bucket}/weibo_user_profiles/latest.json. Run weibo_user_profiles, then clear "
        "this task."
    )


def test_own_tasks_fail_and_are_cleared_without_a_loss(pipeline):
    """The sink fails after publishing, the file is replaced after it was chosen, the segments move."""
    users = user_ids(60)
    profiles = pipeline.run(PROFILES, user_ids=users, date=DAYS[1])
    rows = profiles.manifest["rows"]

    # The folder of the sink is a file: the run fails, but is published, loaded and reported.
    blocked = pipeline.shared / "exports"
    blocked.write_text("")
    run = pipeline.run(DAG, date=DAYS[2])
    assert run.state == "failed"
    assert {task for (task, _), state in run.states.items() if state == "failed"} == {"export"}
    assert "Correct the folder or its rights and clear the task" in run.error("export")
    manifest = published(pipeline).manifest
    assert manifest.rows == manifest.file_of("account_segments").rows == rows
    with closing(sqlite3.connect(pipeline.warehouse)) as connection:
        loaded = connection.execute("SELECT count(*) FROM account_segments").fetchone()[0]
        trained = connection.execute("SELECT value FROM model_card ORDER BY position").fetchall()
    assert loaded == rows
    assert [value for (value,) in trained[:2]] == [
        profiles.run.run_id,
        next(each["sha256"] for each in profiles.manifest["files"] if each["key"].endswith(".parquet")),
    ]  # fmt: skip
    blocked.unlink()
    run = pipeline.clear(run, "export")
    assert run.errors == {}
    assert exported(pipeline)[0] == run.run.run_id
    first = exported(pipeline)[1]

    # Each own task can be cleared by itself.
    run = pipeline.clear(run, "latest_profiles", "check_segments", "export")
    assert run.errors == {}
    assert exported(pipeline)[1] == first

    # The profiles are fetched again for fewer users, into the same file. What was chosen before is not
    # read any more; the same run reads the new file as soon as it is chosen anew.
    old = xcom(run, "latest_profiles")
    profiles = pipeline.run(PROFILES, user_ids=users[:40], date=DAYS[1])
    late = pipeline.run(DAG, date=DAYS[3], files=old)
    assert late.state == "failed"
    assert "another file" in late.error("batch.fetch")
    assert published(pipeline).manifest == manifest
    run = pipeline.clear(run, "latest_profiles", "read_items", "plan", *STEPS)
    assert run.errors == {}
    assert published(pipeline).manifest.rows == profiles.manifest["rows"] < rows
    assert len(exported(pipeline)[1]) == profiles.manifest["rows"]


STEPS = ("batch.fetch", "batch.process", "consolidate", "check_segments", "publish", "load", "export")


def xcom(run, task_id):
    return run.run.get_task_instance(task_id).xcom_pull(task_ids=task_id)
