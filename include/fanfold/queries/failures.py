"""Items that are not ``ok`` and rejected rows: by reason, and one by one.

``of`` selects ``"items"`` (``failed.jsonl``: failed and invalid ones), ``"missing"`` items
(``missing.jsonl``) or ``"rows"`` (``rejected.jsonl``).
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

from fanfold.errors import BadInput, Inconsistent
from fanfold.model import Outcome, Rejected, Status
from fanfold.workspace.failure_groups import Group, merge_groups, read_groups
from fanfold.workspace.paths import FAILED, MISSING, REJECTED
from fanfold.workspace.progress import all_closed, all_progress

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from fanfold.workspace.paths import Workspace

Of = Literal["items", "missing", "rows"]
FILES: dict[Of, str] = {"items": FAILED, "missing": MISSING, "rows": REJECTED}


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a file: outcomes, or rejected rows.

    ``following`` is the offset of the next page in bytes, None at the end.
    """

    lines: tuple[Any, ...]
    following: int | None


def groups_of(workspace: Workspace, of: Literal["items", "rows"], *, final: bool) -> list[Group]:
    """Return all reasons of items, missing ones too, or of rows: failures first, the most frequent first.

    Before the dataset is consolidated (``final``), the files of the batches are read.
    """
    if final:
        return read_groups(workspace.failures, of=of)
    closed = all_closed(workspace).values()
    if of == "rows":
        return merge_groups(group for each in closed for group in each.rejected_reasons)
    fetched = (progress.reasons for progress in all_progress(workspace).values())
    found = chain.from_iterable(fetched)
    # The progress has the other outcomes, also of items that are fetched again now.
    invalid = (g for each in closed for g in each.reasons if g["status"] == Status.INVALID)
    return merge_groups(chain(found, invalid))


class GroupFilter:
    """Selects the items or rows of some groups.

    Requires a consolidated dataset; ``wanted`` are ids of groups.

    Attributes:
        files: Those that have the items or rows.

    Raises:
        BadInput: The run has no such group.
    """

    def __init__(
        self, workspace: Workspace, of: Literal["items", "rows"], wanted: Collection[str]
    ) -> None:
        known = groups_of(workspace, of, final=True)
        named = {group.id: group for group in known}
        for each in wanted:
            if each not in named:
                raise BadInput(f"There is no group {each!r} of failures in this run.")
        self._wanted = frozenset(wanted)
        missing = {named[each].status is Status.MISSING for each in wanted}
        self.files: list[Of] = ["missing" if each else of for each in sorted(missing)]
        # The items of the rest of an outcome have a group that is not listed.
        self._named = frozenset(named)
        self._rests = {group.status for group in known if group.is_rest and group.id in wanted}

    def matches(self, line: Outcome | Rejected) -> bool:
        """Whether an item or a row belongs to one of the groups."""
        own = Group.of(line) if isinstance(line, Outcome) else _group_of(line)
        if own.id in self._wanted:
            return True
        return own.status in self._rests and own.id not in self._named


def _group_of(row: Rejected) -> Group:
    return Group(Status.INVALID, "", row.column, row.rule)


def page_of(
    workspace: Workspace, of: Of, groups: GroupFilter | None, *, after: int, limit: int
) -> Page:
    """Return a page of the items or the rejected rows.

    ``after`` is an offset in bytes: 0, or ``following`` of the previous page.

    Raises:
        Inconsistent: The file is missing or damaged.
    """
    found: list[Any] = []
    for position, parsed, _ in _lines(workspace, of, after):
        if groups is None or groups.matches(parsed):
            if len(found) == limit:
                return Page(tuple(found), position)
            found.append(parsed)
    return Page(tuple(found), None)


def lines_of(workspace: Workspace, of: Of, groups: GroupFilter | None) -> Iterator[bytes]:
    """Yield the lines of the file, or those of some groups, unchanged."""
    for _, parsed, line in _lines(workspace, of, 0):
        if groups is None or groups.matches(parsed):
            yield line


def keys_of(workspace: Workspace, groups: GroupFilter) -> Iterator[str]:
    """Yield the keys of the items of some groups."""
    for of in groups.files:
        for _, outcome, _ in _lines(workspace, of, 0):
            if groups.matches(outcome):
                yield outcome.key


def _lines(workspace: Workspace, of: Of, after: int) -> Iterator[tuple[int, Any, bytes]]:
    """Yield the offset of each line, its outcome or rejected row, and the line."""
    path = workspace.dataset / FILES[of]
    try:
        with path.open("rb") as file:
            if after:
                # An offset within a line means the next line. It is limited to the file's size,
                # because a file system rejects offsets above its maximum.
                file.seek(min(after - 1, file.seek(0, os.SEEK_END)))
                file.readline()
            position = file.tell()
            for line in file:
                data = json.loads(line)
                parsed = Rejected(**data) if of == "rows" else Outcome.from_json(data)
                yield position, parsed, line
                position += len(line)
    except (FileNotFoundError, ValueError, TypeError, KeyError) as error:
        raise Inconsistent(
            f"{path} cannot be read ({error}); clear `consolidate` with its downstream tasks."
        ) from error
