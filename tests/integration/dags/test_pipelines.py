"""The pipelines from trigger to sinks, in ``dag.test()``."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from fanfold import testing
from fanfold.messages import Message
from fanfold.model import Counts, Plan
from fanfold.queries.items import find_item
from fanfold.rate_limit import open_rate_limiter
from fanfold.simulator import shop
from fanfold.simulator.sample import upload
from fanfold.workspace.paths import Workspace
from pipelines.order_analysis import PIPELINE as ORDERS

# Airflow and its providers warn about themselves.
pytestmark = pytest.mark.filterwarnings("ignore")

UIDS = [str(1404376560 + number) for number in range(40)]


def column_of(run, name):
    """A column of a run's dataset."""
    return pq.read_table(run.workspace / "dataset" / "user_profiles.parquet")[name].to_pylist()


def plan_of(run):
    return json.loads((run.workspace / "plan.json").read_text("utf-8"))


def queried(path, statement):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def rows_of(path, table="user_profiles"):
    return queried(path, f"SELECT count(*) FROM {table}")[0][0]


def published(pipeline, dag_id):
    """The objects of the run that latest.json refers to, by name."""
    prefix = json.loads(pipeline.read(f"{dag_id}/latest.json"))["prefix"]
    keys = [key for key in pipeline.objects() if key.startswith(prefix)]
    return {key.removeprefix(prefix): pipeline.read(key) for key in keys}


def events_of(run):
    """Partition key of each event of an Asset that a run has sent, by the Asset's name."""
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    query = (
        select(AssetModel.name, AssetEvent.partition_key)
        .join(AssetEvent, AssetEvent.asset_id == AssetModel.id)
        .where(AssetEvent.source_run_id == run.run.run_id)
        .order_by(AssetEvent.id)
    )
    with create_session() as session:
        return [tuple(row) for row in session.execute(query)]


def announced(run, *tables, latest=True):
    """The events of a run of the DAG's own list."""
    dag_id, key = run.run.dag_id, f"{run.run.logical_date:%Y-%m-%d}T00:00:00"
    events = {(f"{dag_id}_by_date", key), (f"{dag_id}_loaded_by_date", key)}
    return events | {(table, None) for table in (*tables, *([dag_id] if latest else []))}


def test_a_list_of_its_own_leaves_latest_alone_and_a_variable_is_the_list_of_the_schedule(
    pipeline,
):
    pipeline.patch.setenv("AIRFLOW_VAR_WEIBO_USER_PROFILES_ITEMS", json.dumps(UIDS[:4]))
    daily = pipeline.run()
    assert daily.errors == {}
    table = f"file://{pipeline.warehouse}?table=user_profiles"
    assert daily.counts.planned == 4
    assert set(events_of(daily)) == announced(daily, table)
    assert plan_of(daily)["items_from"]["text"] == "the Variable weibo_user_profiles_items"

    def latest():
        return json.loads(pipeline.read("weibo_user_profiles/latest.json"))["run_id"]

    def warnings(run):
        return json.loads((run.workspace / "consolidate.json").read_text("utf-8"))["warnings"]

    own = pipeline.run(user_ids=UIDS[:1])
    assert (own.errors, warnings(own)) == ({}, [])
    assert (own.counts.planned, latest()) == (1, daily.run.run_id)
    assert events_of(own) == [(table, None)]
    assert plan_of(own)["items_from"]["id"] == "items.run"
    assert own.states["load", -1] == own.states["report", -1] == "success"
    assert json.loads((own.workspace / "publish.json").read_text("utf-8"))["latest"] is False
    yes = pipeline.run(user_ids=UIDS[:1], update_latest="yes")
    assert (yes.errors, latest()) == ({}, yes.run.run_id)
    assert set(events_of(yes)) == announced(yes, table)
    (warning,) = warnings(yes)
    assert warning["params"]["run"] == daily.run.run_id
    assert warning["params"]["tables"].startswith("user_profiles 4 → 1")
    # A redrive of the latest run is compared with what that has replaced; an empty one replaces nothing.
    pipeline.clear(yes, "consolidate")
    assert (yes.errors, warnings(yes)) == ({}, [warning])
    empty = pipeline.run(user_ids=[], update_latest="yes")
    assert (empty.errors, warnings(empty), latest()) == ({}, [], yes.run.run_id)
    assert events_of(empty) == []


