"""A pipeline in mode merge from trigger to bucket and database, in ``dag.test()``."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import pipelines

# Airflow and its providers warn about themselves.
pytestmark = pytest.mark.filterwarnings("ignore")

NAME = "stock"
MAINTENANCE = Path(__file__).parents[3] / "dags" / "fanfold_maintenance.py"
MODULE = """
import pandera.pandas as pa
from fanfold import Compute, Fold, Pipeline

class Stock(pa.DataFrameModel):
    product: str
    pieces: int
    day: int
    gone: bool

def read(item):
    if item.key == "broken":
        raise ValueError("no such list")
    for line in item.key.split():
        product, pieces, day = line.split(":")
        gone = pieces.startswith("-")
        yield {"product": product, "pieces": abs(int(pieces)), "day": int(day), "gone": gone}

PIPELINE = Pipeline(
    name="stock", noun="list", source=Compute(read), contract=Stock, key=("product",), mode="merge",
    newest="day", deleted="gone",
    folds=[Fold("total", key=("n",), sql="SELECT 1 AS n, sum(pieces) AS pieces FROM dataset")],
)
"""
DAG = """
from airflow.sdk import dag
from fanfold.airflow import policies, tasks
from fanfold.airflow.params import item_params

@dag(dag_id="stock", schedule=None, **policies.PIPELINE,
     params=item_params(["a:1:1"], noun="list", requests=False, mode="merge"))
def stock():
    planned = tasks.plan("stock")
    folded = tasks.consolidate("stock")
    published = tasks.publish()
    tasks.preflight("stock") >> tasks.read_items("stock") >> planned
    tasks.batches("stock", planned) >> folded >> published
    published >> [tasks.load("stock"), tasks.report("stock")]

stock()
"""


@pytest.fixture
def shop(pipeline, tmp_path, monkeypatch):
    from airflow import settings

    folders = [tmp_path / name for name in ("pipelines", "dags")]
    for folder, text in zip(folders, (MODULE, DAG), strict=True):
        folder.mkdir()
        (folder / f"{NAME}.py").write_text(text, "utf-8")
    monkeypatch.setattr(pipelines, "__path__", [*pipelines.__path__, str(folders[0])])
    monkeypatch.setattr(settings, "DAGS_FOLDER", str(folders[1]))
    pipeline.dags = folders[1]
    yield pipeline
    sys.modules.pop(f"pipelines.{NAME}", None)


def published(shop):
    """Pieces of each product, and their sum, in what ``latest.json`` points to."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    prefix = json.loads(shop.read(f"{NAME}/latest.json"))["prefix"]
    rows, total = (
        pq.read_table(pa.BufferReader(shop.read(f"{prefix}{table}.parquet"))).to_pylist()
        for table in (NAME, "total")
    )
    return {row["product"]: row["pieces"] for row in rows}, total[0]["pieces"]


def loaded(shop):
    with closing(sqlite3.connect(shop.warehouse)) as connection:
        return dict(connection.execute(f"SELECT product, pieces FROM {NAME}"))


def test_a_run_killed_before_publish_is_merged_again_into_what_was_published_meanwhile(shop):
    """The other run has an earlier logical date."""
    first = shop.run(NAME, items=["a:5:1 b:5:1", "c:5:1"], date=datetime(2026, 3, 2, tzinfo=UTC))
    assert first.state == "success"
    assert published(shop) == ({"a": 5, "b": 5, "c": 5}, 15)

    from fanfold.stages import publishing

    with shop.patch.context() as patch:
        patch.setattr(publishing, "publish", lambda *_, **__: 1 / 0)
        killed = shop.run(
            NAME, items=["a:7:3 d:1:3", "c:-1:3"], date=datetime(2026, 3, 3, tzinfo=UTC)
        )
    assert killed.states["consolidate", -1] == "success"
    assert killed.states["load", -1] == "upstream_failed"
    assert published(shop) == ({"a": 5, "b": 5, "c": 5}, 15)

    other = shop.run(NAME, items=["a:6:2 b:6:2 c:6:2"], date=datetime(2026, 3, 1, tzinfo=UTC))
    assert published(shop) == ({"a": 6, "b": 6, "c": 6}, 18)

    done = shop.clear(killed, "publish", "load", "report")
    assert done.errors == {}
    assert published(shop) == ({"a": 7, "d": 1, "b": 6}, 14)
    assert loaded(shop) == {"a": 7, "d": 1, "b": 6}
    found = done.manifest
    assert (found["generation"], found["superseded"], found["deleted"]) == (3, 2, 1)

    # Its rows are older than those of the tables.
    late = shop.clear(other, "load")
    assert (late.states["load", -1], late.errors) == ("skipped", {})
    assert loaded(shop) == {"a": 7, "d": 1, "b": 6}

    # A redrive of a run that is published, and no longer the latest.
    again = shop.clear(other, "consolidate", "publish", "load")
    assert again.errors == {}
    assert published(shop) == ({"a": 7, "d": 1, "b": 6}, 14)


