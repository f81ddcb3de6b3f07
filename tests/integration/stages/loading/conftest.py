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
from fanfold.stages.loading import load

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


@dataclass(frozen=True)
class Dataset:
    path: Path
    manifest: Manifest


@pytest.fixture
def make_dataset(tmp_path):
    """Return a function that writes the dataset of a logical date, with its manifest."""

    def make(rows, *, day=1, attempt=0, schema=SCHEMA, row_group=5_000, **counts):
        as_of = datetime(2026, 3, day, tzinfo=UTC)
        table = (
            rows
            if isinstance(rows, pa.Table)
            else pa.Table.from_pylist([{"as_of": as_of, **row} for row in rows], schema=schema)
        )
        folder = tmp_path / f"{day}-{attempt}"
        folder.mkdir(exist_ok=True)
        path = folder / "users.parquet"
        pq.write_table(table, path, compression="zstd", row_group_size=row_group)
        finished = as_of + timedelta(hours=1, minutes=attempt)
        manifest = Manifest(
            dag_id="weibo_user_profiles",
            run_id=f"scheduled__2026-03-{day:02d}",
            logical_date=as_of.isoformat(),
            status=RunStatus.COMPLETE,
            counts=Counts(planned=table.num_rows + 1, ok=table.num_rows, missing=1, **counts),
            files=(FileEntry("users.parquet", "parquet", table.num_rows, 0, ""),),
            requests=table.num_rows + 3,
            started_at=as_of.isoformat(),
            finished_at=finished.isoformat(),
        )
        return Dataset(path, manifest)

    return make


@dataclass(frozen=True)
class Warehouse:
    """A fresh database, read without the code under test."""

    kind: str
    connect: Any

    def load(self, dataset, **others):
        with self.connect() as connection:
            return load(connection, dataset.path, dataset.manifest, **others)

    def query(self, statement):
        with self.connect() as connection:
            return connection.execute(statement).fetchall()

    def run(self, *statements):
        with self.connect() as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()

    def everything(self):
        """Return the rows of both tables, as text."""
        return [
            sorted(map(str, self.query(f"SELECT * FROM {table}")))
            for table in ("user_profiles", "fanfold_runs")
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
