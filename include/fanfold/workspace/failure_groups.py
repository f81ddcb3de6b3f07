"""The items that are not in the dataset, by reason, however many they are.

Memory does not grow with the number of items: so many reasons are kept, others count as the rest.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

from fanfold.errors import Inconsistent
from fanfold.model import Outcome, Status
from fanfold.workspace.files import read_jsonl

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SHOWN = 25
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
        reason: Why, with the item's own key left out of the sentence; empty for the rest.
        column: For ``invalid``: the column.
        rule: For ``invalid``: the rule that it breaks.
        count: How many items.
        attempts: Requests made for all of them.
        examples: The first keys, each with the value found, where there is one.
    """

    status: Status
    reason: str
    column: str | None = None
    rule: str | None = None
    count: int = 0
    attempts: int = 0
    examples: list[tuple[str, str | None]] = field(default_factory=list)

    @property
    def id(self) -> str:
        """A name for the group that is the same in every process."""
        identity = repr((str(self.status), self.reason, self.column, self.rule))
        return hashlib.blake2b(
            identity.encode("utf-8", "backslashreplace"), digest_size=8
        ).hexdigest()

    @property
    def is_rest(self) -> bool:
        """Whether it stands for all reasons that are not kept."""
        return not self.reason and self.column is None

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
        # "there is no user 17" is one reason for many items; a key within a word stays.
        reason = outcome.reason[: 4 * _REASON_LIMIT]
        if outcome.key and outcome.key in reason:
            reason = _without(outcome.key, reason)
        return cls(outcome.status, reason[:_REASON_LIMIT] or "–")

    def add(self, other: Group) -> None:
        """Count the items of another group as this one's."""
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


def _without(key: str, reason: str) -> str:
    """Return a reason with ``…`` for the key, where it is a word of its own.

    A regular expression would have to be compiled for each item, which takes forty times as long.
    """
    parts: list[str] = []
    done = start = 0
    while (at := reason.find(key, start)) >= 0:
        end = at + len(key)
        if (at and _in_word(reason[at - 1])) or (end < len(reason) and _in_word(reason[end])):
            start = at + 1
        else:
            parts += (reason[done:at], "…")
            done = start = end
    return "".join((*parts, reason[done:]))


def _in_word(character: str) -> bool:
    return character.isalnum() or character == "_"


class Reasons:
    """Counts items by reason.

    Args:
        kept: Reasons of an outcome that are kept; items with others are counted as the rest.
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
        identity = (group.status, group.reason, group.column, group.rule)
        if identity not in self._groups:
            if not group.is_rest and self._known[group.status] >= self._kept:
                identity = (group.status, "", None, None)
            else:
                self._known[group.status] += not group.is_rest
            if identity not in self._groups:
                self._groups[identity] = Group(group.status, *identity[1:])
        self._groups[identity].add(group)

    def groups(self, shown: int = KEPT) -> list[Group]:
        """Return the groups: failures first, the most frequent first, the rest of each kind last.

        Args:
            shown: How many of an outcome are named; the others are counted as the rest.
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


def group_failures(failed: Path, *, shown: int = SHOWN, kept: int = KEPT) -> list[Group]:
    """Return the groups of a ``failed.jsonl``, in one pass.

    Args:
        failed: The file.
        shown: How many of an outcome are named; the others are counted as the rest.
        kept: How many are told apart on the way.

    Raises:
        Inconsistent: The file is missing, or a line of it is no outcome.
    """
    reasons = Reasons(kept)
    try:
        for data in read_jsonl(failed):
            reasons.add(Outcome.from_json(data))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise Inconsistent(
            f"{failed} cannot be read as a list of outcomes ({error}); clear `consolidate` with "
            "its downstream tasks."
        ) from error
    return reasons.groups(shown)


def merged(groups: Iterable[dict[str, Any]]) -> list[Group]:
    """Return groups from several places, written by :meth:`Group.as_json`, as one list."""
    reasons = Reasons()
    for data in groups:
        reasons.merge(Group.from_json(data))
    return reasons.groups()
