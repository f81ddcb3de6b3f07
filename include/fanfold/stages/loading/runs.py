"""``fanfold_runs``: one row per run, with its counts and times."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa

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
        "started_at": datetime.fromisoformat(manifest.started_at),
        "finished_at": datetime.fromisoformat(manifest.finished_at),
        "loaded_at": datetime.now(UTC),
    }
    return pa.RecordBatch.from_pylist([row], schema=RUNS_SCHEMA)
