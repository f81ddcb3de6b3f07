"""What the index of keys adds to planning a list."""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING

from measuring import Tree

from fanfold.stages.planning import write_plan
from fanfold.workspace.items import find_repeated, json_lines, unique_lines
from fanfold.workspace.key_index import index_writer
from fanfold.workspace.paths import Workspace

if TYPE_CHECKING:
    from pathlib import Path

_BLOCK = 10_000


def plan_index(items: int, folder: Path) -> dict[str, float]:
    """Return what planning a list in any order takes, and what of that is the index of keys.

    Args:
        items: Lines of the list; a few of them are the same.
        folder: An empty folder. The process that calls this is a new one, for its peak of memory.
    """
    workspace = Workspace(folder / "run")
    _write_list(workspace.listed, items)
    before = Tree([os.getpid()]).largest_mb()
    whole = _Span()
    plan = write_plan(
        workspace,
        source="weibo",
        wanted_size=None,
        logical_date="",
        started_at="",
    )
    whole.end()
    peak = Tree([os.getpid()]).largest_mb()
    repeated = find_repeated(workspace.listed)
    read = _Span()
    for _ in unique_lines(workspace.listed, repeated):
        pass
    read.end()
    indexed = _Span()
    with index_writer(folder / "again.db") as add:
        for lines in unique_lines(workspace.listed, repeated):
            add(lines)
    indexed.end()
    return {
        "items": plan.items,
        "plan_s": round(whole.seconds, 2),
        "plan_cpu_s": round(whole.cpu_s, 2),
        "index_s": round(indexed.seconds - read.seconds, 2),
        "index_cpu_s": round(indexed.cpu_s - read.cpu_s, 2),
        "grown_mb": round(peak - before, 1),
        "keys_db": workspace.keys.stat().st_size,
        "listed": workspace.listed.stat().st_size,
    }


def _write_list(path: Path, items: int) -> None:
    generator = random.Random(items)
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        for first in range(0, items, _BLOCK):
            block = range(first, min(items, first + _BLOCK))
            file.write(json_lines([str(generator.randrange(10**9, 10**10)) for _ in block]))


class _Span:
    """Wall and CPU seconds of this process, from its making to its end."""

    def __init__(self) -> None:
        self.seconds, self.cpu_s = -time.perf_counter(), -time.process_time()

    def end(self) -> None:
        """Stop both clocks."""
        self.seconds += time.perf_counter()
        self.cpu_s += time.process_time()
