"""``fanfold_runs``: one row per run, with its counts and times."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import sqlalchemy as sa

from fanfold.errors import BadConfiguration
from fanfold.stages.loading.tables import TargetTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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
        "tables": _TEXT,
        "outdated": _COUNT,
        "started_at": _TIME,
        "finished_at": _TIME,
        "loaded_at": _TIME,
    }
)


def run_row(manifest: Manifest, tables: Iterable[str], outdated: int) -> pa.RecordBatch:
    """Return the row of a run whose dataset and folds are in some tables.

    ``outdated`` of its rows were not written because the tables have newer ones.
    """
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
        "tables": " ".join(tables),
        "outdated": outdated,
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
    if not _has_column(connection, "generation"):
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


def check_owner(
    connection: sa.Connection, tables: Sequence[str], dag_id: str, *, whole: bool
) -> None:
    """Raise if a load would delete rows of another DAG, or that one would delete those of this load.

    Args:
        connection: An open connection.
        tables: Tables of dataset and folds.
        dag_id: The DAG that loads them.
        whole: Whether it makes the tables equal to them (mode ``merge``).

    Raises:
        BadConfiguration: With both DAGs and the way out.
    """
    if not _has_column(connection, "tables"):
        return
    runs = RUNS.define(RUNS_SCHEMA).c
    others = sa.and_(runs.dag_id != dag_id, runs.tables.is_not(None))
    # What a DAG wrote before its table_prefix was changed does not count.
    last = sa.select(runs.dag_id, sa.func.max(runs.finished_at)).where(others)
    is_last = sa.tuple_(runs.dag_id, runs.finished_at).in_(last.group_by(runs.dag_id))
    if not whole:
        others = sa.and_(others, runs.generation.is_not(None))
    found = sa.select(runs.dag_id, runs.tables).where(others, is_last).order_by(runs.dag_id)
    for owner, owned in connection.execute(found):
        shared = [table for table in tables if table in owned.split()]
        if shared:
            raise BadConfiguration(
                f"Table {shared[0]!r} has the rows of DAG {owner!r}, and with mode='merge' it would have "
                "only those of one DAG. Set table_prefix in one of the pipelines; if it is that of "
                f"{owner!r}, run this DAG first. If {owner!r} is gone, delete its rows in {RUNS.name}."
            )


def _has_column(connection: sa.Connection, name: str) -> bool:
    inspector = sa.inspect(connection)
    return inspector.has_table(RUNS.name) and name in {
        column["name"] for column in inspector.get_columns(RUNS.name)
    }
