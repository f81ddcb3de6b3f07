"""A run of two tables with its failures, and its report."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fanfold.model import Counts, FileEntry, Manifest, Outcome, RunStatus, Status
from fanfold.pipeline import Chart, Fold, Pipeline
from fanfold.stages.reporting import write_report
from fanfold.workspace.failure_groups import FailureGroups, write_groups
from fanfold.workspace.paths import Workspace

ROWS = pa.table(
    {
        "city": pa.array(["Oslo", "Bergen", None]),
        "day": pa.array([date(2026, 3, 1), date(2026, 3, 2), None]),
        "at": pa.array([datetime(2026, 3, 1, 12, tzinfo=UTC), None, None]),
        "price": pa.array([Decimal("1.10"), Decimal("12345678901234567890.12"), None]),
        "count": pa.array([1_234_567, 2**60, None]),
        "share": pa.array([0.123456, float("nan"), None]),
    }
)


def pipeline_with(*charts):
    """Return a pipeline with a fold and these charts."""
    return Pipeline(
        name="sales",
        noun=("order file", "订单文件"),
        source=None,
        contract=None,
        key=("city",),
        folds=[Fold("by_city", key=("city",), sql="FROM dataset")],
        charts=charts,
    )


def bars(sql="FROM dataset", field="city", **chart):
    """Return a chart of bars."""
    encoding = {"y": {"field": field}, "x": {"field": "count", "type": "quantitative"}}
    return Chart("Bars", sql=sql, spec={"mark": "bar", "encoding": encoding}, **chart)


@pytest.fixture
def workspace(tmp_path):
    """A run of three rows, a rejected row, and an item of each outcome."""
    made = Workspace(tmp_path)
    made.dataset.mkdir()
    pq.write_table(ROWS, made.table("sales"))
    pq.write_table(ROWS.slice(0, 2), made.table("by_city"))
    items, rows = FailureGroups(), FailureGroups()
    for key in ("17", "18"):
        items.add(Outcome(key, Status.MISSING, "Weibo 20003: no such user", 1))
    items.add(Outcome("<b>1</b>", Status.FAILED, "<script>alert(1)</script>", 5))
    rule = {"column": "price", "value": "<i>", "rule": "a < b"}
    rows.add(Outcome("x\u200by", Status.INVALID, **rule))
    write_groups(made.failures, items.groups(), rows.groups())
    return made


@pytest.fixture
def tables(workspace):
    """The tables of the run by their name in SQL."""
    files = {name: workspace.table(name) for name in ("sales", "by_city")}
    return {"dataset": files["sales"], **files}


@pytest.fixture
def manifest():
    """The manifest of the run."""
    rows = {"sales": 3, "by_city": 2}
    files = tuple(
        FileEntry(f"{table}.parquet", "parquet", count, 1, "", table)
        for table, count in rows.items()
    )
    return Manifest(
        "sales",
        "manual__2026-03-01T00:00:00+00:00",
        "2026-03-01T00:00:00.000Z",
        RunStatus.PARTIAL,
        Counts(planned=54, ok=51, missing=2, failed=1),
        files,
        requests=12_345,
        started_at="2026-03-01T00:00:01.000Z",
        finished_at="2026-03-01T00:01:31.500Z",
        rows=3,
        rejected=1,
    )


@pytest.fixture
def report(workspace, manifest):
    """``report(*charts)``: write the report of the run with these charts."""
    return lambda *charts, of=manifest, **options: write_report(
        workspace, pipeline_with(*charts), of, **options
    )


# Test modules cannot import a conftest: what they need of it are fixtures.
@pytest.fixture(name="pipeline_with")
def pipeline_with_fixture():
    return pipeline_with


@pytest.fixture(name="bars")
def bars_fixture():
    return bars
