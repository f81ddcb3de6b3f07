"""Which old runs may go: rules over facts, without access to disk, bucket or Airflow."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


class RunState(StrEnum):
    """State of a DAG run in Airflow."""

    ACTIVE = "active"
    FINISHED = "finished"
    DELETED = "deleted"


class Verdict(StrEnum):
    """Whether a run goes, or why it stays."""

    REMOVE = "remove"
    LATEST = "latest.json points to it"
    ACTIVE = "queued or running"
    UNPUBLISHED = "not published"
    WORKSPACE = "has a workspace"
    RECENT = "recent"
    NUMBER = "one of the newest"


@dataclass(frozen=True, slots=True)
class Rules:
    """What is kept of a DAG, besides what is needed.

    Attributes:
        keep_days: Runs written in the last N days.
        keep_runs: The N runs that were written last, whatever their age.
        unpublished_keep_days: Runs with fetched data that was not published, if they were written in the
            last N days; None: all of them, until their DAG run is deleted in Airflow.
    """

    keep_days: float
    keep_runs: int
    unpublished_keep_days: float | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules need to know of a run, be it a workspace or a published run.

    Attributes:
        name: Name of its folder.
        written_at: When it was last written.
        state: Its state in Airflow.
        latest: Whether ``latest.json`` points to it.
        unpublished: Whether it has fetched data that was not published.
        workspace: For a published run: whether its workspace stays, so that it may be published again.
        counted: Whether it is one of the runs of ``keep_runs``.
    """

    name: str
    written_at: datetime
    state: RunState
    latest: bool = False
    unpublished: bool = False
    workspace: bool = False
    counted: bool = True


def decide(runs: Sequence[Facts], rules: Rules, now: datetime) -> dict[str, Verdict]:
    """Return the verdict on each run of a DAG, by its name."""
    newest = sorted(
        (run for run in runs if run.counted), key=lambda run: (run.written_at, run.name)
    )
    kept = {run.name for run in newest[-rules.keep_runs :]} if rules.keep_runs else set()
    return {run.name: _verdict(run, rules, now, counts=run.name in kept) for run in runs}


def _verdict(run: Facts, rules: Rules, now: datetime, *, counts: bool) -> Verdict:
    age = now - run.written_at
    if run.latest:
        return Verdict.LATEST
    if run.state is RunState.ACTIVE:
        return Verdict.ACTIVE
    if run.workspace:
        return Verdict.WORKSPACE
    if run.unpublished and run.state is not RunState.DELETED:
        days = rules.unpublished_keep_days
        if days is None or age < timedelta(days=days):
            return Verdict.UNPUBLISHED
    if age < timedelta(days=rules.keep_days):
        return Verdict.RECENT
    return Verdict.NUMBER if counts else Verdict.REMOVE
