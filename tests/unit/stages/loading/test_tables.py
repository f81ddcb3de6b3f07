"""Names are quoted, and columns get the types of their database."""

import pyarrow as pa
import pytest

from fanfold.errors import Inconsistent
from fanfold.stages.loading.postgres import Postgres
from fanfold.stages.loading.sqlite import Sqlite
from fanfold.stages.loading.tables import Table, create_sql, plain_batches, quoted

CATEGORY = pa.dictionary(pa.int32(), pa.string())
UTC = pa.timestamp("us", "UTC")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("plain", '"plain"'),
        ('a"; DROP TABLE x; --', '"a""; DROP TABLE x; --"'),
        ("用户", '"用户"'),
        ("100%s", '"100%s"'),
    ],
)
def test_a_name_is_quoted(name, expected):
    assert quoted(name) == expected


@pytest.mark.parametrize("name", ["", "a\x00b", "x" * 64, "用" * 22])
def test_a_name_that_a_database_would_change_is_refused(name):
    with pytest.raises(Inconsistent, match="cannot name a table"):
        Table(name, pa.schema({"k": pa.string()}), ("k",), "k")
    with pytest.raises(Inconsistent, match="cannot name a table"):
        Table("t", pa.schema({"k": pa.string(), name: pa.string()}), ("k",), "k")


@pytest.mark.parametrize(
    ("kind", "postgres", "sqlite"),
    [
        (pa.string(), "text", "TEXT"),
        (pa.large_string(), "text", "TEXT"),
        (CATEGORY, "text", "TEXT"),
        (pa.bool_(), "boolean", "INTEGER"),
        (pa.int16(), "bigint", "INTEGER"),
        (pa.int64(), "bigint", "INTEGER"),
        (pa.float64(), "double precision", "REAL"),
        (pa.date32(), "date", "TEXT"),
        (UTC, "timestamp with time zone", "TEXT"),
    ],
)
def test_a_column_has_a_type_in_each_database(kind, postgres, sqlite):
    field = pa.field("c", kind)
    assert Postgres.type_of(None, field) == postgres
    assert Sqlite.type_of(None, field) == sqlite


@pytest.mark.parametrize("kind", [pa.list_(pa.string()), pa.timestamp("us"), pa.binary()])
def test_a_column_that_cannot_be_stored_is_named(kind):
    for database in (Postgres, Sqlite):
        with pytest.raises(Inconsistent, match="'strange' has the type"):
            database.type_of(None, pa.field("strange", kind))


def test_only_key_and_version_are_required():
    schema = pa.schema(
        [pa.field("k", pa.string()), pa.field("v", pa.int64()), pa.field("x", pa.int64(), False)]  # noqa: FBT003
    )
    statement = create_sql(Table("t", schema, ("k",), "v"), lambda field: str(field.type))
    assert statement == (
        'CREATE TABLE IF NOT EXISTS "t" '
        '("k" string NOT NULL, "v" int64 NOT NULL, "x" int64, PRIMARY KEY ("k"))'
    )


@pytest.mark.parametrize(("key", "version"), [(("absent",), "v"), (("k",), "absent"), ((), "v")])
def test_key_and_version_have_to_be_columns(key, version):
    with pytest.raises(Inconsistent, match="do not belong together"):
        Table("t", pa.schema({"k": pa.string(), "v": pa.int64()}), key, version)


def test_text_loses_nul_and_categories_become_text():
    batch = pa.record_batch(
        {
            "a": pa.array(["x\x00y", None, "\x00", "😀"]),
            "b": pa.array(["m\x00", "f", None, "m\x00"]).dictionary_encode(),
            "c": pa.array([1, 2, 3, None]),
        }
    )
    (plain,) = plain_batches([batch])
    assert plain.to_pydict() == {
        "a": ["xy", None, "", "😀"],
        "b": ["m", "f", None, "m"],
        "c": [1, 2, 3, None],
    }
