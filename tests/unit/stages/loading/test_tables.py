"""Tables are defined by Arrow schemas; what no database can store is rejected by name."""

import pyarrow as pa
import pytest
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateTable

from fanfold.errors import Inconsistent
from fanfold.stages.loading import TargetTable

TABLE = TargetTable("t", ("k",), "v")
KEYS = {"k": pa.string(), "v": pa.int64()}


def definition(schema, dialect):
    statement = str(CreateTable(TABLE.define(schema)).compile(dialect=dialect.dialect()))
    return [line.strip(" ,\t") for line in statement.splitlines() if line.startswith("\t")]


@pytest.mark.parametrize("name", ["", "a\x00b", "x" * 64, "用" * 22])
def test_a_name_that_a_database_would_change_is_rejected(name):
    with pytest.raises(Inconsistent, match="not a valid name"):
        TargetTable(name, ("k",), "v").define(pa.schema(KEYS))
    with pytest.raises(Inconsistent, match="not a valid name"):
        TABLE.define(pa.schema({**KEYS, name: pa.string()}))


@pytest.mark.parametrize(
    ("kind", "in_postgres", "in_sqlite"),
    [
        (pa.string(), "TEXT", "TEXT"),
        (pa.large_string(), "TEXT", "TEXT"),
        (pa.dictionary(pa.int32(), pa.string()), "TEXT", "TEXT"),
        (pa.bool_(), "BOOLEAN", "BOOLEAN"),
        (pa.int16(), "BIGINT", "BIGINT"),
        (pa.uint64(), "NUMERIC(20)", "NUMERIC(20)"),
        (pa.float64(), "DOUBLE PRECISION", "DOUBLE"),
        (pa.date32(), "DATE", "TEXT"),
        (pa.timestamp("us", "UTC"), "TIMESTAMP WITH TIME ZONE", "TEXT"),
    ],
)
def test_a_column_has_a_type_in_each_database_and_only_key_and_version_are_required(
    kind, in_postgres, in_sqlite
):
    schema = pa.schema([*pa.schema(KEYS), pa.field("c", kind, nullable=False)])
    expected = ["k TEXT NOT NULL", "v BIGINT NOT NULL", "PRIMARY KEY (k)"]
    for dialect, name in ((postgresql, in_postgres), (sqlite, in_sqlite)):
        assert definition(schema, dialect) == [*expected[:2], f"c {name}", expected[2]]


@pytest.mark.parametrize("kind", [pa.list_(pa.string()), pa.timestamp("us"), pa.binary()])
def test_a_column_that_cannot_be_stored_is_named(kind):
    with pytest.raises(Inconsistent, match="'strange' has the type"):
        TABLE.define(pa.schema({**KEYS, "strange": kind}))


@pytest.mark.parametrize(("key", "version"), [(("absent",), "v"), (("k",), "absent"), ((), "v")])
def test_key_and_version_must_be_columns(key, version):
    with pytest.raises(Inconsistent, match="do not match the dataset"):
        TargetTable("t", key, version).define(pa.schema(KEYS))
