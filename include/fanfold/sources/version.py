"""The version of a source: parts that another version made are fetched again. And that of rows.

The version of a source is a digest of what decides which records an item has: the fields of the source, and its functions
by their bytecode with the functions, classes and constants of their own package that they name.
Comments, docstrings and line numbers do not count. Another minor version of Python is another version.
"""

from __future__ import annotations

import functools
import hashlib
import re
import types
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from fanfold.sources import Files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fanfold.sources import Source

_NO_RECORDS = frozenset(
    {
        "messages",
        "connection",
        "token",
        "check",
        "listing",
        "quota",
        "exhausted_for",
        "time_limit",
        "processes",
        "memory_mb",
    }
)
"""Fields that do not change the records of an item."""
_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(...))


def source_version(source: Source) -> str:
    """Return the version of a source: 8 hex digits."""
    seen: dict[int, Any] = {}
    digest = hashlib.blake2b(type(source).__name__.encode(), digest_size=4)
    # The bytes of a file depend on none of the fields: `process` decodes them.
    for field in () if isinstance(source, Files) else fields(source):
        if field.name not in _NO_RECORDS:
            for text in (field.name, *_texts(getattr(source, field.name), seen)):
                digest.update(text.encode("utf-8", "backslashreplace") + b"\0")
    return digest.hexdigest()


def rows_version(pipeline: Any) -> str:
    """Return the version of the rows of a pipeline (a :class:`~fanfold.pipeline.Pipeline`): 8 hex digits.

    It is a digest of what decides which rows an item has and which of them are in the dataset: the
    source, the transform, the contract and the key; not folds, charts and names.
    """
    seen: dict[int, Any] = {}
    digest = hashlib.blake2b(source_version(pipeline.source).encode(), digest_size=4)
    names = ("transform", "each", "key", "newest", "deleted", "reject", "item_column", "row_column")
    source = [
        getattr(pipeline.source, field.name)
        for field in fields(pipeline.source)
        if field.name not in _NO_RECORDS
    ]
    parts = [*source, *(getattr(pipeline, name) for name in names), *_rules(pipeline.contract)]
    for part in parts:
        for text in _texts(part, seen):
            digest.update(text.encode("utf-8", "backslashreplace") + b"\0")
    return digest.hexdigest()


def _rules(contract: Any) -> Iterator[Any]:
    """Yield what a pandera contract consists of."""
    schema = contract.to_schema() if hasattr(contract, "to_schema") else contract
    for name, column in schema.columns.items():
        yield (name, str(column.dtype), column.nullable, column.unique, str(column.default))
        yield from map(_check, column.checks)
    yield schema.unique
    yield from map(_check, schema.checks)


def _check(check: Any) -> Any:
    function = check._check_fn  # noqa: SLF001 - pandera has no other access
    is_own = isinstance(function, types.FunctionType)
    return (check.name, check.statistics, check.ignore_na, function if is_own else None)


def _texts(value: Any, seen: dict[int, Any]) -> Iterator[str]:
    """Yield texts that are equal for equal values, in any process.

    ``seen`` ends cycles, and holds the values so that their ids are not used again. Constants do not
    count: whether equal ones are one object depends on how the module was loaded.
    """
    if isinstance(value, Enum):
        yield f"{type(value).__qualname__}.{value.name}={value.value!r}"
        return
    if isinstance(value, _PLAIN):
        yield f"{type(value).__name__} {value!r}"
        return
    yield type(value).__qualname__
    if not isinstance(value, (tuple, frozenset, types.CodeType)):
        if id(value) in seen:
            return
        seen[id(value)] = value
    for part in _parts(value):
        yield from _texts(part, seen)


def _parts(value: Any) -> Iterator[Any]:  # noqa: C901, PLR0912 - one kind of value each
    if isinstance(value, types.FunctionType):
        yield from (value.__code__, value.__defaults__, value.__kwdefaults__)
        yield [cell.cell_contents for cell in value.__closure__ or () if _is_filled(cell)]
        yield from _named(value.__code__, value.__globals__, value.__module__)
    elif isinstance(value, types.CodeType):
        yield from (value.co_code, value.co_names, value.co_freevars)
        yield (None, *value.co_consts[1:]) if _has_docstring(value) else value.co_consts
    elif isinstance(value, functools.partial):
        yield from (value.func, value.args, value.keywords)
    elif isinstance(value, types.MethodType):
        yield from (value.__func__, value.__self__)
    elif isinstance(value, re.Pattern):
        yield from (value.pattern, value.flags)
    elif isinstance(value, dict):
        for item in value.items():
            yield from item
    elif isinstance(value, (list, tuple)):
        yield from value
    elif isinstance(value, (set, frozenset)):
        yield sorted(map(repr, value))
    elif isinstance(value, (type, types.BuiltinFunctionType, types.ModuleType)):
        yield f"{getattr(value, '__module__', '')}.{value.__name__}"
    elif hasattr(value, "__wrapped__"):
        yield value.__wrapped__
    elif is_dataclass(value):
        yield [getattr(value, field.name) for field in fields(value)]
    elif hasattr(value, "__dict__"):
        yield vars(value)


def _named(code: types.CodeType, scope: Mapping[str, Any], module: str) -> Iterator[Any]:
    """Yield what a function names in its own package, with the names."""
    package = module.partition(".")[0]
    names = set(_all_names(code))
    for name in sorted(names & scope.keys()):
        value = scope[name]
        if isinstance(value, types.ModuleType):
            if value.__name__.partition(".")[0] == package:
                for inner in sorted(names & vars(value).keys()):
                    yield from _own(inner, vars(value)[inner], package)
        else:
            yield from _own(name, value, package)


def _own(name: str, value: Any, package: str) -> Iterator[Any]:
    yield name
    home = getattr(value, "__module__", None)
    is_own = isinstance(home, str) and home.partition(".")[0] == package
    if isinstance(value, type) and is_own:
        for member, inner in sorted(vars(value).items()):
            if isinstance(inner, (types.FunctionType, *_PLAIN)) and member not in {
                "__module__", "__doc__", "__qualname__", "__firstlineno__",
            }:  # fmt: skip
                yield from (member, inner)
    elif not isinstance(value, types.FunctionType) or is_own:
        yield value
    else:
        yield f"{home}.{value.__qualname__}"


def _all_names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield from _all_names(const)


def _has_docstring(code: types.CodeType) -> bool:
    """Return whether the first constant of a function is its docstring."""
    return (
        bool(code.co_consts)
        and isinstance(code.co_consts[0], str)
        and not code.co_name.startswith("<")
    )


def _is_filled(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True
