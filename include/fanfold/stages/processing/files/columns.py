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
    from collections.abc import Collection, Iterable, Sequence

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

    def match(
        self, found: Sequence[str], extra: dict[str, None], *, is_whole: bool = True
    ) -> dict[str, int]:
        """Return the positions of the used columns in a file, or a record, with some names.

        Args:
            found: The names.
            extra: Gets those that are not known.
            is_whole: Whether they are all columns of the file.

        Raises:
            Flaw: A required column is missing, one is there twice, or there are more than allowed.
        """
        check_number(found)
        places: dict[str, int] = {}
        for place, name in enumerate(found):
            column = self.known.get(normalized(name))
            if column is None:
                # JSON may contain a lone surrogate.
                text = name.strip().encode("utf-8", "replace").decode()
                column = text or f"column {place + 1}"
                extra[column] = None
                if self.extra != "keep":
                    continue
                is_twice = column in places or column in self.names
            else:
                is_twice = column in places
            if is_twice:
                names = listed([found[places.get(column, place)], name])
                raise Flaw(ENGINE.message("decode.twice", column=shown(column), names=names))
            places[column] = place
        if is_whole:
            self.check(places, found)
        if extra and self.extra == "reject":
            raise Flaw(ENGINE.message("decode.extra", columns=listed(extra)))
        return places

    def of_frame(self, extra: Iterable[str]) -> list[str]:
        """Return the columns of a frame of records; those that a file does not have are null."""
        return [*self.names, *(extra if self.extra == "keep" else ())]

    def check(self, there: Iterable[str], found: Iterable[str]) -> None:
        """Raise :class:`Flaw` if a required column is missing."""
        if missing := self.required.difference(there):
            lacking = listed(name for name in self.names if name in missing)
            raise Flaw(ENGINE.message("decode.columns", missing=lacking, columns=listed(found)))


def columns_of(pipeline: Pipeline, source: Files, contract: Contract) -> Columns:
    """Return the columns that a pipeline reads from its files.

    Raises:
        BadPipeline: The source's ``columns``, ``optional`` and ``together`` do not fit.
    """
    filled = {pipeline.item_column, pipeline.row_column}
    of_contract = [column for column in contract.columns if column.name not in filled]
    given = source.columns or [column.name for column in of_contract]
    mapping = given if isinstance(given, Mapping) else dict(zip(given, given, strict=True))
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


def check_number(columns: Collection[str]) -> None:
    """Raise :class:`Flaw` if a file has too many columns."""
    if len(columns) > _COLUMNS:
        raise Flaw(ENGINE.message("decode.many", limit=f"{_COLUMNS:,}"))


def normalized(name: str) -> str:
    """Return a column's name as names are compared."""
    return name.strip().casefold()


def listed(names: Iterable[str]) -> str:
    """Return names for a message."""
    names = [shown(name) for name in names]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
