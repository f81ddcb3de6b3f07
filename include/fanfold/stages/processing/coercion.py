"""Strict conversion of values to the Arrow type of their column.

pandas, pyarrow and pandera truncate 1.5 to 1 in an integer column without an error. Here each value
is read without loss or is unreadable. A column is converted at once where that is safe; values are
read one by one otherwise.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_VALUE_LIMIT = 200
_UNREADABLE = (ValueError, TypeError, ArithmeticError, pa.ArrowException)
_DIGITS = re.compile(r"\s*[+-]?\d{1,20}\s*", re.ASCII)
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,4})?\s*", re.ASCII | re.IGNORECASE)
_NUMBER_LIMIT = 100
_DATE = (
    "([1-8][0-9]{3}|9[0-8][0-9]{2})-((0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])"
    "|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)"
)
_MOMENT = (
    _DATE + r"([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{3}([0-9]{3})?)?)?"
    "(Z|[+-](0[0-9]|1[0-3]):[0-5][0-9])?)?"
)
_FLAGS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Kind:
    """How values become a column of an Arrow type.

    Attributes:
        type: The Arrow type.
        rule: What a value must be, for people.
        read: Returns a value that Arrow converts exactly; raises ``ValueError``, ``TypeError`` or
            ``ArithmeticError`` for a value that it cannot read.
        inferred: Kinds of Python objects, by ``pandas.api.types.infer_dtype``, that Arrow converts
            exactly.
        castable: Whether Arrow casts a column of another type exactly or with an error.
        is_clean: Whether each value of a column converted at once is one that ``read`` returns.
        categories: The values of a dictionary.
        pattern: Of texts that ``parse`` returns as ``read`` does; the others are read one by one.
        parse: Returns a column of such texts as the type.
    """

    type: pa.DataType
    rule: str
    read: Callable[[Any], Any]
    inferred: tuple[str, ...] = ()
    castable: Callable[[pa.DataType], bool] = lambda _: False
    is_clean: Callable[[pa.Array], bool] = lambda _: True
    categories: Any = None
    pattern: str = ""
    parse: Callable[[pa.Array], pa.Array] | None = None


def coerce(values: pd.Series[Any], kind: Kind) -> tuple[pa.Array, dict[int, str]]:
    """Convert a column; None, NaN, NaT and NA are null.

    Returns:
        The column, with null for unreadable values, and these by position, as text for a message.
    """
    array = _at_once(values, kind)
    if array is not None:
        return array, {}
    texts = _texts(values) if kind.parse else None
    if texts is not None:
        return _of_texts(texts, kind)
    objects = values.astype(object).array
    missing = values.isna().to_numpy()
    try:
        read = [
            None if no else kind.read(value) for value, no in zip(objects, missing, strict=True)
        ]
        return _array(read, kind), {}
    except _UNREADABLE:
        return _one_by_one(objects, missing, kind)


def _at_once(values: pd.Series[Any], kind: Kind) -> pa.Array | None:
    """Return the column if Arrow converts it exactly, else None."""
    try:
        if values.dtype == object:
            inferred = pd.api.types.infer_dtype(values, skipna=True)
            if inferred == "empty":
                return pa.nulls(len(values), kind.type)
            if inferred not in kind.inferred:
                return None
            array = _array(values.array, kind)
        else:
            array = pa.Array.from_pandas(values)
            if isinstance(array, pa.ChunkedArray):
                array = array.combine_chunks()
            if pa.types.is_dictionary(array.type):
                array = array.dictionary_decode()
            if not (array.type == kind.type or kind.castable(array.type)):
                return None
            array = array.cast(kind.type) if kind.categories is None else _encode(array, kind)
        return array if kind.is_clean(array) else None
    except _UNREADABLE:
        return None


def _texts(values: pd.Series[Any]) -> pa.Array | None:
    """Return a column as Arrow texts if it has nothing else."""
    if values.dtype == object and pd.api.types.infer_dtype(values, skipna=True) != "string":
        return None
    try:
        array = pa.array(values, from_pandas=True)
    except _UNREADABLE:  # a lone surrogate
        return None
    array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    return array if _is_text(array.type) else None


def _of_texts(texts: pa.Array, kind: Kind) -> tuple[pa.Array, dict[int, str]]:
    """Convert texts: those of the usual form at once, the others one by one."""
    parse: Any = kind.parse
    usual = pc.match_substring_regex(texts, f"^(?:{kind.pattern})$")  # null for null
    array = parse(pc.if_else(usual, texts, None))
    others = pc.and_(array.is_null(), texts.is_valid())
    if not others.true_count:
        return array, {}
    values = texts.filter(others).to_pylist()
    read, unreadable = _one_by_one(values, [False] * len(values), kind)
    places = np.flatnonzero(others.to_numpy(zero_copy_only=False)).tolist()
    return (
        pc.replace_with_mask(array, others, read),
        {places[place]: value for place, value in unreadable.items()},
    )


def _one_by_one(
    objects: Sequence[Any], missing: Iterable[bool], kind: Kind
) -> tuple[pa.Array, dict[int, str]]:
    unreadable: dict[int, str] = {}
    read: list[Any] = []
    for position, (value, no) in enumerate(zip(objects, missing, strict=True)):
        try:
            plain = value.item() if isinstance(value, np.generic) else value
            found = None if no else kind.read(plain)
        except _UNREADABLE:
            found = None
            unreadable[position] = shown(value)
        read.append(found)
    return _array(read, kind), unreadable


def _array(values: Any, kind: Kind) -> pa.Array:
    if kind.categories is None:
        return pa.array(values, kind.type, from_pandas=True)
    return _encode(pa.array(values, kind.categories.type, from_pandas=True), kind)


def _encode(array: pa.Array, kind: Kind) -> pa.Array:
    """Return values as codes of the contract's categories, whatever their order of arrival."""
    codes = pc.index_in(array.cast(kind.categories.type), value_set=kind.categories)
    if codes.null_count != array.null_count:
        raise ValueError(kind.rule)
    return pa.DictionaryArray.from_arrays(codes.cast(kind.type.index_type), kind.categories)