def test_a_run_over_the_tolerance_or_without_items_changes_nothing(shop):
    shop.run(NAME, items=["a:5:1"], date=datetime(2026, 4, 1, tzinfo=UTC))
    before = shop.read(f"{NAME}/latest.json")
    aborted = shop.run(NAME, items=["a:6:2", "broken"], tolerated_failure_percentage=10)
    assert type(aborted.errors["consolidate"]).__name__ == "ToleranceExceeded"
    empty = shop.run(NAME, items=[" "])
    assert empty.manifest["status"] == "empty"
    assert empty.states["load", -1] == "skipped"
    assert shop.read(f"{NAME}/latest.json") == before
    assert loaded(shop) == {"a": 5}
    pending = shop.run(NAME, items=["a:6:2", "broken"], tolerated_failure_percentage=50)
    assert pending.manifest["pending"] == 1
    assert loaded(shop) == {"a": 6}


def test_maintenance_removes_what_no_later_run_needs(shop, monkeypatch):
    """100 days later: runs a, b and c were published, d was not, e is deleted in Airflow."""
    from airflow.utils.session import create_session

    from fanfold.airflow import maintenance

    shutil.copy(MAINTENANCE, shop.dags)
    runs = {
        name: shop.run(NAME, items=[f"{name}:1:{day}"], date=datetime(2026, 5, day, tzinfo=UTC))
        for day, name in enumerate("abc", start=1)
    }
    for day, name in enumerate("de", start=4):
        items = [f"{name}:1:{day}", "broken"]
        date = datetime(2026, 5, day, tzinfo=UTC)
        runs[name] = shop.run(NAME, items=items, date=date, tolerated_failure_percentage=10)
    with create_session() as session:
        session.delete(session.merge(runs["e"].run))
    later = datetime.now(UTC) + timedelta(days=100)

    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return later.astimezone(tz)

    monkeypatch.setattr(maintenance, "datetime", Later)

    def left():
        """Runs with a workspace, and runs in the bucket."""
        found = [name for name in runs if runs[name].workspace.exists()]
        prefixes = [
            name for name in runs if any(runs[name].run.run_id in k for k in shop.objects())
        ]
        return "".join(found), "".join(prefixes)

    def clean(**conf):
        assert shop.run("fanfold_maintenance", **conf).errors == {}
        return left()

    keep = {"keep_runs": 1, "published_keep_days": 50, "published_keep_runs": 2}
    assert clean(**keep) == ("abcde", "abc")
    assert clean(**keep, dry_run=False) == ("cd", "bc")
    assert published(shop) == ({"a": 1, "b": 1, "c": 1}, 3)
    # Two runs that were published after the one that latest.json points to, whose workspace is lost.
    shutil.rmtree(runs["c"].workspace)
    (found,) = (k for k in shop.objects() if runs["b"].run.run_id in k and "manifest" in k)
    for key in (found, f"{NAME}/date=2026-05-09/run=other/manifest.json"):
        shop.client.put_object(Bucket=shop.bucket, Key=key, Body=shop.read(found))
    assert clean(**keep, dry_run=False) == ("d", "bc")

    runs["f"] = shop.run(NAME, items=["a:7:6"], date=datetime(2026, 5, 6, tzinfo=UTC))
    assert published(shop) == ({"a": 7, "b": 1, "c": 1}, 9)
    assert clean(**keep, dry_run=False, unpublished_keep_days=99) == ("f", "f")