def test_runs_with_defaults_bring_every_user_to_every_sink_and_forecast_the_next(
    pipeline, postgres_database
):
    """Files, objects, rows and report; each user is a labelled task. An empty run changes nothing."""
    server = postgres_database
    pipeline.connect(
        "warehouse_default",
        conn_type="postgres",
        host=server.host,
        port=server.port,
        login=server.user,
        password=server.password,
        schema=server.dbname,
    )
    run = pipeline.run()
    assert run.state == "success"
    assert run.errors == {}
    assert run.manifest["status"] == "complete"
    assert run.counts == Counts(planned=5, ok=5)
    places = [pipeline.simulator.url]
    assert places == plan_of(run)["places"] == run.manifest["places"]
    objects = published(pipeline, "weibo_user_profiles")
    assert f">{places[0]}<" in objects["report.html"].decode()
    assert set(objects) == {
        *("user_profiles.parquet", "user_profiles.csv.gz"),
        *("failed.jsonl", "missing.jsonl", "rejected.jsonl"),
        *("manifest.json", "report.html"),
    }
    dataset = run.workspace / "dataset" / "user_profiles.parquet"
    assert objects["user_profiles.parquet"] == dataset.read_bytes()
    with server.connect() as connection:
        assert connection.execute("SELECT count(*) FROM user_profiles").fetchone() == (5,)
        assert connection.execute("SELECT count(*) FROM fanfold_runs").fetchone() == (1,)
    users = column_of(run, "user_id")
    labels = [run.labels["batch.fetch", index] for index in range(5)]
    assert labels == users == [run.labels["batch.process", index] for index in range(5)]
    forecast = plan_of(run)["forecast"]
    assert forecast == {"requests": 5, "seconds": None, "basis": "unknown"}

    second = pipeline.run(user_ids=UIDS[:3], batch_size=3, update_latest="yes")
    forecast = plan_of(second)["forecast"]
    assert forecast["basis"] == "earlier runs"
    low, high = forecast["seconds"]
    assert 0 < low < high
    history = json.loads((run.workspace.parent / ".history.json").read_text("utf-8"))
    assert all(0 < past["fetching"] < past["seconds"] and past["after"] > 0 for past in history)

    # A run dated before the others writes no row, which its outcome says.
    older = pipeline.run(user_ids=UIDS[:2], date=datetime.now(UTC), update_latest="yes")
    assert older.state == "success"
    table = f"postgres://{server.host}:{server.port}/{server.dbname}/public/user_profiles"
    assert set(events_of(older)) == announced(older, table, latest=False)
    [told] = json.loads((older.workspace / "publish.json").read_text("utf-8"))["warnings"]
    assert told["params"] == {"newest": second.manifest["logical_date"]}
    [told] = json.loads((older.workspace / "load.json").read_text("utf-8"))["warnings"]
    assert "2 of 2 rows were not written" in told["text"]
    assert told["params"]["newest"] == second.manifest["logical_date"]
    with server.connect() as connection:
        outdated = connection.execute("SELECT outdated FROM fanfold_runs ORDER BY logical_date")
        assert [each for (each,) in outdated] == [2, 0, 0]

    latest = pipeline.read("weibo_user_profiles/latest.json")
    empty = pipeline.run(user_ids=[])
    assert empty.state == "success"
    assert empty.manifest["status"] == "empty"
    assert pipeline.read("weibo_user_profiles/latest.json") == latest