def kind_of(type_: pa.DataType, categories: Sequence[Any] = ()) -> Kind:  # noqa: PLR0911 - a table
    """Return how values become a column of an Arrow type.

    Args:
        type_: The Arrow type.
        categories: The values of a dictionary.
    """
    types = pa.types
    if types.is_dictionary(type_):
        return _category(type_, categories)
    if _is_text(type_):
        return Kind(type_, "is text", _as_text, ("string",), _is_textual, _has_no_nul)
    if types.is_boolean(type_):
        return Kind(
            type_,
            "is true or false",
            _as_flag,
            ("boolean",),
            pattern="[Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee]",  # (?i) would match U+017F
            parse=lambda texts: pc.equal(pc.utf8_lower(texts), "true"),
        )
    if types.is_integer(type_):
        return _integer(type_)
    if types.is_floating(type_):
        return _float(type_)
    if types.is_decimal(type_):
        return _decimal(type_)
    if types.is_timestamp(type_):
        return _timestamp(type_)
    if types.is_date(type_):
        return Kind(
            type_,
            "is a date",
            _as_date,
            (),
            types.is_date32,
            pattern=_DATE,
            parse=_cast(type_) if types.is_date32(type_) else None,
        )
    return Kind(type_, "has the type of the column", _nested(type_))


def shown(value: Any) -> str:
    """Return a value as text for a message, truncated."""
    text = value if isinstance(value, str) and value else repr(value)
    text = text[: _VALUE_LIMIT + 1].encode("utf-8", "replace").decode()
    return text if len(text) <= _VALUE_LIMIT else f"{text[:_VALUE_LIMIT]}…"


def _cast(type_: pa.DataType) -> Callable[[pa.Array], pa.Array]:
    return lambda texts: texts.cast(type_)


