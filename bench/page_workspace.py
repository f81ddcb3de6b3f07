"""Makes the workspace of a long list, by the project's own stages; only nobody is asked for anything.

What the source would answer is made up: profiles of the simulator, 1 % that do not exist, 0.5 % that
fail for five reasons, 0.3 % that break three rules of the contract.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fanfold import readers, sources
from fanfold.model import Manifest, Outcome, Plan, RunIdentity, Status, utc_text
from fanfold.simulator import people
from fanfold.stages import comparing, consolidating, planning
from fanfold.stages.fetching.meter import Meter
from fanfold.stages.processing import process_batch
from fanfold.stages.processing.contract import SCHEMA
from fanfold.workspace.files import read_json, read_jsonl
from fanfold.workspace.history import remember
from fanfold.workspace.paths import PARQUET, Workspace
from fanfold.workspace.progress import all_progress, write_progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from fanfold.workspace.batch import Done

DAG = "weibo_user_profiles"
SOURCE = "weibo"
FIRST_UID = 2_000_000_000
BATCH = 2_500
PART = 500
PROCESSES = 2

_FAILURES = (
    "{key}: Weibo is busy (HTTP 503), five times",
    "{key}: no answer within 30 s, five times",
    "{key}: the answer is not JSON: <html>",
    "{key}: Weibo is busy (error 10001: system error), five times",
)
_SELDOM = "{key}: the request is wrong (error 10017: a parameter's value is invalid)"
"""Only in batches of an even number: a redrive of these users does not clear all batches."""
_BROKEN: tuple[tuple[str, Any], ...] = (
    ("followers_count", -1),
    ("created_at", "Mon Jan 01 00:00:00 +0000 2001"),
    ("screen_name", ""),
)


def key_at(position: int) -> str:
    """Return the item at a place of the plan."""
    return str(FIRST_UID + position)


def status_at(position: int) -> Status:
    """Return what becomes of the item at a place of the plan."""
    draw = _draw(position) % 1000
    if draw < 10:
        return Status.MISSING
    if draw < 15:
        return Status.FAILED
    return Status.INVALID if draw < 18 else Status.OK


def _draw(position: int) -> int:
    return (position + 1) * 2_654_435_761 % 2**32 >> 8  # Knuth's multiplicative hash


def _done(position: int, at: str) -> Done:
    """Return the outcome that a fetch has for an item, and its record."""
    key, status, draw = key_at(position), status_at(position), _draw(position) // 1000
    if status is Status.MISSING:
        return Outcome(key, status, "Weibo has no such user (error 20003)", 1, at), None
    if status is Status.FAILED:
        seldom = position // BATCH % 2 == 0 and draw % 5 == 0
        reason = _SELDOM if seldom else _FAILURES[draw % len(_FAILURES)]
        return Outcome(key, status, reason.format(key=key), 5, at), None
    record = people.profile(key)
    if status is Status.INVALID:
        name, value = _BROKEN[draw % len(_BROKEN)]
        record[name] = value
    return Outcome(key, Status.OK, "", 1, at), record


@dataclass(frozen=True, slots=True)
class Made:
    """What was made.

    Attributes:
        workspace: Where it lies.
        plan: Its plan.
        manifest: Its manifest.
        seconds: What each step took; fetch and process are those of all processes together.
    """

    workspace: Workspace
    plan: Plan
    manifest: Manifest
    seconds: dict[str, float]


def make(shared: Path, run_id: str, date: datetime, items: int) -> Made:
    """Make the workspace of a run that is finished.

    Args:
        shared: The shared directory.
        run_id: The run.
        date: The date that it stands for (UTC).
        items: How many.
    """
    workspace = Workspace.of_run(shared, DAG, run_id)
    source = sources.get(SOURCE)
    clock = _Clock()
    located = readers.from_list(map(key_at, range(items)))
    readers.write_items(workspace, located, source.check_item)
    clock.note("read_items")
    plan = planning.write_plan(
        workspace,
        source=SOURCE,
        wanted_size=BATCH,
        logical_date=utc_text(date),
        started_at=utc_text(datetime.now(UTC)),
    )
    clock.note("plan")
    jobs = [(workspace, batch, date) for batch in range(plan.batches)]
    # Not forked: this process has threads.
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        for fetched, processed in pool.map(_make_batch, jobs, chunksize=4):
            clock.add("fetch", fetched)
            clock.add("process", processed)
    clock.note("batches")
    identity = RunIdentity(DAG, run_id, date)
    manifest = consolidating.consolidate(workspace, identity, SCHEMA)
    remember(workspace.history, manifest, passed=True)
    clock.note("consolidate")
    _compare(workspace, run_id)
    clock.note("compare")
    return Made(workspace, plan, manifest, clock.seconds)


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def note(self, step: str) -> None:
        """Note that a step ended now, and the next begins."""
        now = time.perf_counter()
        self.add(step, now - self._last)
        self._last = now

    def add(self, step: str, seconds: float) -> None:
        """Add to what a step took."""
        self.seconds[step] = self.seconds.get(step, 0.0) + seconds


def _make_batch(job: tuple[Workspace, int, datetime]) -> tuple[float, float]:
    """Fetch and process one batch; return the seconds of both."""
    workspace, batch, date = job
    start = time.perf_counter()
    keys = list(read_jsonl(workspace.batch(batch).items_file))
    first = batch * BATCH
    meter = Meter(workspace.batch(batch), len(keys), {}, keys)
    for sequence, begin in enumerate(range(0, len(keys), PART), start=1):
        at = utc_text(datetime.now(UTC))
        places = range(first + begin, first + min(begin + PART, len(keys)))
        part = [_done(place, at) for place in places]
        workspace.batch(batch).write_part(sequence, part)
        meter.add([outcome for outcome, _ in part])
        meter.write()
    fetched = time.perf_counter()
    process_batch(workspace.batch(batch), sources.get(SOURCE), as_of=pd.Timestamp(date))
    return fetched - start, time.perf_counter() - fetched


def _compare(workspace: Workspace, run_id: str) -> None:
    """Compare with a dataset in which some are missing, some are others, some have other followers."""
    dataset = workspace.dataset / PARQUET
    earlier = f"{run_id}_before"
    before = workspace.sibling(earlier).dataset / PARQUET
    before.parent.mkdir(parents=True)
    with pq.ParquetFile(dataset) as file, pq.ParquetWriter(before, SCHEMA) as writer:
        for group in range(file.num_row_groups):
            writer.write_table(_earlier(file.read_row_group(group)))
    found = comparing.compare(dataset, before, previous=earlier, previous_date="")
    comparing.write_comparison(workspace.comparison, found)


def _earlier(rows: pa.Table) -> pa.Table:
    cut = rows.num_rows // 100
    kept, gone = rows.slice(cut), rows.slice(0, cut)
    followers = pc.divide(pc.multiply(kept["followers_count"], 9), 10)
    names = pc.binary_join_element_wise("9", gone["user_id"], "")
    kept = kept.set_column(kept.column_names.index("followers_count"), "followers_count", followers)
    gone = gone.set_column(gone.column_names.index("user_id"), "user_id", names)
    return pa.concat_tables([kept.cast(SCHEMA), gone.cast(SCHEMA)])


def set_going(workspace: Workspace, batches: int) -> None:
    """Write progress as of now for some batches, as if they were fetched at this moment."""
    now = time.time()
    for number, progress in sorted(all_progress(workspace).items())[-batches:]:
        recent = tuple((now - 2.0 * ago, PART) for ago in range(8, 0, -1))
        found = replace(progress, ok=progress.ok - PART, at=now, recent=recent)
        write_progress(workspace.batch(number), replace(found, batch=number))


def past_runs(made: Made, runs: int) -> Iterator[str]:
    """Let the DAG remember earlier runs; yield their ids, the latest first."""
    for ago in range(1, runs + 1):
        run_id = f"scheduled__past_{ago:02d}"
        remember(made.workspace.history, replace(made.manifest, run_id=run_id), passed=True)
        yield run_id


def outcomes_files(workspace: Workspace, plan: Plan) -> list[Path]:
    """Return all files that a search without an index has to look through, in the plan's order."""
    return [path for batch in range(plan.batches) for _, _, path in workspace.batch(batch).parts()]


def let_go(files: Iterable[Path]) -> None:
    """Drop files from the page cache: whoever reads them next waits for the disk."""
    for path in files:
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    found = path.rglob("*") if path.is_dir() else (path,)
    return sum(each.stat().st_size for each in found if each.is_file())


def seldom_group(workspace: Workspace) -> dict[str, Any]:
    """Return the group of failures that only half of the batches have."""
    groups: list[dict[str, Any]] = read_json(workspace.failures)
    return next(group for group in groups if "10017" in group["reason"])
