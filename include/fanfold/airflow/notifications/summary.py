"""The notice about a run, from its workspace: numbers, reasons, changes and links."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow.sdk import Connection
from airflow.sdk.configuration import conf

from fanfold import formats
from fanfold.airflow.connections import source_connection
from fanfold.airflow.links import run_path
from fanfold.airflow.notifications import Notice, State
from fanfold.errors import Inconsistent
from fanfold.loader import load_pipeline
from fanfold.messages import Message
from fanfold.model import Manifest, Plan
from fanfold.queries.item_counts import counts_by_batch, total, total_rows
from fanfold.workspace.failure_groups import merge_groups, read_groups
from fanfold.workspace.files import read_as, read_json
from fanfold.workspace.history import read_history, run_before

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from fanfold.model import Counts
    from fanfold.workspace.failure_groups import Group
    from fanfold.workspace.paths import Workspace

_REASONS = 3
_PICTURES = 5

Facts = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Numbers:
    """What is known of a run: its manifest, or what its batches have so far."""

    plan: Plan
    manifest: Manifest | None
    counts: Counts
    rows: int
    rejected: int
    groups: Sequence[Group]

    @classmethod
    def of(cls, workspace: Workspace, *, consolidated: bool) -> Numbers | None:
        """Return the numbers of a run, None before its plan.

        Args:
            workspace: That of the run.
            consolidated: Whether it was consolidated since its last start.
        """
        if not workspace.plan.exists():
            return None
        plan = read_as(workspace.plan, Plan.from_json)
        if consolidated and workspace.manifest.exists():
            manifest = read_as(workspace.manifest, Manifest.from_json)
            # Items whose rows were rejected are mostly among the invalid items.
            groups = read_groups(workspace.failures) or read_groups(workspace.failures, of="rows")
            return cls(plan, manifest, manifest.counts, manifest.rows, manifest.rejected, groups)
        batches = counts_by_batch(workspace, plan)
        found = merge_groups(
            each for batch in batches if batch.progress for each in batch.progress.reasons
        )
        return cls(plan, None, total(batches), *total_rows(batches), found)


def run_notice(  # noqa: PLR0913 - what is known of a run
    workspace: Workspace,
    dag_id: str,
    run_id: str,
    state: State,
    *,
    date: datetime | None = None,
    seconds: float | None = None,
    sentences: Sequence[str] = (),
    consolidated: bool = True,
    links: Facts = (),
) -> Notice:
    """Return the notice about a run.

    Args:
        workspace: Its workspace.
        dag_id: Its DAG.
        run_id: Its id.
        state: What the notice is about.
        date: Its logical date.
        seconds: Its duration.
        sentences: What the notice says first: why the run failed, what it waits for.
        consolidated: Whether it was consolidated since its last start.
        links: Further texts and URLs.
    """
    _know_secrets(workspace)
    facts, told, numbers = [("Run", run_id)], list(sentences), None
    try:
        numbers = Numbers.of(workspace, consolidated=consolidated)
        if numbers:
            told += _reasons(numbers.groups, " ".join(sentences))
            facts += _facts(numbers, workspace)
    except Inconsistent as error:  # perhaps why the run failed
        told.append(f"Its numbers are incomplete: {error}")
    if state in {State.COMPLETE, State.PARTIAL, State.EMPTY}:
        told += _warnings(workspace)
    if seconds is not None:
        facts.append(("Duration", formats.duration(seconds)))
    day = f" · {date:%Y-%m-%d %H:%M} UTC" if date else ""
    return Notice(
        state,
        f"{dag_id}: {state}{day}",
        tuple(told),
        tuple(facts),
        (*_links(workspace, dag_id, run_id, numbers, state), *links),
        tuple(sorted(workspace.report.glob("chart-*.png"))[:_PICTURES])
        if state in {State.COMPLETE, State.PARTIAL}
        else (),
    )


def _reasons(groups: Sequence[Group], told: str) -> Iterator[str]:
    """Yield the most frequent reasons that were not ``told``, each with its number of items or rows."""
    often = sorted(groups, key=lambda group: -group.count)
    for group in often[:_REASONS]:
        if group.title not in told:
            yield f"{group.count:,} × {group.status}: {group.title}"
    if rest := sum(group.count for group in often[_REASONS:]):
        yield f"{rest:,} × other reasons"


def _facts(numbers: Numbers, workspace: Workspace) -> Iterator[tuple[str, str]]:
    counts, manifest = numbers.counts, numbers.manifest
    lost = {name: getattr(counts, name) for name in ("failed", "invalid", "missing")}
    lost["waiting"] = getattr(counts, "waiting", 0)
    parts = [f"{counts.ok:,} of {counts.planned:,} ok"]
    yield (
        "Items",
        ", ".join(parts + [f"{number:,} {name}" for name, number in lost.items() if number]),
    )
    rejected = f", {numbers.rejected:,} rejected" if numbers.rejected else ""
    yield "Rows", f"{numbers.rows:,}{rejected}"
    if manifest is None:
        return
    if manifest.mode == "merge":
        parts = [f"{manifest.run_rows:,} of this run"]
        parts += [f"{manifest.superseded:,} superseded"] if manifest.superseded else []
        parts += [f"{manifest.deleted:,} deleted"] if manifest.deleted else []
        yield "Merged", ", ".join(parts)
    if manifest.pending:
        yield "Pending", f"{manifest.pending:,} failed or invalid in this or an earlier run"
    if before := run_before(
        read_history(workspace.history), manifest.run_id, manifest.logical_date
    ):
        rows, items = manifest.rows - before.rows, counts.planned - before.counts.planned
        yield (
            f"Since {before.logical_date[:10]}",
            f"{rows:+,} rows, {items:+,} items",
        )
    if manifest.requests:
        yield "Requests", f"{manifest.requests:,}"
    if manifest.gb_seconds:
        yield "Cost of functions", f"{manifest.gb_seconds:,.1f} GB-s"


def _warnings(workspace: Workspace) -> Iterator[str]:
    """Yield the warnings of the tasks of a run that succeeded."""
    for path in (workspace.consolidated, workspace.published, workspace.load):
        with suppress(Inconsistent):  # a task that was skipped has written none
            yield from read_as(
                path, lambda found: [Message(**each).text for each in found["warnings"]]
            )


def _links(
    workspace: Workspace, dag_id: str, run_id: str, numbers: Numbers | None, state: State
) -> Iterator[tuple[str, str]]:
    name, page = page_link(dag_id, run_id)
    yield name, page
    if state in {State.COMPLETE, State.PARTIAL} and (workspace.report / "report.html").exists():
        yield "Report", f"{page}#report"
    if state is State.FAILED or (numbers and numbers.counts.failed + numbers.counts.invalid):
        yield "Failures and Redrive", f"{page}#failures"


def _know_secrets(workspace: Workspace) -> None:
    """Load the connection of the run's source: Airflow masks the secrets of those that a process has read."""
    with suppress(Exception):  # there is none, or the run has no plan
        pipeline = load_pipeline(read_json(workspace.plan)["pipeline"]).pipeline
        Connection.get(source_connection(pipeline))


def page_link(dag_id: str, run_id: str) -> tuple[str, str]:
    """Return the link to the page of a run, under the address of Airflow's UI (``[api] base_url``)."""
    base = str(conf.get("api", "base_url", fallback="http://localhost:8080"))
    return "Run", f"{base.rstrip('/')}/{run_path(dag_id, run_id)}"