def _is_textual(type_: pa.DataType) -> bool:
    return _is_text(type_) or bool(pa.types.is_integer(type_))


def _is_text(type_: pa.DataType) -> bool:
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_))


def _is_numeric(type_: pa.DataType) -> bool:
    return bool(pa.types.is_integer(type_) or pa.types.is_floating(type_))


def _has_no_nul(array: pa.Array) -> bool:
    return not pc.any(pc.match_substring(array, "\0")).as_py()


def _is_finite(array: pa.Array) -> bool:
    return pc.all(pc.is_finite(array)).as_py() is not False


def _as_text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal, date)):
        raise TypeError
    text = value if isinstance(value, str) else str(value)
    if not text.isascii():
        # A lone surrogate (JSON allows \ud800) has no UTF-8.
        text = text.encode("utf-8", "replace").decode()
    return text.replace("\0", "") if "\0" in text else text  # which has no place in SQL text


def _as_flag(value: Any) -> bool:
    if isinstance(value, str):
        value = _FLAGS.get(value.strip().lower())
    if isinstance(value, (int, float)) and value in (0, 1):
        return bool(value)
    raise TypeError


def _integer(type_: pa.DataType) -> Kind:
    bits = type_.bit_width
    signed = pa.types.is_signed_integer(type_)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)

    def read(value: Any) -> int:
        number = _as_integer(value)
        if not low <= number <= high:
            raise OverflowError
        return number

    rule = f"is a whole number of {bits} bits" if signed else f"is a natural number of {bits} bits"

    def parse(texts: pa.Array) -> pa.Array:
        numbers = texts.cast(pa.int64())
        if type_ == pa.int64():
            return numbers
        # 18 digits are less than the limits of 64 bits.
        limits = (max(low, -(10**18)), min(high, 10**18))
        fits = pc.and_(pc.greater_equal(numbers, limits[0]), pc.less_equal(numbers, limits[1]))
        return pc.if_else(fits, numbers, None).cast(type_)

    return Kind(type_, rule, read, ("integer",), _is_numeric, pattern="-?[0-9]{1,18}", parse=parse)


def _as_integer(value: Any) -> int:
    if type(value) is int:
        return value
    _check_type(value)
    if isinstance(value, str) and not _DIGITS.fullmatch(value):
        raise ValueError
    number = int(value)
    if not isinstance(value, str) and number != value:
        raise ValueError
    return number


def masked_type(type_: pa.DataType) -> Any:
    """Return the pandas type of nullable integers or booleans."""
    if pa.types.is_boolean(type_):
        return pd.BooleanDtype()
    return pd.api.types.pandas_dtype(str(type_).replace("uint", "UInt").replace("int", "Int"))


def _float(type_: pa.DataType) -> Kind:
    largest = float(np.finfo(type_.to_pandas_dtype()).max)

    def read(value: Any) -> float:
        _check_type(value)
        if isinstance(value, str):
            _check_number(value)
        number = float(value)
        if abs(number) > largest:
            raise OverflowError
        return number

    return Kind(
        type_,
        "is a finite number",
        read,
        ("floating", "integer", "mixed-integer-float"),
        _is_numeric,
        _is_finite,
        pattern=r"-?[0-9]{1,25}(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,2})?",
        parse=_cast(type_) if type_ == pa.float64() else None,
    )


