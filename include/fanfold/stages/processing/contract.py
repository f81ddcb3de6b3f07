"""The contract of a pipeline: its Arrow schema, and which rows obey it."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pandera import pandas as pandera
from pandera.engines import pandas_engine

from fanfold.errors import BadPipeline
from fanfold.pipeline import AS_OF
from fanfold.stages.processing.coercion import Kind, coerce, kind_of, masked_type, shown
from fanfold.workspace.batch import ITEM

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fanfold.pipeline import Pipeline

NOT_RETURNED = "is a column of the rows"
AS_OF_FIELD = pa.field(AS_OF, pa.timestamp("us", "UTC"), nullable=False)
_DTYPES = (
    "str, an integer or float type, bool, pd.DatetimeTZDtype, datetime.date, Decimal with precision "
    "and scale, a category, or pd.ArrowDtype for lists and structs"
)


@dataclass(frozen=True, slots=True)
class Violation:
    """The first value of a row that breaks a rule; ``column`` is empty for a rule of whole rows."""

    column: str
    value: str
    rule: str


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a contract.

    Attributes:
        name: Its name.
        kind: How values are read.
        dtype: Its pandas type in checks; None for the default of its Arrow type.
        nullable: Whether it may be null.
        default: Value for null.
    """

    name: str
    kind: Kind
    dtype: Any
    nullable: bool
    default: Any

    @property
    def field(self) -> pa.Field:
        """The column of the Arrow schema."""
        return pa.field(self.name, self.kind.type, nullable=self.nullable)


@dataclass(frozen=True, slots=True)
class Contract:
    """A contract, ready for use.

    Attributes:
        pipeline: Name of the pipeline, for messages.
        columns: Its columns, in order.
        schema: Their Arrow schema.
        checks: Its checks alone, as a pandera schema; None if it has none.
        unique: Groups of columns whose values must not occur twice.
    """

    pipeline: str
    columns: tuple[Column, ...]
    schema: pa.Schema
    checks: Any
    unique: tuple[tuple[str, ...], ...]


def arrow_schema(contract: Any) -> pa.Schema:
    """Return the Arrow schema of a dataset: the columns of its contract, then ``as_of``.

    Timestamps have microseconds, whatever the unit in the contract.

    Args:
        contract: A ``DataFrameModel`` class or a ``DataFrameSchema``.

    Raises:
        BadPipeline: A column has a type that Parquet and databases do not share.
    """
    return read_contract(contract).schema.append(AS_OF_FIELD)


def contract_of(pipeline: Pipeline) -> Contract:
    """Return the contract of a pipeline.

    Raises:
        BadPipeline: It is invalid, or a column that the pipeline names is not in it.
    """
    contract = read_contract(pipeline.contract, pipeline.name)
    others = (pipeline.label, pipeline.measure, pipeline.newest, pipeline.deleted, pipeline.cursor)
    named = (*pipeline.key, *filter(None, others))
    missing = [name for name in named if name not in (*contract.schema.names, AS_OF)]
    if missing:
        raise BadPipeline(
            f"{pipeline.name}: the contract has no column {missing[0]!r}, which key, label, "
            f"measure, newest, deleted or cursor names; it has {', '.join(contract.schema.names)}."
        )
    if pipeline.deleted and not pa.types.is_boolean(contract.schema.field(pipeline.deleted).type):
        raise BadPipeline(
            f"{pipeline.name}: deleted={pipeline.deleted!r} must name a column of the contract with "
            f"booleans, but its type is {contract.schema.field(pipeline.deleted).type}."
        )
    kind = contract.schema.field(pipeline.cursor).type if pipeline.cursor else None
    if kind and not (pa.types.is_date(kind) or pa.types.is_timestamp(kind)):
        raise BadPipeline(
            f"{pipeline.name}: cursor={pipeline.cursor!r} must name a column of the contract with dates or "
            f"times, but its type is {kind}."
        )
    return contract


def read_contract(contract: Any, pipeline: str = "contract") -> Contract:
    """Return a contract ready for use; ``pipeline`` is a name for messages.

    Raises:
        BadPipeline: It is invalid.
    """
    schema: Any = (
        contract if isinstance(contract, pandera.DataFrameSchema) else contract.to_schema()
    )
    columns = tuple(_column(pipeline, name, column) for name, column in schema.columns.items())
    if schema.parsers or schema.index or not columns:
        raise BadPipeline(
            f"{pipeline}: a contract has columns and checks, but no index and no parsers; change "
            "values in the transform."
        )
    checks = {
        name: pandera.Column(None, [_unlimited(check) for check in column.checks], nullable=True)
        for name, column in schema.columns.items()
        if column.checks
    }
    has_checks = checks or schema.checks
    whole = [_unlimited(check) for check in schema.checks]
    alone = [(name,) for name, column in schema.columns.items() if column.unique]
    return Contract(
        pipeline,
        columns,
        pa.schema([column.field for column in columns]),
        pandera.DataFrameSchema(checks, checks=whole) if has_checks else None,
        (*alone, *([tuple(schema.unique)] if schema.unique else [])),
    )


