"""The dataset of one pipeline has the items of another DAG, which Airflow's scheduler starts by an Asset."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fanfold.local.stack import running_stack
from fanfold.simulator import topics

TOPICS, AUTHORS = "weibo_hot_topics", "weibo_topic_authors"
DAGS = Path(__file__).parents[2] / "dags"
FANFOLD = "/fanfold/api"


@pytest.fixture(scope="module")
def scheduled(tmp_path_factory):
    """A stack whose scheduler starts runs by Assets, with the DAGs of the chain."""
    folder = tmp_path_factory.mktemp("dags")
    shutil.copy(DAGS / f"{AUTHORS}.py", folder)
    text = (DAGS / f"{TOPICS}.py").read_text("utf-8")
    hourly = "schedule=policies.hourly(minute=5)"
    assert hourly in text
    # Not by the clock: that run would have other authors.
    (folder / f"{TOPICS}.py").write_text(text.replace(hourly, "schedule=None"), "utf-8")
    environment = {"AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "True"}
    home = tmp_path_factory.mktemp("chain")
    with running_stack(home, dags=folder, extra_env=environment) as stack:
        yield stack


def published(stack, dag_id, table):
    """Return manifest and table of what a DAG published last."""
    client = stack.s3()

    def read(key):
        return client.get_object(Bucket="fanfold", Key=key)["Body"].read()

    latest = json.loads(read(f"{dag_id}/latest.json"))
    found = pq.read_table(io.BytesIO(read(f"{latest['prefix']}{table}.parquet")))
    return json.loads(read(latest["manifest"])), found.to_pylist()


def the_only_run(stack, dag_id, timeout=60):
    """Return the run that Airflow starts within some seconds."""
    deadline = time.monotonic() + timeout
    while not (runs := stack.api("GET", f"/api/v2/dags/{dag_id}/dagRuns")["dag_runs"]):
        assert time.monotonic() < deadline, f"{dag_id} was not started"
        time.sleep(0.2)
    (run,) = runs
    return run


def test_the_authors_of_the_top_topics_are_fetched_if_the_run_says_so(scheduled):
    """Hot list, posts, publish, Asset, second DAG, profiles of exactly the authors."""
    for dag_id in (TOPICS, AUTHORS):
        scheduled.wait_for_dag(dag_id)
    listed = topics.hot(int(time.time()))
    confs = {"off": {"topics": listed[:1]}, "on": {"fetch_authors": True}}
    for run_id, conf in confs.items():
        scheduled.trigger(TOPICS, conf, run_id=run_id)
        assert scheduled.wait(TOPICS, run_id, timeout=180) == "success"

    run = the_only_run(scheduled, AUTHORS)
    assert scheduled.wait(AUTHORS, run["dag_run_id"], timeout=180) == "success"
    assert run["run_type"] == "asset_triggered"
    path = f"/api/v2/dags/{AUTHORS}/dagRuns/{run['dag_run_id']}"
    (event,) = scheduled.api("GET", f"{path}/upstreamAssetEvents")["asset_events"]
    assert (event["source_dag_id"], event["source_run_id"]) == (TOPICS, "on")

    manifest, top = published(scheduled, TOPICS, "top_authors")
    wanted = {row["author_id"] for row in top}
    assert manifest["run_id"] == "on"
    assert manifest["counts"]["planned"] == len(listed)
    assert len(wanted) > 50
    manifest, profiles = published(scheduled, AUTHORS, "user_profiles")
    assert manifest["run_id"] == run["dag_run_id"]
    assert manifest["counts"]["ok"] == manifest["counts"]["planned"] == len(wanted)
    assert {row["user_id"] for row in profiles} == wanted

    # Under its own name everywhere, and in the table of the pipeline.
    keys = scheduled.s3().list_objects_v2(Bucket="fanfold", Delimiter="/")["CommonPrefixes"]
    assert {each["Prefix"] for each in keys} == {f"{TOPICS}/", f"{AUTHORS}/"}
    with closing(sqlite3.connect(scheduled.home.warehouse)) as connection:
        loaded = connection.execute("SELECT user_id FROM user_profiles").fetchall()
        runs = connection.execute("SELECT run_id FROM fanfold_runs WHERE dag_id = ?", [AUTHORS])
        assert runs.fetchall() == [(run["dag_run_id"],)]
    assert {user for (user,) in loaded} == wanted
    shown = scheduled.api("GET", f"{FANFOLD}/dags/{AUTHORS}/runs/{run['dag_run_id']}")
    assert (shown["verdict"], shown["noun"], shown["tables"]) == (
        "complete",
        "user",
        ["user_profiles"],
    )
