"""The head of a run's page, polled every two seconds while the run is active."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.api_fastapi.common.db.common import SessionDep
from fastapi import APIRouter

from fanfold.airflow.graph import FETCH
from fanfold.airflow.page import limits, schemas
from fanfold.airflow.page.access import MAY_SEE, MayEditDep, RunDep
from fanfold.airflow.page.failure import failure_of
from fanfold.airflow.page.language import Translator, TranslatorDep
from fanfold.airflow.page.refusal import refusals
from fanfold.airflow.page.runs import (
    BROKEN,
    date_of,
    is_active,
    moment,
    scheduler_is_alive,
    tasks_of,
)
from fanfold.airflow.page.schemas import Verdict
from fanfold.airflow.page.verdict import ACTIVE, RunResult, result_of
from fanfold.errors import Inconsistent
from fanfold.messages import LANGUAGES, Message
from fanfold.queries.item_counts import (
    BatchCounts,
    ItemCounts,
    counts_by_batch,
    total,
    total_rows,
)
from fanfold.queries.redrive import unprocessed
from fanfold.stages.planning.forecast import FetchState, time_left
from fanfold.workspace.files import read_as
from fanfold.workspace.history import read_history
from fanfold.workspace.progress import items_per_second
from fanfold.workspace.redrives import read_redrives
from fanfold.workspace.stop import read_stop

if TYPE_CHECKING:
    from collections.abc import Collection

    from airflow.models.dagrun import DagRun

    from fanfold.airflow.page.access import Run
    from fanfold.airflow.page.runs import Task
    from fanfold.model import Plan, Seconds
    from fanfold.workspace.paths import Workspace
    from fanfold.workspace.progress import Progress

_COLUMNS_SHOWN = 20
_FETCHED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})

router = APIRouter(dependencies=MAY_SEE, tags=["run"])


@router.get(
    "/dags/{dag_id}/runs/{run_id}",
    responses=refusals(404, 500, 503),
    operation_id="get_run",
)
def get_run(
    run: RunDep, session: SessionDep, editable: MayEditDep, translator: TranslatorDep
) -> schemas.RunSummary:
    """Return the numbers of a run: live while it is active, the manifest's afterwards."""
    tasks = tasks_of(session, run.dag_run)
    workspace = run.workspace
    result = result_of(run.dag_run, tasks, workspace)
    plan = run.plan()
    batches = counts_by_batch(workspace, plan) if plan and not result.manifest else []
    stopped = _stopped(run.dag_run, workspace, translator)
    numbers = _Numbers(run, plan, result, tasks, batches, stopped=bool(stopped))
    return schemas.RunSummary(
        dag_id=run.dag_run.dag_id,
        run_id=run.dag_run.run_id,
        verdict=result.verdict,
        state=str(run.dag_run.state),
        status=result.manifest.status if result.manifest else None,
        final=result.manifest is not None,
        logical_date=moment(date_of(run.dag_run)),
        started_at=moment(run.dag_run.start_date),
        ended_at=moment(run.dag_run.end_date),
        noun=plan.noun[LANGUAGES.index(translator.language)] if plan else None,
        places=numbers.places(),
        tally=numbers.counts if plan else None,
        rows=numbers.rows if plan else None,
        rejected=numbers.rejected if plan else None,
        bytes=(plan.bytes or None) if plan else None,
        batches=plan.batches if plan else None,
        merge=numbers.merge(),
        **_dropped(result),
        rate=numbers.rate(),
        requests=numbers.requests(),
        gb_seconds=numbers.gb_seconds(),
        timing=numbers.timing(),
        wait=numbers.wait(translator),
        stopped=stopped,
        latest=_latest(workspace),
        items_from=translator.reason(plan.items_from) if plan and plan.items_from else None,
        **limits.summary_of(run, session, tasks, result, numbers.progress, editable=editable),
        warnings=_warnings(tasks, workspace, translator),
        tasks=[schemas.TaskState.model_validate(task) for task in tasks.values()],
        redrive=_redrivable(run, plan, result, numbers.counts, tasks, allowed=editable),
        redrives=list(map(schemas.Redriven.model_validate, read_redrives(workspace))),
        failure=failure_of(session, run.dag_run, translator),
        report=(workspace.report / "report.html").exists(),
        tables=run.tables(),
        key_column=plan.key_column if plan else None,
        scheduler=scheduler_is_alive(session),
    )