def test_mastodon_accounts_reach_the_warehouse_as_weibo_users_do(pipeline):
    """One row an account, whatever its names: with its server, and with nothing that the server hides."""
    names = ["@Alice", "bob", "nobody", "suspended1", "alice@social.example", "eve@bücher.example"]
    run = pipeline.run(
        "mastodon_user_profiles", user_ids=[*names, "eve@other.example"], batch_size=3
    )
    assert run.state == "success"
    assert run.counts == Counts(planned=7, ok=4, missing=3)
    assert column_of(run, "screen_name") == ["alice", "bob", "eve@bücher.example"]
    assert set(column_of(run, "source")) == {"mastodon"}
    assert {server.partition(":")[0] for server in column_of(run, "server")} == {"127.0.0.1"}
    assert rows_of(pipeline.warehouse) == 3
    published_files = {entry["key"]: entry["rows"] for entry in run.manifest["files"]}
    assert (run.manifest["same"], published_files["same.jsonl"]) == (1, 1)
    plan = Plan.from_json(plan_of(run))
    notes = {
        key: find_item(Workspace(run.workspace), plan, key, final=True).latest.reason_id
        for key in ("alice", "alice@social.example", "nobody", "suspended1", "eve@other.example")
    }
    assert notes == {
        "alice": None, "alice@social.example": "item.same", "nobody": "mastodon.no_account",
        "suspended1": "mastodon.suspended", "eve@other.example": "mastodon.unknown_here",
    }  # fmt: skip


def test_a_fold_reaches_every_sink_as_the_dataset_does(pipeline):
    """A sum without a connection to any source; one manifest lists both tables."""
    run = pipeline.run("concurrent_sum", items=["7", "0-99", "3"], batch_size=2)
    assert run.state == "success"
    assert run.counts == Counts(planned=3, ok=3)
    objects = published(pipeline, "concurrent_sum")
    manifest = json.loads(objects["manifest.json"])
    assert {entry["table"]: entry["rows"] for entry in manifest["files"]} == {
        "partial_sums": 3,
        "total_sum": 1,
        "": 0,
    }
    for entry in manifest["files"]:
        assert hashlib.sha256(objects[entry["key"]]).hexdigest() == entry["sha256"]
    assert gzip.decompress(objects["total_sum.csv.gz"]).startswith(
        b'"items","numbers","total","as_of"\n"all",102,4960,'
    )
    sums = queried(pipeline.warehouse, "SELECT item, numbers, total FROM partial_sums ORDER BY 1")
    assert sums == [("0-99", 100, 4950), ("3", 1, 3), ("7", 1, 7)]
    assert queried(pipeline.warehouse, "SELECT numbers, total FROM total_sum") == [(102, 4960)]
    assert rows_of(pipeline.warehouse, "fanfold_runs") == 1


def test_a_dry_run_plans_and_forecasts_by_the_quota_and_fetches_nothing(pipeline):
    pipeline.simulator.control(quota_per_hour=10, quota_window_s=1000)
    run = pipeline.run(user_ids=UIDS[:15], dry_run=True)
    assert run.state == "success"
    assert run.states["plan", -1] == run.states["consolidate", -1] == "skipped"
    plan = plan_of(run)
    assert (plan["items"], plan["forecast"]["basis"]) == (15, "quota")
    low, high = plan["forecast"]["seconds"]
    assert 900 < low < high <= 1031
    assert pipeline.objects() == []
    assert not any("users/show" in path for path in pipeline.simulator.stats()["paths"])


def test_a_pause_holds_for_the_server_and_token_that_gave_it_and_plan_says_how_to_end_it(
    pipeline, caplog
):
    """Of a connection that is pointed to another server, nothing waits for the quota of the old one."""
    simulator = pipeline.simulator
    old = testing.endpoint_of("weibo_default")
    with open_rate_limiter(pipeline.shared / ".rate-limits", old.scope, None, None) as limiter:
        limiter.pause(2000, Message("quota 10022 is used up"))
    run = pipeline.run(user_ids=UIDS[:3], dry_run=True)
    plan = plan_of(run)
    assert plan["forecast"]["basis"] == "quota"
    assert 1900 < plan["forecast"]["seconds"][0] < 2100
    assert f"Requests to {simulator.url} with this token are paused until" in caplog.text
    path = caplog.text.partition("delete the file ")[2].partition(",")[0]
    assert "quota 10022 is used up" in Path(path).read_text("utf-8")

    other = simulator.url.replace("127.0.0.1", "localhost")
    pipeline.connect("weibo_default", conn_type="http", host=other, password=simulator.token)
    assert pipeline.run(user_ids=UIDS[:3]).counts.ok == 3


