"""The dataset of one pipeline has the items of another DAG, which Airflow's scheduler starts by an Asset."""

from __future__ import annotations

import io
import json
import sqlite3
import time
from contextlib import closing

import pyarrow.parquet as pq

from fanfold.simulator import topics

TOPICS, AUTHORS = "weibo_hot_topics", "weibo_topic_authors"
FANFOLD = "/fanfold/api"


def published(stack, dag_id, table):
    """Return manifest and table of what a DAG published last."""
    client = stack.s3()

    def read(key):
        return client.get_object(Bucket="fanfold", Key=key)["Body"].read()

    latest = json.loads(read(f"{dag_id}/latest.json"))
    found = pq.read_table(io.BytesIO(read(f"{latest['prefix']}{table}.parquet")))
    return json.loads(read(latest["manifest"])), found.to_pylist()


def test_the_authors_of_the_top_topics_are_fetched_if_the_run_says_so(scheduled, started_by_asset):
    """Hot list, posts, publish, Asset, second DAG, profiles of exactly the authors."""
    for dag_id in (TOPICS, AUTHORS):
        scheduled.wait_for_dag(dag_id)
    listed = topics.hot(int(time.time()))
    confs = {"off": {"topics": listed[:1]}, "on": {"fetch_authors": True}}
    for run_id, conf in confs.items():
        scheduled.trigger(TOPICS, conf, run_id=run_id)
        assert scheduled.wait(TOPICS, run_id, timeout=180) == "success"

    run = started_by_asset(scheduled, AUTHORS)
    assert scheduled.wait(AUTHORS, run["dag_run_id"], timeout=180) == "success"
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

    # In the table of the pipeline.
    with closing(sqlite3.connect(scheduled.home.warehouse)) as connection:
        loaded = connection.execute("SELECT user_id FROM user_profiles").fetchall()
        runs = connection.execute("SELECT run_id FROM fanfold_runs WHERE dag_id = ?", [AUTHORS])
        assert runs.fetchall() == [(run["dag_run_id"],)]
    assert {user for (user,) in loaded} >= wanted
    shown = scheduled.api("GET", f"{FANFOLD}/dags/{AUTHORS}/runs/{run['dag_run_id']}")
    assert (shown["verdict"], shown["noun"], shown["tables"]) == (
        "complete",
        "user",
        ["user_profiles"],
    )
