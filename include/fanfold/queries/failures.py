"""Items that are not in the dataset: by reason, and one by one."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from fanfold.errors import BadInput, Inconsistent
from fanfold.model import Outcome
from fanfold.workspace.failure_groups import Group, merge_groups, read_groups
from fanfold.workspace.progress import all_cleaned, all_progress

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from fanfold.workspace.paths import Workspace


@dataclass(frozen=True, slots=True)
class OutcomePage:
    """One page of ``failed.jsonl``.

    ``following`` is the offset of the next page in bytes, None at the end.
    """

    outcomes: tuple[Outcome, ...]
    following: int | None


def groups_of(workspace: Workspace, *, final: bool) -> list[Group]:
    """Return all reasons, failures first, the most frequent first.

    Before the dataset is consolidated (``final``), the files of the batches are read.
    """
    if final:
        return read_groups(workspace.failures)
    fetched = (progress.reasons for progress in all_progress(workspace).values())
    cleaned = (each.reasons for each in all_cleaned(workspace).values())
    return merge_groups(group for reasons in chain(fetched, cleaned) for group in reasons)


class GroupFilter:
    """Selects the items of some groups of failures.

    Requires a consolidated dataset; ``wanted`` are ids of groups.

    Raises:
        BadInput: The run has no such group.
    """

    def __init__(self, workspace: Workspace, wanted: Collection[str]) -> None:
        known = groups_of(workspace, final=True)
        named = {group.id: group for group in known}
        for each in wanted:
            if each not in named:
                raise BadInput(f"There is no group {each!r} of failures in this run.")
        self._wanted = frozenset(wanted)
        # The items of the rest of an outcome have a group that is not listed.
        self._named = frozenset(named)
        self._rests = {group.status for group in known if group.is_rest and group.id in wanted}

    def matches(self, outcome: Outcome) -> bool:
        """Whether an item belongs to one of the groups."""
        own = Group.of(outcome)
        if own.id in self._wanted:
            return True
        return outcome.status in self._rests and own.id not in self._named


def page_of(failed: Path, groups: GroupFilter | None, *, after: int, limit: int) -> OutcomePage:
    """Return a page of ``failed.jsonl``.

    ``after`` is an offset in bytes: 0, or ``following`` of the previous page.

    Raises:
        Inconsistent: The file is missing or damaged.
    """
    found: list[Outcome] = []
    for position, outcome, _ in _lines(failed, after):
        if groups is None or groups.matches(outcome):
            if len(found) == limit:
                return OutcomePage(tuple(found), position)
            found.append(outcome)
    return OutcomePage(tuple(found), None)


def lines_of(failed: Path, groups: GroupFilter | None) -> Iterator[bytes]:
    """Yield the lines of ``failed.jsonl``, or those of some groups, unchanged."""
    for _, outcome, line in _lines(failed, 0):
        if groups is None or groups.matches(outcome):
            yield line


def keys_of(failed: Path, groups: GroupFilter) -> Iterator[str]:
    """Yield the keys of the items of some groups."""
    for _, outcome, _ in _lines(failed, 0):
        if groups.matches(outcome):
            yield outcome.key


def _lines(failed: Path, after: int) -> Iterator[tuple[int, Outcome, bytes]]:
    """Yield the offset of each line, its outcome, and the line."""
    try:
        with failed.open("rb") as file:
            if after:
                # An offset within a line means the next line. It is limited to the file's size,
                # because a file system rejects offsets above its maximum.
                file.seek(min(after - 1, file.seek(0, os.SEEK_END)))
                file.readline()
            position = file.tell()
            for line in file:
                yield position, Outcome.from_json(json.loads(line)), line
                position += len(line)
    except (FileNotFoundError, ValueError, TypeError, KeyError) as error:
        raise Inconsistent(
            f"{failed} cannot be read as a list of outcomes ({error}); clear `consolidate` with "
            "its downstream tasks."
        ) from error
