"""The items that are not in the dataset, by reason: one pass over ``failed.jsonl``."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fanfold.errors import Inconsistent
from fanfold.model import Outcome, Status
from fanfold.workspace import read_jsonl

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SHOWN = 25
EXAMPLES = 3
_GROUPS_KEPT = 500
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


def group_failures(failed: Path) -> list[Group]:
    """Return the groups, failures first, the most frequent first, ending in the rest of each kind.

    Memory does not grow with the file: so many reasons are kept, others count as the rest.

    Raises:
        Inconsistent: The file is missing, or a line of it is no outcome.
    """
    groups: dict[tuple[str | None, ...], Group] = {}
    kept: Counter[Status] = Counter()
    try:
        for data in read_jsonl(failed):
            outcome = Outcome.from_json(data)
            group = _group_of(outcome)
            identity = (group.status, group.reason, group.column, group.rule)
            if identity not in groups:
                if kept[outcome.status] >= _GROUPS_KEPT:
                    group = Group(outcome.status, "")
                    identity = (group.status, "", None, None)
                kept[outcome.status] += 1
            _add(groups.setdefault(identity, group), outcome)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise Inconsistent(
            f"{failed} cannot be read as a list of outcomes ({error}); clear `consolidate` with "
            "its downstream tasks."
        ) from error
    return [group for status in _ORDER for group in _shown(status, groups.values())]


def _group_of(outcome: Outcome) -> Group:
    if outcome.column is not None:
        return Group(outcome.status, "", outcome.column, outcome.rule or "")
    # "there is no user 17" is one reason for many items; a key within a word stays.
    reason = outcome.reason[: 4 * _REASON_LIMIT]
    if outcome.key and outcome.key in reason:
        reason = re.sub(rf"(?<!\w){re.escape(outcome.key)}(?!\w)", "…", reason)
    return Group(outcome.status, reason[:_REASON_LIMIT] or "–")


def _add(group: Group, outcome: Outcome) -> None:
    group.count += 1
    group.attempts += outcome.attempts
    if len(group.examples) < EXAMPLES:
        value = outcome.value
        group.examples.append(
            (outcome.key[:_VALUE_LIMIT], value if value is None else value[:_VALUE_LIMIT])
        )


def _shown(status: Status, groups: Iterable[Group]) -> list[Group]:
    """Return the most frequent groups of an outcome, and the others as one."""
    of_status = [group for group in groups if group.status is status]
    named = [group for group in of_status if group.reason or group.column is not None]
    named.sort(key=lambda group: (-group.count, group.column or "", group.rule or "", group.reason))
    rest = Group(status, "")
    for group in (*named[SHOWN:], *(group for group in of_status if group not in named)):
        rest.count += group.count
        rest.attempts += group.attempts
        rest.examples = [*rest.examples, *group.examples][:EXAMPLES]
    return [*named[:SHOWN], *([rest] if rest.count else [])]
