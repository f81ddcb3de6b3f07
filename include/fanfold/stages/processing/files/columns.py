"""Which columns of a file are those of the pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fanfold.errors import BadPipeline
from fanfold.messages import ENGINE
from fanfold.stages.processing.coercion import shown
from fanfold.stages.processing.files.streams import Flaw

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fanfold.pipeline import Pipeline
    from fanfold.sources import Files
    from fanfold.stages.processing.contract import Contract

_COLUMNS = 10_000
"""Columns of a file."""
_NAMED = 30
"""Names of columns in a message."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that a pipeline reads from its files.

    Attributes:
        names: Their names in the pipeline.
        known: These names by each name that a column may have in a file, normalized.
        required: Names of columns that each file must have.
        extra: What happens to further columns: ``drop``, ``keep`` or ``reject``.
    """

    names: tuple[str, ...]
    known: Mapping[str, str]
    required: frozenset[str]
    extra: str

    def match(self, found: Sequence[str]) -> Layout:
        """Return where the columns are in a file with some names.

        Raises:
            Flaw: A required column is missing, one is there twice, or there are more than allowed.
        """
        check_number(len(found))
        places: dict[str, int] = {}
        extra: dict[str, int] = {}
        for place, name in enumerate(found):
            column = self.known.get(normalized(name))
            into, key = (extra, name.strip()) if column is None else (places, column)
            if not key:
                into, key = extra, f"column {place + 1}"
            if column is None:
                self.check_extra(key, found)
            if key in into and (column is not None or self.extra == "keep"):
                raise Flaw(
                    ENGINE.message(
                        "decode.twice", column=key, names=f"{found[into[key]]!r}, {name!r}"
                    )
                )
            into[key] = place
        self.check(places, found)
        if extra and self.extra == "reject":
            raise Flaw(ENGINE.message("decode.extra", columns=listed(extra)))
        return Layout({**places, **(extra if self.extra == "keep" else {})}, extra)

    def check_extra(self, name: str, found: Iterable[str]) -> None:
        """Check that a further column has not the name of a column that is another one in files.

        Raises:
            Flaw: It has, and is kept.
        """
        if self.extra == "keep" and name in self.names:
            raise Flaw(ENGINE.message("decode.twice", column=name, names=listed(found)))

    def of_frame(self, layout: Layout) -> list[str]:
        """Return the columns of a frame of records; those that a file does not have are null."""
        return [*self.names, *(layout.extra if self.extra == "keep" else ())]

    def check(self, there: Iterable[str], found: Iterable[str]) -> None:
        """Check that required columns are there.

        Raises:
            Flaw: One is missing.
        """
        if missing := self.required.difference(there):
            lacking = [name for name in self.names if name in missing]
            raise Flaw(
                ENGINE.message("decode.columns", missing=listed(lacking), columns=listed(found))
            )


@dataclass(frozen=True, slots=True)
class Layout:
    """Positions of the used columns of a file by their names, and of those that are not known."""

    places: Mapping[str, int]
    extra: Mapping[str, int]


def columns_of(pipeline: Pipeline, source: Files, contract: Contract) -> Columns:
    """Return the columns that a pipeline reads from its files.

    Raises:
        BadPipeline: The source's ``columns``, ``optional`` and ``together`` do not fit.
    """
    filled = {pipeline.item_column, pipeline.row_column}
    of_contract = [column for column in contract.columns if column.name not in filled]
    given = source.columns or [column.name for column in of_contract]
    mapping = given if isinstance(given, Mapping) else {name: name for name in given}
    optional = set(source.optional)
    if not source.columns and not source.optional:
        optional = {column.name for column in of_contract if column.nullable}
    known: dict[str, str] = {}
    for name, names in mapping.items():
        for each in (names,) if isinstance(names, str) else names:
            if known.setdefault(normalized(each), name) != name:
                raise BadPipeline(f"{pipeline.name}: two columns of Files are named {each!r}.")
    unknown = [name for name in (*optional, source.together) if name and name not in mapping]
    if unknown:
        raise BadPipeline(
            f"{pipeline.name}: Files names the column {unknown[0]!r} in optional or together; its "
            f"columns are {', '.join(mapping)}."
        )
    return Columns(tuple(mapping), known, frozenset(mapping) - optional, source.extra)


def check_number(columns: int) -> None:
    """Check the number of columns of a file.

    Raises:
        Flaw: There are too many.
    """
    if columns > _COLUMNS:
        raise Flaw(ENGINE.message("decode.many", limit=f"{_COLUMNS:,}"))


def normalized(name: str) -> str:
    """Return a column's name as names are compared."""
    return name.strip().casefold()


def listed(names: Iterable[str]) -> str:
    """Return names for a message."""
    names = [shown(name) for name in names]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