class _Numbers:
    """The numbers of a run at this moment.

    A consolidated run has no ``batches``: its manifest has the numbers.
    """

    def __init__(  # noqa: PLR0913 - what a summary consists of
        self,
        run: Run,
        plan: Plan | None,
        result: RunResult,
        tasks: dict[str, Task],
        batches: list[BatchCounts],
        *,
        stopped: bool,
    ) -> None:
        self._run = run
        self._tasks = tasks
        self._plan = plan
        self._manifest = result.manifest
        self._verdict = result.verdict
        self._stopped = stopped  # the batches that are left fail without a request
        self._batches = batches
        self._progress = {
            number: batch.progress for number, batch in enumerate(batches) if batch.progress
        }
        if result.manifest:
            self.counts = ItemCounts.of(result.manifest.counts)
            self.rows, self.rejected = result.manifest.rows, result.manifest.rejected
        else:
            self.counts = total(batches)
            self.rows, self.rejected = total_rows(batches)

    @property
    def progress(self) -> Collection[Progress]:
        """That of the batches that were started."""
        return self._progress.values()

    def merge(self) -> schemas.Merge | None:
        if self._plan is None or self._plan.mode != "merge":
            return None
        if self._manifest:
            return schemas.Merge.model_validate(self._manifest)
        return schemas.Merge(run_rows=self.rows, superseded=None, deleted=None, pending=None)

    def _elapsed(self) -> float | None:
        if self._plan is None:
            return None
        if self._manifest is not None:
            # After a redrive the manifest's times include the pause before it; the history does not.
            history = read_history(self._run.workspace.history)
            first = [past.seconds for past in history if past.run_id == self._manifest.run_id]
            start, end = self._manifest.moments
            return first[0] if first else (end - start).total_seconds()
        started = datetime.fromisoformat(self._plan.started_at)
        if self._run.dag_run.start_date is not None:
            started = max(started, self._run.dag_run.start_date)
        end = self._run.dag_run.end_date or datetime.now(UTC)
        return max(0.0, (end - started).total_seconds())

    def _is_redrive(self) -> bool:
        # Clearing a finished run restarts it; its plan is older than its start then.
        start = self._run.dag_run.start_date
        return bool(
            self._plan
            and start
            and not self._manifest
            and start > datetime.fromisoformat(self._plan.started_at)
        )

    def rate(self) -> schemas.Rate:
        now = None
        if is_active(self._run.dag_run):
            now = items_per_second(self._progress, time.time())
        elapsed = self._elapsed()
        done = self.counts.planned - self.counts.waiting
        # In a redrive, items of earlier starts would count as fetched since this start.
        average = done / elapsed if elapsed and done and not self._is_redrive() else None
        return schemas.Rate(now=now, average=average)

    def requests(self) -> schemas.Requests | None:
        if self._plan is None:
            return None
        quotas = self._plan.quotas
        quota = None
        if quotas.limit is not None and quotas.reset_at is not None:
            quota = schemas.SourceQuota(
                limit=quotas.limit, remaining=quotas.remaining or 0, reset_at=quotas.reset_at
            )
        return schemas.Requests(
            used=self._manifest.requests if self._manifest else self._used(),
            expected=self._plan.forecast.requests,
            per_second=quotas.per_second,
            per_hour=quotas.per_hour,
            quota=quota,
        )

    def places(self) -> list[str]:
        """Return where the items come from; before the first request, where it will go."""
        if self._manifest:
            return list(self._manifest.places)
        found = {place for each in self._progress.values() for place in each.places}
        return sorted(found) or list(self._plan.places if self._plan else ())

    def gb_seconds(self) -> float | None:
        if self._manifest:
            return self._manifest.gb_seconds or None
        return sum(progress.gb_seconds for progress in self._progress.values()) or None

    def timing(self) -> schemas.Timing:
        elapsed, left, expected = self._elapsed(), None, None
        if self._plan and (self._verdict in ACTIVE or self._verdict is Verdict.PLANNED):
            expected = self._plan.forecast.seconds
        if self._plan and not self._manifest and self._verdict in ACTIVE and not self._stopped:
            left = self._left(self._plan, elapsed or 0.0)
        return schemas.Timing(
            left=schemas.Seconds.of(left[0]) if left else None,
            basis=left[1] if left else None,
            expected=schemas.Seconds.of(expected) if expected else None,
        )

    def _left(self, plan: Plan, elapsed: float) -> tuple[Seconds, str] | None:
        now = datetime.now(UTC)
        rate = self.rate()
        latest = max((each.at for each in self._progress.values()), default=0.0)
        fetching = FETCH not in self._tasks or not _FETCHED.issuperset(self._tasks[FETCH].states)
        state = FetchState(
            waiting=self.counts.waiting if fetching else 0,
            failed=self.counts.failed if fetching else 0,
            requests=self._used(),
            speeds=tuple(each for each in (rate.now, rate.average) if each),
            pause=self._pause(),
            elapsed=elapsed,
            idle=min(elapsed, max(0.0, now.timestamp() - latest)),
        )
        return time_left(plan, read_history(self._run.workspace.history), state, now)

    def _used(self) -> int:
        return sum(batch.requests for batch in self._batches)

    def _pause(self) -> float:
        waiting = self._waiting()
        if not waiting:
            return 0.0
        until = datetime.fromisoformat(waiting[0].waits_until or "")
        return max(0.0, (until - datetime.now(UTC)).total_seconds())

    def _waiting(self) -> list[Progress]:
        """Return the progress of the batches that wait, the one that resumes first at the front."""
        if not is_active(self._run.dag_run):
            return []
        waiting = [each for each in self._progress.values() if each.waits_until]
        return sorted(waiting, key=lambda each: each.waits_until or "")

    def wait(self, translator: Translator) -> schemas.Wait | None:
        waiting = self._waiting()
        if not waiting:
            return None
        first = waiting[0]
        return schemas.Wait(
            batches=len(waiting),
            until=first.waits_until or "",
            reason=translator.reason(first.waits_for) if first.waits_for else "",
        )


