"""Datasets, and both databases."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fanfold.model import Counts, FileEntry, Manifest, RunStatus
from fanfold.stages.loading import TargetTable, load

CATEGORY = pa.dictionary(pa.int32(), pa.string())
TIME = pa.timestamp("us", "UTC")
SCHEMA = pa.schema(
    {
        "source": pa.string(),
        "user_id": pa.string(),
        "screen_name": pa.string(),
        "name": pa.string(),
        "description": pa.string(),
        "gender": CATEGORY,
        "verified": pa.bool_(),
        "followers_count": pa.int64(),
        "followers_to_friends": pa.float64(),
        "born_on": pa.date32(),
        "created_at": TIME,
        "last_status_at": TIME,
        "as_of": TIME,
    }
)


PROFILES = TargetTable("user_profiles", ("source", "user_id"))


@dataclass(frozen=True)
class Dataset:
    """The files of a run, its manifest and its tables."""

    folder: Path
    manifest: Manifest
    targets: tuple[TargetTable, ...]

    @property
    def path(self):
        """The file of the first table."""
        return self.folder / self.manifest.files[0].key

    def load(self, connection):
        return load(connection, self.folder, self.manifest, self.targets, "warehouse_default")


@pytest.fixture
def make_run(tmp_path):
    """Return a function that writes the tables of a logical date, with their manifest."""

    def make(tables, *, day=1, attempt=0, row_group=5_000, failed=0, generation=0):
        """``tables``: an Arrow table for each target; its column ``as_of`` is added if absent.

        A run with a ``generation`` is one in mode ``merge``.
        """
        as_of = datetime(2026, 3, day, tzinfo=UTC)
        folder = tmp_path / f"{day}-{attempt}"
        folder.mkdir(exist_ok=True)
        entries = []
        for target, rows in tables.items():
            table = rows
            if target.version not in rows.column_names:
                table = rows.append_column("as_of", pa.array([as_of] * rows.num_rows, TIME))
            name = f"{target.name}.parquet"
            pq.write_table(table, folder / name, compression="zstd", row_group_size=row_group)
            entries.append(FileEntry(name, "parquet", rows.num_rows, 0, "", table=target.name))
        finished = as_of + timedelta(hours=1, minutes=attempt)
        rows = entries[0].rows
        manifest = Manifest(
            dag_id="weibo_user_profiles",
            run_id=f"scheduled__2026-03-{day:02d}",
            logical_date=as_of.isoformat(),
            status=RunStatus.COMPLETE,
            counts=Counts(planned=rows + 1, ok=rows, missing=1, failed=failed),
            files=tuple(entries),
            requests=rows + 3,
            started_at=as_of.isoformat(),
            finished_at=finished.isoformat(),
            rows=rows,
            rejected=7,
            code="c0de",
            mode="merge" if generation else "snapshot",
            generation=generation,
        )
        return Dataset(folder, manifest, tuple(tables))

    return make


@pytest.fixture
def make_dataset(make_run):
    """Return a function that writes user profiles of a logical date, with their manifest."""

    def make(rows, *, day=1, schema=SCHEMA, target=PROFILES, **others):
        if not isinstance(rows, pa.Table):
            as_of = datetime(2026, 3, day, tzinfo=UTC)
            rows = pa.Table.from_pylist([{"as_of": as_of, **row} for row in rows], schema=schema)
        return make_run({target: rows}, day=day, **others)

    return make


@dataclass(frozen=True)
class Warehouse:
    """A fresh database, read without the code under test."""

    kind: str
    connect: Any

    def load(self, dataset):
        """Load a run; return the result of its first table."""
        with self.connect() as connection:
            return dataset.load(connection)[0]

    def query(self, statement):
        with self.connect() as connection:
            return connection.execute(statement).fetchall()

    def run(self, *statements):
        with self.connect() as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()

    def everything(self, *tables):
        """Return the rows of some tables and of ``fanfold_runs``, as text."""
        return [
            sorted(map(str, self.query(f"SELECT * FROM {table}")))
            for table in (*(tables or ("user_profiles",)), "fanfold_runs")
        ]


@pytest.fixture
def sqlite_warehouse(tmp_path):
    path = tmp_path / "warehouse.db"
    return Warehouse("sqlite", lambda **others: closing(sqlite3.connect(path, **others)))


@pytest.fixture
def postgres_warehouse(postgres_database):
    return Warehouse("postgres", lambda **others: closing(postgres_database.connect(**others)))


@pytest.fixture(params=["sqlite", "postgres"])
def warehouse(request):
    """Each test runs on both databases."""
    return request.getfixturevalue(f"{request.param}_warehouse")
