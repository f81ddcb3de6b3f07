"""``fanfold_runs``: one row per run, with its counts and times."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import sqlalchemy as sa

from fanfold.stages.loading.tables import TargetTable

if TYPE_CHECKING:
    from fanfold.model import Manifest

RUNS = TargetTable("fanfold_runs", ("dag_id", "run_id"), "finished_at", ignored=("loaded_at",))
"""``loaded_at`` is when this outcome of the run was first loaded."""

_TEXT, _COUNT, _TIME = pa.string(), pa.int64(), pa.timestamp("us", "UTC")
RUNS_SCHEMA = pa.schema(
    {
        "dag_id": _TEXT,
        "run_id": _TEXT,
        "logical_date": _TIME,
        "status": _TEXT,
        "planned": _COUNT,
        "ok": _COUNT,
        "missing": _COUNT,
        "invalid": _COUNT,
        "failed": _COUNT,
        "requests": _COUNT,
        "rows": _COUNT,
        "rejected": _COUNT,
        "code": _TEXT,
        "generation": _COUNT,
        "started_at": _TIME,
        "finished_at": _TIME,
        "loaded_at": _TIME,
    }
)


def run_row(manifest: Manifest) -> pa.RecordBatch:
    """Return the row of a run."""
    row = {
        "dag_id": manifest.dag_id,
        "run_id": manifest.run_id,
        "logical_date": datetime.fromisoformat(manifest.logical_date),
        "status": manifest.status.value,
        **asdict(manifest.counts),
        "requests": manifest.requests,
        "rows": manifest.rows,
        "rejected": manifest.rejected,
        "code": manifest.code,
        "generation": manifest.generation or None,
        "started_at": datetime.fromisoformat(manifest.started_at),
        "finished_at": datetime.fromisoformat(manifest.finished_at),
        "loaded_at": datetime.now(UTC),
    }
    return pa.RecordBatch.from_pylist([row], schema=RUNS_SCHEMA)


def loaded_generation(connection: sa.Connection, manifest: Manifest) -> int:
    """Return the generation of the dataset that the tables of a manifest's DAG have; 0 for none.

    Generation 1 starts a new count: the bucket had no dataset. Generations before it do not matter,
    and none does to a manifest of generation 1 that is later than all.
    """
    inspector = sa.inspect(connection)
    if not inspector.has_table(RUNS.name) or "generation" not in {
        column["name"] for column in inspector.get_columns(RUNS.name)
    }:
        return 0
    columns = RUNS.define(RUNS_SCHEMA).c
    loaded = sa.and_(columns.dag_id == manifest.dag_id, columns.generation.is_not(None))
    latest = sa.func.max(columns.finished_at)
    start = sa.select(latest).where(loaded, columns.generation == 1).scalar_subquery()
    counted = sa.or_(start.is_(None), columns.finished_at >= start)
    generation, finished = connection.execute(
        sa.select(sa.func.max(columns.generation), latest).where(loaded, counted)
    ).one()
    if generation is None:
        return 0
    # SQLite has text.
    restarted = manifest.moments[1] >= datetime.fromisoformat(str(finished))
    return 0 if manifest.generation == 1 and restarted else int(generation)
