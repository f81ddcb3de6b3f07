"""The limits of a run: change them while it is active, or accept its failures after its end.

They are written to the workspace, where tasks read them (:mod:`fanfold.workspace.limits`). *Publish anyway* sets
the tolerance to the shares that the run has, and clears ``consolidate`` with its downstream tasks: if more
items have failed by then, the run fails again.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Depends

from fanfold.airflow.graph import APPROVAL, CONSOLIDATE
from fanfold.airflow.page import schemas
from fanfold.airflow.page.access import Run, RunDep
from fanfold.airflow.page.clearing import (
    body_of,
    clear,
    dag_bag,
    described,
    lock,
    may_change,
    record,
)
from fanfold.airflow.page.refusal import Refusal, refusals
from fanfold.airflow.page.runs import is_active, tasks_of
from fanfold.airflow.page.verdict import ACTIVE, result_of
from fanfold.workspace.limits import LIMITS, change_limits, changed_limits, with_changed_limits
from fanfold.workspace.progress import RECENT_S

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy.orm import Session

    from fanfold.airflow.page.runs import Task
    from fanfold.airflow.page.verdict import RunResult
    from fanfold.model import Manifest
    from fanfold.workspace.progress import Progress

router = APIRouter(tags=["limits"])
_CHANGES = Depends(body_of(schemas.LimitChanges))
_PUBLISH = Depends(body_of(schemas.PublishRequest))
_NULLABLE = "requests_per_second"


@router.patch(
    "/dags/{dag_id}/runs/{run_id}/limits",
    dependencies=may_change(_CHANGES, "fanfold_change_limits"),
    responses=refusals(404, 409, 415, 500, 503),
    openapi_extra=described(schemas.LimitChanges),
    operation_id="change_limits",
)
def change(
    run: RunDep,
    changes: Annotated[schemas.LimitChanges, _CHANGES],
    session: SessionDep,
    user: GetUserDep,
) -> schemas.Limits:
    """Change limits of an active run; its tasks adopt them within seconds."""
    workspace = run.workspace
    # Two changes at a time would lose one.
    session.refresh(run.dag_run, with_for_update=True)
    if not (is_active(run.dag_run) and run.begun):
        raise Refusal(409, "not_on", "Limits can be changed from `read_items` to the run's end.")
    given = changes.model_dump(exclude_unset=True).items()
    new = {name: value for name, value in given if value is not None or name == _NULLABLE}
    change_limits(workspace, new, user.get_name())
    return limits_of(run, session)


@router.post(
    "/dags/{dag_id}/runs/{run_id}/publish",
    dependencies=may_change(_PUBLISH),
    responses=refusals(404, 409, 415, 500, 503),
    openapi_extra=described(schemas.PublishRequest),
    operation_id="publish_anyway",
)
def publish(
    run: RunDep,
    wanted: Annotated[schemas.PublishRequest, _PUBLISH],
    session: SessionDep,
    user: GetUserDep,
) -> schemas.Published:
    """Accept the failures that a run has, and publish it."""
    lock(run, session, dry_run=wanted.dry_run)
    tasks = tasks_of(session, run.dag_run)
    result = result_of(run.dag_run, tasks, run.workspace)
    accepted = _exceeded(result, tasks, limits_of(run, session))
    if not accepted:
        raise Refusal(409, "not_exceeded", "The run did not fail because of its tolerance.")
    cleared = clear(run, [CONSOLIDATE], session, user, dry_run=wanted.dry_run)
    if not wanted.dry_run:
        change_limits(run.workspace, accepted, user.get_name())
        record(run, user, "publish")
    share = next(iter(accepted.values())) / 100
    return schemas.Published(dry_run=wanted.dry_run, tasks=cleared, share=share)


def limits_of(run: Run, session: Session) -> schemas.Limits:
    """Return the limits that apply to a run now."""
    dag = dag_bag().get_dag_for_run(run.dag_run, session)
    params = {**(dag.params.dump() if dag else {}), **(run.dag_run.conf or {})}
    changed = changed_limits(run.workspace) if run.begun else {}
    if run.begun:
        params = with_changed_limits(run.workspace, params)
    return schemas.Limits(
        **{name: params.get(name) for name in LIMITS},
        changed_by=changed.get("by"),
        changed_at=changed.get("at"),
    )


def _exceeded(
    result: RunResult, tasks: Mapping[str, Task], limits: schemas.Limits
) -> dict[str, float]:
    """Return the percentages that exceed the tolerance, by Param, if the run failed for them.

    Without an approval, `consolidate` fails; with one, `approval` does not succeed.
    """
    manifest = result.manifest
    if manifest is None or result.verdict in ACTIVE:  # it may have no tasks
        return {}
    if (tasks.get(APPROVAL) or tasks[CONSOLIDATE]).state == "success":
        return {}
    return {
        name: found
        for name, found in _percentages(manifest).items()
        if found > (getattr(limits, name) or 0)
    }


def _percentages(manifest: Manifest) -> dict[str, float]:
    return {
        "tolerated_failure_percentage": manifest.failure_percentage,
        "tolerated_rejected_percentage": manifest.rejected_percentage,
    }


def summary_of(  # noqa: PLR0913 - what a summary consists of
    run: Run,
    session: Session,
    tasks: Mapping[str, Task],
    result: RunResult,
    progress: Iterable[Progress],
    *,
    editable: bool,
) -> dict[str, Any]:
    """Return what the head of the page has about limits."""
    limits = limits_of(run, session)
    shares = (
        [share / 100 for share in _percentages(result.manifest).values()]
        if result.manifest
        else [None, None]
    )
    return {
        "limits": limits,
        "can_publish": editable and bool(_exceeded(result, tasks, limits)),
        "shares": schemas.Shares(failures=shares[0], rejected=shares[1]),
        "fetching": _fetching(progress) if is_active(run.dag_run) else None,
    }


def _fetching(progress: Iterable[Progress]) -> schemas.Fetching | None:
    now = time.time()
    # A killed fetch leaves its last progress.
    found = [
        each for each in progress if each.in_flight is not None and abs(now - each.at) < RECENT_S
    ]
    if not found:
        return None
    causes = Counter(each.slowed_by for each in found if each.slowed_by)
    return schemas.Fetching(
        in_flight=sum(each.in_flight or 0 for each in found),
        allowed=sum(each.allowed or 0 for each in found),
        slowed_by=causes.most_common(1)[0][0] if causes else None,
    )