def _dropped(result: RunResult) -> dict[str, Any]:
    manifest = result.manifest
    shown = manifest.most_dropped(_COLUMNS_SHOWN) if manifest else []
    return {
        "dropped_columns": [schemas.DroppedColumn(name=name, files=n) for name, n in shown],
        "more_dropped": len(manifest.dropped_columns) - len(shown) if manifest else 0,
    }


def _stopped(dag_run: DagRun, workspace: Workspace, translator: Translator) -> str | None:
    """Return why the fetch was stopped, if it was since the run's last start."""
    try:
        written = datetime.fromtimestamp(workspace.stop.stat().st_mtime, UTC)
        reason = read_stop(workspace.stop)
    except (FileNotFoundError, Inconsistent):
        return None
    if (
        reason is None
        or str(dag_run.state) == "success"
        or (dag_run.start_date and written < dag_run.start_date)
    ):
        return None
    return translator.reason(reason)


def _warnings(tasks: dict[str, Task], workspace: Workspace, translator: Translator) -> list[str]:
    """Return the warnings of the last tries of these tasks; none of a task that is running or failed."""
    found: list[Message] = []
    for task_id, path in {
        "consolidate": workspace.consolidated,
        "publish": workspace.published,
        "load": workspace.load,
    }.items():
        if task_id in tasks and tasks[task_id].state in {"success", "skipped"}:
            # Skipped before it wrote any, or another version's.
            with suppress(Inconsistent):
                found += read_as(path, lambda file: [Message(**each) for each in file["warnings"]])
    return [translator.reason(each) for each in found]


def _latest(workspace: Workspace) -> bool | None:
    with suppress(FileNotFoundError, Inconsistent):
        moved: bool | None = read_as(workspace.published, lambda file: file.get("latest"))
        return moved
    return None


def _redrivable(  # noqa: PLR0913 - what decides about it
    run: Run,
    plan: Plan | None,
    result: RunResult,
    found: ItemCounts,
    tasks: dict[str, Task],
    *,
    allowed: bool,
) -> schemas.Redrivable:
    items = found.to_fetch if plan else 0
    broken = any(task.has(*BROKEN) for task in tasks.values())
    why_not = None
    if result.verdict in ACTIVE:
        why_not = "approval" if result.verdict is Verdict.APPROVAL else "active"
    elif result.verdict is Verdict.PLANNED:
        why_not, items = "nothing", 0
    elif not items and not broken and not (plan and unprocessed(run.workspace, plan)):
        why_not = "nothing" if plan else "no_plan"
    return schemas.Redrivable(
        allowed=allowed, possible=why_not is None, why_not=why_not, items=items
    )
