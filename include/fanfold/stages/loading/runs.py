"""``fanfold_runs``: a row a run, with its counts and times."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from fanfold.stages.loading.tables import Table

if TYPE_CHECKING:
    from fanfold.model import Manifest

_TIME = pa.timestamp("us", "UTC")

RUNS = Table(
    name="fanfold_runs",
    schema=pa.schema(
        {
            "dag_id": pa.string(),
            "run_id": pa.string(),
            "logical_date": _TIME,
            "status": pa.string(),
            "planned": pa.int64(),
            "ok": pa.int64(),
            "missing": pa.int64(),
            "invalid": pa.int64(),
            "failed": pa.int64(),
            "requests": pa.int64(),
            "rows": pa.int64(),
            "started_at": _TIME,
            "finished_at": _TIME,
            "loaded_at": _TIME,
        }
    ),
    key=("dag_id", "run_id"),
    version="finished_at",
    stamps=("loaded_at",),
)
"""A row a run. ``loaded_at`` is when this outcome of the run was first loaded."""


def run_row(manifest: Manifest, rows: int) -> pa.RecordBatch:
    """Return the row of a run whose dataset has so many rows."""

    def moment(text: str) -> datetime:
        return datetime.fromisoformat(text)

    row = {
        "dag_id": manifest.dag_id,
        "run_id": manifest.run_id,
        "logical_date": moment(manifest.logical_date),
        "status": manifest.status.value,
        **asdict(manifest.counts),
        "requests": manifest.requests,
        "rows": rows,
        "started_at": moment(manifest.started_at),
        "finished_at": moment(manifest.finished_at),
        "loaded_at": datetime.now(UTC),
    }
    return pa.RecordBatch.from_pylist([row], schema=RUNS.schema)
