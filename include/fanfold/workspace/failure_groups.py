"""Items that are not in the dataset, grouped by reason.

Equal reasons of many items form one group, whatever they say about the item itself: its key and
parameters such as its size or a line in it do not count. If they differ, the group's text has "…" there.

Memory does not grow with the number of items: at most ``kept`` reasons of an outcome are kept, items
with further reasons are counted together.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import quote

from fanfold.messages import ENGINE, Message
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
OF_ITEM = frozenset(
    {"bytes", "columns", "file", "item", "line", "names", "page", "path", "segment", "size", "uri"}
    | {"value"}
)
"""Parameters of messages that tell about an item, and not about the cause."""
OF_TEXT = frozenset({"error", "what"})
"""Parameters with the text of an exception: quoted values and words with digits are of the item."""
_VALUES = re.compile(r"""'[^']*'|"[^"]*"|\S*\d\S*""")
_LEAST_KEY = 5
"""Characters of a key that is looked for in texts: a shorter one may be a status, too."""
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
        reason = self.reason
        if self.reason_id:
            cause = {
                name: _VALUES.sub("…", str(value)) if name in OF_TEXT else value
                for name, value in (self.reason_params or {}).items()
                if name not in OF_ITEM
            }
            reason = self.reason_id + json.dumps(cause, sort_keys=True, default=str)
        return str(self.status), reason, self.column, self.rule

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
        key, params = outcome.key, outcome.reason_params
        return cls(
            outcome.status,
            _without(key, outcome.reason)[:_REASON_LIMIT] or "–",
            reason_id=outcome.reason_id,
            reason_params=params and {name: _without(key, each) for name, each in params.items()},
        )

    def add(self, other: Group) -> None:
        """Add the items of another group."""
        self.count += other.count
        self.attempts += other.attempts
        if self.reason_params != other.reason_params and self.reason_id == other.reason_id:
            mine, others = self.reason_params or {}, other.reason_params or {}
            common = {name: _common(name, each, others.get(name)) for name, each in mine.items()}
            if common != mine:
                self.reason_params = common
                # A source's own messages are not in this catalogue: the text of the first one stays.
                self.reason = ENGINE.translate(self.message, "en")[:_REASON_LIMIT]
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


def _without(key: str, value: Any) -> Any:
    """Return a text with "…" for the key of its item, as it is or as in a URL."""
    if not isinstance(value, str) or len(key) < _LEAST_KEY:
        return value
    return value.replace(key, "…").replace(quote(key, safe="", errors="replace"), "…")


def _common(name: str, one: Any, other: Any) -> Any:
    """Return what two values of a parameter have in common; of paths, the equal segments."""
    if one == other:
        return one
    if name in OF_TEXT:
        return _VALUES.sub("…", str(one))
    pairs = itertools.zip_longest(str(one).split("/"), str(other).split("/"))
    return "/".join(mine if mine == others else "…" for mine, others in pairs)


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