def _check_type(value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        raise TypeError


def _check_number(text: str) -> None:
    if len(text) > _NUMBER_LIMIT or not _NUMBER.fullmatch(text):
        raise ValueError


def _decimal(type_: pa.DataType) -> Kind:
    whole, places = type_.precision - type_.scale, type_.scale
    fraction = rf"(\.[0-9]{{1,{places}}})?" if places else ""
    is_usual = pa.types.is_decimal128(type_) and whole > 0 and places >= 0
    exponent = Decimal(1).scaleb(-type_.scale)
    exact = Context(prec=type_.precision, traps=[Inexact, InvalidOperation])

    def read(value: Any) -> Decimal:
        _check_type(value)
        if isinstance(value, str):
            _check_number(value)
            value = value.strip()
        elif isinstance(value, float):
            value = repr(float(value))  # the shortest text that is this number: 0.1, not 0.1000…055
        return Decimal(value).quantize(exponent, context=exact)

    return Kind(
        type_,
        "is a decimal number that fits precision and scale",
        read,
        ("decimal",),
        pa.types.is_decimal,
        pattern=f"-?[0-9]{{1,{whole}}}{fraction}",
        parse=_cast(type_) if is_usual else None,
    )


def _timestamp(type_: pa.DataType) -> Kind:
    zone = pd.DatetimeTZDtype(type_.unit, type_.tz).tz if type_.tz else None

    def read(value: Any) -> datetime:
        moment = _as_moment(value)
        if moment.tzinfo is None and zone is None:
            return moment
        # In UTC: in another zone, pyarrow was seen to take the wall clock for UTC.
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
        return moment if zone else moment.replace(tzinfo=None)

    def castable(other: pa.DataType) -> bool:
        return bool(pa.types.is_timestamp(other)) and (other.tz is None) == (type_.tz is None)

    def parse(texts: pa.Array) -> pa.Array:
        has_zone = pc.match_substring_regex(texts, "(Z|[+-][0-9]{2}:[0-9]{2})$")
        moments = pc.if_else(has_zone, texts, None).cast(pa.timestamp("us", "UTC"))
        local = pc.if_else(has_zone, None, texts).cast(pa.timestamp("us"))
        if type_.tz in {None, "UTC"}:
            moments = pc.coalesce(moments, local.cast(pa.timestamp("us", "UTC")))
        return moments.cast(type_)  # in a zone, a time may not exist: one by one

    return Kind(type_, "is a date and time", read, (), castable, pattern=_MOMENT, parse=parse)


def _as_moment(value: Any) -> datetime:
    if isinstance(value, pd.Timestamp):
        return value.to_pydatetime(warn=False)
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - in the contract's zone
    if not isinstance(value, str) or len(value) > _NUMBER_LIMIT:
        raise TypeError
    return datetime.fromisoformat(value.strip())


def _as_date(value: Any) -> date:
    if type(value) is date:
        return value
    moment = _as_moment(value)
    if moment.time() != datetime.min.time():
        raise ValueError
    return moment.date()


def _category(type_: pa.DataType, categories: Sequence[Any]) -> Kind:
    known = set(categories)
    is_text = pa.types.is_string(type_.value_type)

    def read(value: Any) -> Any:
        found = _as_text(value) if is_text else value
        if found not in known:
            raise ValueError
        return found

    return Kind(
        type_,
        "is a category",
        read,
        ("string",) if is_text else (),
        _is_textual if is_text else type_.value_type.equals,
        categories=pa.array(categories, type_.value_type),
    )


def _nested(type_: pa.DataType) -> Callable[[Any], Any]:
    """Return a reader of lists and objects, whose values are read as strictly as columns."""
    types = pa.types
    if types.is_list(type_) or types.is_large_list(type_) or types.is_fixed_size_list(type_):
        inner = kind_of(type_.value_type).read

        def read_list(value: Any) -> list[Any]:
            if not isinstance(value, (list, tuple, np.ndarray)):
                raise TypeError
            return [_read_or_null(inner, each) for each in value]

        return read_list
    if types.is_struct(type_):
        fields = {field.name: kind_of(field.type).read for field in type_}

        def read_struct(value: Any) -> dict[str, Any]:
            if not isinstance(value, dict):
                raise TypeError
            return {name: _read_or_null(read, value.get(name)) for name, read in fields.items()}

        return read_struct
    return lambda value: pa.scalar(value, type_).as_py()


def _read_or_null(read: Callable[[Any], Any], value: Any) -> Any:
    is_null = value is None or value is pd.NA or value is pd.NaT
    if is_null or (isinstance(value, float) and np.isnan(value)):
        return None
    return read(value.item() if isinstance(value, np.generic) else value)
