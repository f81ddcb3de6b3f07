"""The comparison of a run's dataset with the previous run's, as in ``comparison.json``.

``report`` writes it and the run page reads it. Its size does not grow with the number of rows.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

Key = tuple[str | None, ...]
"""Values of a row's key columns, as text, shortened to :data:`VALUE_LIMIT` characters."""

SHOWN = 20
"""Maximum number of examples of each kind."""
VALUE_LIMIT = 500
"""Maximum length of a value in characters."""


@dataclass(frozen=True, slots=True)
class Example:
    """A row that only one of the two datasets has.

    Attributes:
        key: Its key.
        label: Its name for people; None if the pipeline has no ``label`` or it is null.
    """

    key: Key
    label: str | None


@dataclass(frozen=True, slots=True)
class Side:
    """The rows that only one dataset has.

    Attributes:
        count: Number of rows.
        examples: Up to :data:`SHOWN` of them: the largest measure first, then by key.
    """

    count: int
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """A row that both datasets have, with different values.

    Attributes:
        key: Its key.
        label: Its current name for people, as in :class:`Example`.
        before, after: Its measure; None if there is no measure, or it is null or not finite.
        columns: Columns with different values, in the order of the dataset.
    """

    key: Key
    label: str | None
    before: float | None
    after: float | None
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a dataset differs from the previous one.

    Attributes:
        previous: Run id of the previous dataset.
        previous_date: Its logical date (ISO 8601, UTC).
        key: Columns by which rows were matched.
        measure: Column by which changes are ranked; empty if there is none in both datasets.
        new: Rows only in the current dataset.
        gone: Rows only in the previous dataset.
        changed: Number of rows in both with different values.
        unchanged: Number of rows in both with equal values.
        changes: Up to :data:`SHOWN` changed rows: the largest difference of the measure first, then
            by key.
        repeated: Whether a key occurs more than once in a dataset: such rows were matched by key and
            by their order among the rows with this key.
        added: Columns that only the current dataset has.
        removed: Columns that only the previous dataset has.
        retyped: Columns that have another type now. They were not compared, as the added and removed
            ones.
    """

    previous: str
    previous_date: str
    key: tuple[str, ...]
    measure: str
    new: Side
    gone: Side
    changed: int
    unchanged: int
    changes: tuple[Change, ...]
    repeated: bool = False
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    retyped: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the comparison as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Parse the result of :meth:`as_json`."""
        changes = tuple(
            Change(**{**one, "key": tuple(one["key"]), "columns": tuple(one["columns"])})
            for one in data["changes"]
        )
        columns = {name: tuple(data[name]) for name in ("key", "added", "removed", "retyped")}
        sides = {name: _side(data[name]) for name in ("new", "gone")}
        return cls(**{**data, **columns, **sides, "changes": changes})


def _side(data: dict[str, Any]) -> Side:
    examples = (Example(tuple(one["key"]), one["label"]) for one in data["examples"])
    return Side(data["count"], tuple(examples))