def test_a_thousand_users_take_twenty_requests_where_the_connection_allows_it(pipeline):
    simulator = pipeline.simulator
    weibo = {"conn_type": "http", "host": simulator.url, "password": simulator.token}
    pipeline.connect("weibo_default", **weibo, extra={"items_per_request": 50})
    path = pipeline.inputs / "users.csv"
    path.write_text("\n".join(["user_id", "7", *(str(2_000_000_000 + n) for n in range(999))]))
    run = pipeline.run(items_uri=path.as_uri(), batch_size=500)
    assert run.state == "success"
    assert run.counts == Counts(planned=1000, ok=999, missing=1)
    paths = simulator.stats()["paths"]
    assert paths["/2/users/show_batch/other.json"] == 20
    # A user that the answer omits is requested once more, alone.
    assert paths["/2/users/show.json"] == 1
    assert run.manifest["requests"] == 21
    assert plan_of(run)["forecast"]["requests"] == 20


def test_late_and_corrected_files_make_every_total_of_the_shop_right(pipeline, tmp_path):
    """The second run reads only new and changed files; sinks have what one run over all files gives."""
    for number in (1, 2):
        files = dict(shop.delivery(date(2026, 11, 27), number, days=2))
        changed = upload(pipeline.client, pipeline.bucket, shop.PREFIX, files.items())
        day = datetime(2026, 11, 26 + number, 4, tzinfo=UTC)
        # The first delivery has a damaged file.
        conf = {"tolerated_failure_percentage": 50, "batch_size": 8}
        run = pipeline.run("order_analysis", date=day, **conf)
        assert run.errors == {}
        assert run.counts == Counts(planned=changed, ok=changed + number - 2, invalid=2 - number)
    assert run.manifest["superseded"] > 0
    for key, body in files.items():
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_bytes(body)
    paths = [str(tmp_path / key) for key in files]
    whole = testing.run(ORDERS, sorted(paths), as_of=day, charts=False)
    objects = published(pipeline, "order_analysis")
    for name, expected in {"order_lines": whole.rows, **whole.folds}.items():
        found = pq.read_table(io.BytesIO(objects[f"{name}.parquet"])).to_pandas()
        # The rows of earlier files are as of the first run; files have other URIs.
        varying = expected.columns.intersection(["file", "as_of"])
        pd.testing.assert_frame_equal(
            found.drop(columns=varying), expected.drop(columns=varying), obj=name
        )
        assert rows_of(pipeline.warehouse, name) == len(expected)
    revenue = "SELECT day, currency, round(revenue, 2) FROM revenue_by_day ORDER BY 1, 2"
    assert queried(pipeline.warehouse, revenue) == [
        (str(row.day), row.currency, float(row.revenue))
        for row in whole.folds["revenue_by_day"].itertuples()
    ]
    assert f">{len(whole.rows):,}<" in objects["report.html"].decode()


def test_a_run_made_again_fetches_anew_also_if_it_is_cleared_before_it_has_a_list(pipeline):
    """What is cleared later keeps what it fetched."""
    of_run = {"date": datetime.now(UTC), "user_ids": UIDS[:2], "batch_size": 2}
    first = pipeline.run(**of_run)
    token, url = pipeline.simulator.token, pipeline.simulator.url
    pipeline.connect("weibo_default", conn_type="http", host=url, password="expired")
    again = pipeline.run(**of_run)
    assert again.workspace == first.workspace
    assert set(again.errors) == {"preflight"}
    pipeline.connect("weibo_default", conn_type="http", host=url, password=token)
    steps = ("preflight", "read_items", "plan")
    again = pipeline.clear(again, *steps)
    assert again.errors == {}
    assert not (again.workspace / "raw").exists()

    third = pipeline.run(**of_run)
    requests = pipeline.simulator.stats(all_uids=True)["uids"]
    assert set(requests.values()) == {2}
    third = pipeline.clear(third, *steps, "batch.fetch", "consolidate")
    assert third.errors == {}
    assert pipeline.simulator.stats(all_uids=True)["uids"] == requests
