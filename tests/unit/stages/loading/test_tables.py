"""Tables are defined by Arrow schemas; what no database can store is rejected by name."""

import pyarrow as pa
import pytest
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateTable

from fanfold.errors import BadPipeline, Inconsistent
from fanfold.pipeline import Fold, Pipeline
from fanfold.sources import Compute
from fanfold.stages.loading import TargetTable, targets_of

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
        (pa.uint64(), "NUMERIC(20)", "BIGINT"),
        (pa.float64(), "DOUBLE PRECISION", "DOUBLE"),
        (pa.date32(), "DATE", "TEXT"),
        (pa.time64("us"), "TIME WITHOUT TIME ZONE", "TEXT"),
        (pa.timestamp("us", "UTC"), "TIMESTAMP WITH TIME ZONE", "TEXT"),
        (pa.timestamp("ns"), "TIMESTAMP WITHOUT TIME ZONE", "TEXT"),
        (pa.decimal128(18, 4), "NUMERIC(18, 4)", "TEXT"),
        (pa.decimal128(38, 0), "NUMERIC(38, 0)", "BIGINT"),
        (pa.binary(), "BYTEA", "BLOB"),
        (pa.list_(pa.string()), "JSONB", "TEXT"),
        (pa.struct({"x": pa.int64()}), "JSONB", "TEXT"),
    ],
)
def test_a_column_has_a_type_in_each_database_and_only_key_and_version_are_required(
    kind, in_postgres, in_sqlite
):
    schema = pa.schema([*pa.schema(KEYS), pa.field("c", kind, nullable=False)])
    expected = ["k TEXT NOT NULL", "v BIGINT NOT NULL", "PRIMARY KEY (k)"]
    for dialect, name in ((postgresql, in_postgres), (sqlite, in_sqlite)):
        assert definition(schema, dialect) == [*expected[:2], f"c {name}", expected[2]]


@pytest.mark.parametrize("kind", [pa.duration("s"), pa.null()])
def test_a_column_that_cannot_be_stored_is_named(kind):
    with pytest.raises(Inconsistent, match="'strange' has the type"):
        TABLE.define(pa.schema({**KEYS, "strange": kind}))


@pytest.mark.parametrize(("key", "version"), [(("absent",), "v"), (("k",), "absent"), ((), "v")])
def test_key_and_version_must_be_columns(key, version):
    with pytest.raises(Inconsistent, match="do not match the dataset"):
        TargetTable("t", key, version).define(pa.schema(KEYS))


def order_lines(*folds):
    return Pipeline(
        name="orders",
        noun="order",
        source=Compute(str),
        contract=None,
        key=("order_id", "line"),
        folds=[Fold(name, ("day",), sql="FROM dataset") for name in folds],
    )


def test_a_pipeline_has_a_table_for_its_dataset_and_each_fold():
    assert targets_of(order_lines("revenue_by_day", "revenue")) == (
        TargetTable("orders", ("order_id", "line"), "as_of", rows_of="orders"),
        TargetTable("revenue_by_day", ("day",), "as_of", rows_of="revenue_by_day"),
        TargetTable("revenue", ("day",), "as_of", rows_of="revenue"),
    )


def test_a_fold_cannot_take_the_name_of_a_table_of_fanfold():
    with pytest.raises(BadPipeline, match="orders: 'fanfold_runs' cannot be the name"):
        targets_of(order_lines("fanfold_runs"))