def check_rows(contract: Contract, rows: pd.DataFrame) -> tuple[pa.Table, dict[int, Violation]]:
    """Convert rows to the types of the contract and check them.

    A row with values that cannot be read or are missing is not checked further.

    Returns:
        All rows, and the first violation, by column order, of each row that must not be used, by
        position.

    Raises:
        BadPipeline: A check raises an exception or is about all rows together.
    """
    violations: dict[int, Violation] = {}
    arrays = []
    for column in contract.columns:
        array, unreadable = coerce(_values(rows, column), column.kind)
        arrays.append(array)
        for row, value in unreadable.items():
            violations.setdefault(row, Violation(column.name, value, column.kind.rule))
        if array.null_count and not column.nullable:
            for row in np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False)).tolist():
                rule = "not_nullable" if column.name in rows else NOT_RETURNED
                violations.setdefault(row, Violation(column.name, "null", rule))
    table = pa.Table.from_arrays(arrays, schema=contract.schema)
    readable = np.ones(len(rows), bool)
    readable[list(violations)] = False
    if contract.checks is not None and readable.any():
        frame = _frame(contract, table.filter(pa.array(readable)))
        places = np.flatnonzero(readable)
        violations |= {int(places[row]): found for row, found in _check(contract, frame).items()}
    return table, violations


def _column(pipeline: str, name: Any, column: Any) -> Column:
    if name in {ITEM, AS_OF}:
        raise BadPipeline(
            f"{pipeline}: the contract must not have a column {name!r}, which Fanfold adds to rows; "
            "give it another name."
        )
    if column.regex or column.parsers:
        raise BadPipeline(
            f"{pipeline}: column {name!r} of the contract has regex=True or parsers; name each "
            "column, and change values in the transform."
        )
    dtype = column.dtype
    try:
        type_, categories = _arrow_type(dtype)
    except (TypeError, AttributeError, pa.ArrowException) as error:
        raise BadPipeline(
            f"{pipeline}: column {name!r} of the contract has the type {dtype}; use {_DTYPES}."
        ) from error
    nullable = column.nullable or not column.required
    return Column(
        str(name),
        kind_of(type_, categories),
        _pandas_type(dtype.type, type_, nullable=nullable),
        nullable,
        column.default,
    )


def _arrow_type(dtype: Any) -> tuple[pa.DataType, list[Any]]:  # noqa: PLR0911 - a table
    """Return the Arrow type of a pandera type, and its categories."""
    native = dtype.type
    if isinstance(dtype, pandas_engine.Decimal):
        return pa.decimal128(dtype.precision, dtype.scale), []
    if isinstance(dtype, pandas_engine.Date):
        return pa.date32(), []
    if isinstance(native, pd.ArrowDtype):
        return native.pyarrow_dtype, []
    if isinstance(native, pd.CategoricalDtype):
        if dtype.categories is None:
            return pa.string(), []
        codes = pd.Categorical([], dtype=native).codes.dtype
        values = pa.array(native.categories.tolist())
        return pa.dictionary(pa.from_numpy_dtype(codes), values.type), values.to_pylist()
    if isinstance(native, pd.DatetimeTZDtype):
        return pa.timestamp("us", str(native.tz)), []
    if isinstance(native, pd.StringDtype):
        return pa.string(), []
    native = getattr(native, "numpy_dtype", native)
    if native.kind == "M":
        return pa.timestamp("us"), []
    if native.kind not in "biuf":
        raise TypeError
    return pa.from_numpy_dtype(native), []


def _pandas_type(native: Any, type_: pa.DataType, *, nullable: bool) -> Any:
    """Return the extension type of a column in checks; None for the default of its Arrow type."""
    if pa.types.is_string(type_):
        return pd.StringDtype(na_value=np.nan)
    if isinstance(native, (pd.CategoricalDtype, pd.DatetimeTZDtype)):
        return None
    if isinstance(native, pd.api.extensions.ExtensionDtype):
        return native
    if nullable and (pa.types.is_boolean(type_) or pa.types.is_integer(type_)):
        return masked_type(type_)
    return None


def _unlimited(check: Any) -> Any:
    """Return a check that reports all its failure cases."""
    check = copy.copy(check)
    check.n_failure_cases = None
    return check


def _values(rows: pd.DataFrame, column: Column) -> pd.Series[Any]:
    if column.name not in rows:
        return pd.Series([column.default] * len(rows), dtype=object)
    values = rows[column.name]
    return values if column.default is None else values.fillna(column.default)


def _frame(contract: Contract, table: pa.Table) -> pd.DataFrame:
    """Return the columns that checks need as a frame with unique labels."""
    needed = contract.schema.names if contract.checks.checks else contract.checks.columns
    return pd.DataFrame(
        {
            column.name: table[column.name].to_pandas(types_mapper=lambda _, to=column.dtype: to)
            for column in contract.columns
            if column.name in needed
        }
    )


def _check(contract: Contract, frame: pd.DataFrame) -> Mapping[int, Violation]:
    try:
        contract.checks.validate(frame, lazy=True, inplace=True)
    except pandera.errors.SchemaErrors as error:
        cases = error.failure_cases
    else:
        return {}
    of_all = cases[cases["index"].isna()]
    if len(of_all):
        case = of_all.iloc[0]
        raise BadPipeline(
            f"{contract.pipeline}: the check {case['check']!r} of the contract"
            f"{'' if pd.isna(case['column']) else ' for column ' + repr(case['column'])} names no "
            f"rows ({shown(case['failure_case'])}); a check must return true or false for each row."
        )
    order = {column.name: place for place, column in enumerate(contract.columns)}
    is_whole = cases["schema_context"] == "DataFrameSchema"
    places = cases["column"].map(order).where(~is_whole, len(order))
    found: dict[int, Violation] = {}
    firsts = cases.assign(place=places, whole=is_whole).sort_values(
        ["place", "check_number"], kind="stable"
    )
    for case in firsts.drop_duplicates("index").to_dict("records"):
        row, column = int(case["index"]), "" if case["whole"] else case["column"]
        # pandera lists the failure cases of integers and floats together, as floats.
        value = frame[column].iloc[row] if column else ""
        value = value.item() if isinstance(value, np.generic) else value
        found[row] = Violation(column, shown(value) if column else "", str(case["check"]))
    return found
