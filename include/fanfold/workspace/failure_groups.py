"""Items that are not in the dataset, grouped by reason.

Memory does not grow with the number of items: at most ``kept`` reasons of an outcome are kept, items
with further reasons are counted together.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

from fanfold.messages import Message
from fanfold.model import Status
from fanfold.workspace.files import read_as, write_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from fanfold.model import Outcome

KEPT = 500
"""Reasons of an outcome that are kept."""
EXAMPLES = 3
_REASON_LIMIT = 300
_VALUE_LIMIT = 500
_ORDER = (Status.FAILED, Status.INVALID, Status.MISSING)


@dataclass(slots=True)
class Group:
    """The items with the same outcome for the same reason.

    Attributes:
        status: Their outcome.
        reason: Why; empty for the group of all further reasons.
        column: For ``invalid``: the column.
        rule: For ``invalid``: the rule that it breaks.
        reason_id: Id of the message that the reason is, if it is one of a catalogue.
        reason_params: The parameters of that message.
        count: Number of items.
        attempts: Requests made for all of them.
        examples: The first keys, each with the value found, if there is one.
    """

    status: Status
    reason: str
    column: str | None = None
    rule: str | None = None
    reason_id: str | None = None
    reason_params: Mapping[str, Any] | None = None
    count: int = 0
    attempts: int = 0
    examples: list[tuple[str, str | None]] = field(default_factory=list)

    @property
    def identity(self) -> tuple[str | None, ...]:
        """What tells the group from others."""
        return str(self.status), self.reason, self.column, self.rule

    @property
    def id(self) -> str:
        """A digest of the identity, the same in every process."""
        identity = repr(self.identity).encode("utf-8", "backslashreplace")
        return hashlib.blake2b(identity, digest_size=8).hexdigest()

    @property
    def is_rest(self) -> bool:
        """Whether it holds the items whose reasons are not kept."""
        return not self.reason and self.column is None

    @property
    def message(self) -> Message:
        """The reason as a message."""
        return Message(self.reason, self.reason_id or "", self.reason_params or {})

    @property
    def title(self) -> str:
        """The reason as a sentence."""
        if self.column is not None:
            return f"{self.column} breaks the rule {self.rule!r}"
        return self.reason or "other reasons"

    @classmethod
    def of(cls, outcome: Outcome) -> Self:
        """Return the group, still empty, that an outcome belongs to."""
        if outcome.column is not None:
            return cls(outcome.status, "", outcome.column, outcome.rule or "")
        return cls(
            outcome.status,
            outcome.reason[:_REASON_LIMIT] or "–",
            reason_id=outcome.reason_id,
            reason_params=outcome.reason_params,
        )

    def add(self, other: Group) -> None:
        """Add the items of another group."""
        self.count += other.count
        self.attempts += other.attempts
        if len(self.examples) < EXAMPLES:
            self.examples = [*self.examples, *other.examples][:EXAMPLES]

    def as_json(self) -> dict[str, Any]:
        """Return the group as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Return the group that :meth:`as_json` wrote."""
        examples = [(key, value) for key, value in data["examples"]]
        return cls(**{**data, "status": Status(data["status"]), "examples": examples})


class FailureGroups:
    """Counts items by reason.

    At most ``kept`` reasons of an outcome are kept; items with further reasons are counted
    together.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._groups: dict[tuple[str | None, ...], Group] = {}
        self._known: Counter[Status] = Counter()

    def add(self, outcome: Outcome) -> None:
        """Count an item that is not ``ok``."""
        value = outcome.value
        group = Group.of(outcome)
        group.count, group.attempts = 1, outcome.attempts
        group.examples = [
            (outcome.key[:_VALUE_LIMIT], value if value is None else value[:_VALUE_LIMIT])
        ]
        self.merge(group)

    def merge(self, group: Group) -> None:
        """Count the items of a group."""
        known = self._groups.get(group.identity)
        if known is None and not group.is_rest and self._known[group.status] < self._kept:
            self._known[group.status] += 1
            self._groups[group.identity] = group
            return
        if known is None:
            rest = Group(group.status, "")
            known = self._groups.setdefault(rest.identity, rest)
        known.add(group)

    def groups(self, shown: int = KEPT) -> list[Group]:
        """Return the groups: failures first, the most frequent first, the rest of each kind last.

        At most ``shown`` reasons of an outcome are listed; items with further ones are the rest.
        """
        return [group for status in _ORDER for group in self._of(status, shown)]

    def _of(self, status: Status, shown: int) -> list[Group]:
        of_status = [group for group in self._groups.values() if group.status is status]
        named = [group for group in of_status if not group.is_rest]
        named.sort(
            key=lambda group: (-group.count, group.column or "", group.rule or "", group.reason)
        )
        rest = Group(status, "")
        for group in (*named[shown:], *(group for group in of_status if group.is_rest)):
            rest.add(group)
        return [*named[:shown], *([rest] if rest.count else [])]


def merge_groups(found: Iterable[dict[str, Any]], shown: int = KEPT) -> list[Group]:
    """Return the groups of several batches, written by :meth:`Group.as_json`, as one list."""
    groups = FailureGroups()
    for data in found:
        groups.merge(Group.from_json(data))
    return groups.groups(shown)


def write_groups(failures: Path, items: Sequence[Group], rows: Sequence[Group]) -> None:
    """Write the groups of a run: of its items that are not ``ok``, and of its rejected rows."""
    found = {"items": items, "rows": rows}
    write_json(failures, {name: [group.as_json() for group in found[name]] for name in found})


def read_groups(
    failures: Path, shown: int = KEPT, *, of: Literal["items", "rows"] = "items"
) -> list[Group]:
    """Return the groups of a run, written by ``consolidate``.

    At most ``shown`` reasons of an outcome are listed; items with further ones are the rest.

    Raises:
        Inconsistent: The file is missing or damaged.
    """
    return read_as(failures, lambda found: merge_groups(found[of], shown))
