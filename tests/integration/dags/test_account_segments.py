"""A custom flow: profiles, their segments, and the author's own tasks before, between and after."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import pyarrow.parquet as pq
import pytest

from fanfold import testing
from fanfold.loader import load_pipeline
from fanfold.model import Counts, FileEntry, Manifest, RunStatus
from fanfold.simulator.people import FIRST_UID, profile
from fanfold.stages.publishing import publish
from fanfold.storage.objects import Bucket
from fanfold.storage.published import read_published

# Airflow and its providers warn about themselves.
pytestmark = pytest.mark.filterwarnings("ignore")

DAG = "account_segments"
PROFILES = "weibo_user_profiles"
DAYS = [datetime(2027, 1, day, tzinfo=UTC) for day in (2, 3)]


def publish_profiles(pipeline, users):
    """Publish the profiles of some users, as the same run of their pipeline."""
    records = {
        str(FIRST_UID + number): [profile(str(FIRST_UID + number))] for number in range(users)
    }
    found = testing.run(load_pipeline(PROFILES).pipeline, records=records, charts=False)
    path = pipeline.shared / "user_profiles.parquet"
    found.rows.to_parquet(path, index=False)
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    entry = FileEntry(path.name, "parquet", users, len(content), digest, "user_profiles")
    date = "2027-01-01T00:00:00Z"
    counts = Counts(users, users)
    publish(
        Bucket(pipeline.client, pipeline.bucket),
        pipeline.shared,
        Manifest(PROFILES, "daily", date, RunStatus.COMPLETE, counts, (entry,), users, date, date),
    )
    return digest


def exported(pipeline):
    """The run in the folder of the sink, and its segments."""
    root = pipeline.shared / "exports" / DAG
    latest = json.loads((root / "latest.json").read_text())
    table = pq.read_table(root / latest["folder"] / "account_segments.parquet")
    return latest["run_id"], table.to_pylist()


def published(pipeline):
    return read_published(Bucket(pipeline.client, pipeline.bucket), DAG)


def test_own_tasks_fail_and_are_cleared_without_a_loss(pipeline):
    """The sink fails after publishing, the file is replaced after it was chosen, the segments move."""
    digest = publish_profiles(pipeline, 60)

    # The folder of the sink is a file: the run fails, but is published, loaded and reported.
    blocked = pipeline.shared / "exports"
    blocked.write_text("")
    run = pipeline.run(DAG, date=DAYS[0])
    assert run.state == "failed"
    assert {task for (task, _), state in run.states.items() if state == "failed"} == {"export"}
    assert "Correct the folder or its rights and clear the task" in run.error("export")
    manifest = published(pipeline).manifest
    assert manifest.rows == manifest.file_of("account_segments").rows == 60
    with closing(sqlite3.connect(pipeline.warehouse)) as connection:
        loaded = connection.execute("SELECT count(*) FROM account_segments").fetchone()[0]
        trained = connection.execute("SELECT value FROM model_card ORDER BY position").fetchall()
    assert loaded == 60
    assert [value for (value,) in trained[:2]] == ["daily", digest]
    blocked.unlink()
    run = pipeline.clear(run, "export")
    assert run.errors == {}
    assert exported(pipeline)[0] == run.run.run_id
    first = exported(pipeline)[1]

    # Each own task can be cleared by itself; what is lost in the folder is written again.
    shutil.rmtree(blocked)
    run = pipeline.clear(run, "latest_profiles", "check_segments", "export")
    assert run.errors == {}
    assert exported(pipeline)[1] == first

    # The profiles are fetched again for fewer users, into the same file. What was chosen before is not
    # read any more; the same run reads the new file as soon as it is chosen anew.
    old = xcom(run, "latest_profiles")
    publish_profiles(pipeline, 40)
    late = pipeline.run(DAG, date=DAYS[1], files=old)
    assert late.state == "failed"
    assert "changed since the list was read" in late.error("batch.fetch")
    assert published(pipeline).manifest == manifest
    run = pipeline.clear(run, "latest_profiles", "read_items", "plan", *STEPS)
    assert run.errors == {}
    assert published(pipeline).manifest.rows == len(exported(pipeline)[1]) == 40


STEPS = (
    "batch.fetch",
    "batch.process",
    "consolidate",
    "check_segments",
    "publish",
    "load",
    "export",
)


def xcom(run, task_id):
    return run.run.get_task_instance(task_id).xcom_pull(task_ids=task_id)
