"""A pipeline of an author, from the template: many rows an item, and changes of its code."""

from __future__ import annotations

import json
import sqlite3
import sys
from contextlib import closing
from datetime import UTC, date, datetime

import pyarrow.parquet as pq
import pytest

import pipelines
from fanfold.__main__ import new
from fanfold.simulator import weather

# Airflow and its providers warn about themselves.
pytestmark = pytest.mark.filterwarnings("ignore")

NAME = "air_quality"
STATIONS = ["K042", "X999", "B107"]
DATE = datetime(2025, 8, 1, tzinfo=UTC)
PAGES = 4
"""Requests for the readings of a station."""


class Author:
    """Edits the module of a pipeline."""

    def __init__(self, module):
        self.module = module

    def replace(self, before, after):
        """Replace text of the module; the next task imports it as it now is."""
        text = self.module.read_text("utf-8")
        assert before in text
        self.module.write_text(text.replace(before, after), "utf-8")
        sys.modules.pop(f"pipelines.{NAME}", None)


@pytest.fixture
def author(pipeline, tmp_path, monkeypatch):
    """A pipeline from the template beside those of the project, with its DAG."""
    from airflow import settings

    module, dag, _ = new(NAME, "api", root=tmp_path)
    monkeypatch.setattr(pipelines, "__path__", [*pipelines.__path__, str(module.parent)])
    # Two edits within a second would have the same cached bytecode.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    pipeline.connect(
        "sample_default",
        conn_type="http",
        host=pipeline.simulator.url,
        password=pipeline.simulator.token,
    )
    pipeline.dags = dag.parent
    monkeypatch.setattr(settings, "DAGS_FOLDER", str(dag.parent))
    yield Author(module)
    sys.modules.pop(f"pipelines.{NAME}", None)


def dataset(run):
    return pq.read_table(run.workspace / "dataset" / f"{NAME}.parquet").to_pylist()


def rejected(run):
    lines = (run.workspace / "dataset" / "rejected.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def requests(pipeline):
    """Requests for readings so far."""
    return sum(pipeline.simulator.stats()["paths"].get(path, 0) for path in PATHS)


PATHS = ["/v1/stations/{station}/readings"]


def expected():
    """(station, time, temperature) of each reading, and which of them are broken."""
    sent = [
        (station, reading["measured_at"], reading["temperature"])
        for station in ("K042", "B107")
        for reading in weather.readings(station, date(2025, 8, 1))
    ]
    broken = [row for row in sent if isinstance(row[2], str)]
    return [row for row in sent if row not in broken], broken


def assert_no_row_is_lost(pipeline, run):
    good, broken = expected()
    rows = dataset(run)
    assert [
        (row["station"], f"{row['measured_at']:%Y-%m-%dT%H:%M:%SZ}", row["temperature"])
        for row in rows
    ] == good
    lines = [(each["item"], each["column"], each["value"]) for each in rejected(run)]
    assert lines == [(station, "temperature", value or "''") for station, _, value in broken]
    assert broken
    counts = run.manifest["counts"]
    assert (counts["ok"], counts["missing"]) == (2, 1)
    assert (run.manifest["rows"], run.manifest["rejected"]) == (len(good), len(broken))
    with closing(sqlite3.connect(pipeline.warehouse)) as connection:
        loaded = connection.execute(f"SELECT count(*), sum(temperature) FROM {NAME}").fetchone()
        months = connection.execute(
            f"SELECT station, readings FROM {NAME}_by_month ORDER BY station, month"
        ).fetchall()
    known = [value for *_, value in good if value is not None]
    assert loaded == (len(good), pytest.approx(sum(known)))
    assert sum(readings for _, readings in months) == len(known)
    assert {station for station, _ in months} == {"B107", "K042"}


def test_no_row_is_lost_and_no_part_of_other_code_is_folded_while_the_author_edits(
    pipeline, author
):
    """A broken fold costs no request; then another contract, and another source."""
    given = {"items": STATIONS, "date": DATE, "batch_size": 2, "tolerated_rejected_percentage": 100}
    author.replace("avg(temperature) AS mean, min", "avg(temprature) AS mean, min")
    run = pipeline.run(NAME, **given)
    assert run.state == "failed"
    assert run.states["publish", -1] == "upstream_failed"
    said = run.error("consolidate")
    assert type(run.errors["consolidate"]).__name__ == "BadPipeline"
    assert f"{NAME}_by_month" in said
    assert "temprature" in said
    asked = requests(pipeline)
    assert asked == 2 * PAGES + 1

    author.replace("temprature", "temperature")
    run = pipeline.clear(run, "consolidate", "publish", "load", "report")
    assert run.errors == {}
    assert requests(pipeline) == asked
    assert_no_row_is_lost(pipeline, run)
    before = run.manifest

    # Another contract: rows are made anew from the records that are there.
    author.replace('"max_value": 60', '"max_value": 20')
    run = pipeline.clear(run, "consolidate")
    assert run.errors == {}
    assert requests(pipeline) == asked
    assert max(row["temperature"] for row in dataset(run) if row["temperature"]) <= 20
    after = run.manifest
    assert after["code"] != before["code"]
    assert after["rejected"] > before["rejected"]
    assert after["rows"] + after["rejected"] == before["rows"] + before["rejected"]

    # Another source: the records are another version's, too.
    author.replace('"until": "{as_of}"', '"until": "2025-05-01"')
    run = pipeline.clear(run, "consolidate")
    assert type(run.errors["consolidate"]).__name__ == "Inconsistent"
    assert "Clear `batch.fetch` of these batches" in run.error("consolidate")
    assert run.manifest == after
    run = pipeline.clear(run, "batch.fetch", "batch.process", "consolidate")
    assert run.errors == {}
    assert requests(pipeline) == asked * 2
    assert {row["measured_at"].month for row in dataset(run)} == {4}

    # The run is deleted, and made again under its id.
    again = pipeline.run(NAME, **given)
    assert again.workspace == run.workspace
    assert again.state == "success"
    assert requests(pipeline) == asked * 3

    # Once more, and it is cleared before it has read its items.
    with pipeline.patch.context() as patch:
        patch.setattr("fanfold.airflow.checks.check_all", lambda _: 1 / 0)
        stopped = pipeline.run(NAME, **given)
    plan = stopped.workspace / "plan.json"
    assert (stopped.states["read_items", -1], plan.exists()) == ("upstream_failed", True)
    assert pipeline.clear(stopped, "preflight", "read_items").errors == {}
    assert not plan.exists()
    plan.touch()
    assert pipeline.clear(stopped, "read_items").errors == {}
    assert plan.exists()
