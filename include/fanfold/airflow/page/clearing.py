"""Clear tasks of a run through Airflow's own API, with its rights and in its audit log.

Redrive and *Publish anyway* share it: a route has the dependencies of :func:`may_change`, calls :func:`lock`
before it reads the state of the run, and then :func:`clear`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.api_fastapi.common.dagbag import create_dag_bag
from airflow.api_fastapi.core_api.datamodels.task_instances import ClearTaskInstancesBody
from airflow.api_fastapi.core_api.routes.public.task_instances import post_clear_task_instances
from airflow.api_fastapi.logging.decorators import action_logging
from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError

from fanfold.airflow.page.access import MAY_EDIT, SAME_SITE, the_run
from fanfold.airflow.page.refusal import Refusal, validation_refusal
from fanfold.airflow.page.runs import is_active
from fanfold.model import utc_text
from fanfold.workspace.redrives import Redriven, remember_redrive

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
    from airflow.models.dagbag import DBDagBag
    from sqlalchemy.orm import Session

    from fanfold.airflow.page.access import Run
    from fanfold.workspace.redrives import Kind

B = TypeVar("B", bound=BaseModel)
Marker = str | tuple[str, int]
"""A task, or one of its mapped instances, in the form of Airflow's clearing API."""

# The event of a clearing in Airflow's audit log, which omits dry runs.
_EVENT = "post_clear_task_instances"
_JSON = "application/json"


@cache
def dag_bag() -> DBDagBag:
    """Return the stored DAGs."""
    return create_dag_bag()


def body_of(model: type[B]) -> Callable[[Request], Awaitable[B]]:
    """Return a dependency that validates the body; the permissions were checked before.

    FastAPI would read the body before it checks permissions, and Airflow's audit log would take DAG,
    run and task from an unchecked body or query.
    """

    async def wanted(request: Request) -> B:
        if request.query_params:
            raise Refusal(422, "senseless", "This call accepts a body and no query.")
        if request.headers.get("Content-Type", "").split(";")[0].strip().lower() != _JSON:
            raise Refusal(
                415, "senseless", f"The body must be JSON, with the Content-Type {_JSON}."
            )
        try:
            return model.model_validate(await request.json())
        except ValidationError as error:
            raise validation_refusal(error.errors()) from error
        except (ValueError, RecursionError) as error:
            raise Refusal(422, "senseless", "The body is not JSON.") from error

    return wanted


def may_change(wanted: Any, event: str = _EVENT) -> list[Any]:
    """Return the dependencies of a route that changes a run, in their order.

    Args:
        wanted: The dependency of the body.
        event: The event in Airflow's audit log.
    """
    # The audit log has no room for a long id that is that of no run.
    return [SAME_SITE, *MAY_EDIT, wanted, Depends(the_run), Depends(action_logging(event))]


def described(model: type[BaseModel]) -> dict[str, Any]:
    """Return the description of a body in the OpenAPI document."""
    content = {_JSON: {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}


def lock(run: Run, session: Session, *, dry_run: bool) -> None:
    """Check that a run is finished, and keep it so until the request ends, unless it is a ``dry_run``.

    Raises:
        Refusal: It is not finished.
    """
    if not dry_run:
        # A concurrent second clearing waits here and is rejected.
        session.refresh(run.dag_run, with_for_update=True)
    if is_active(run.dag_run):
        raise Refusal(409, "active", "This run is not finished: failed items may still be fetched.")


def clear(
    run: Run, tasks: Collection[Marker], session: Session, user: BaseUser, *, dry_run: bool
) -> int:
    """Clear tasks of a run and their downstream tasks; return the number of instances.

    The clearing is committed after the route returns: an error in it rolls the clearing back.
    ``dry_run`` only counts.
    """
    cleared = post_clear_task_instances(
        run.dag_run.dag_id,
        dag_bag(),
        ClearTaskInstancesBody(
            dry_run=dry_run,
            dag_run_id=run.dag_run.run_id,
            task_ids=sorted(tasks, key=str),
            include_downstream=True,
            only_failed=False,
            prevent_running_task=True,
        ),
        session,
        user,
    )
    return len(list(cleared.task_instances))


def record(run: Run, user: BaseUser, kind: Kind, *, items: int = 0, requests: int = 0) -> None:
    """Add a clearing to the run's list of redrives, if the run owns its workspace already.

    Raises:
        WorkspaceUnavailable: The disk is full, read-only or not responding.
    """
    if run.begun:
        now = utc_text(datetime.now(UTC))
        remember_redrive(run.workspace, Redriven(now, user.get_name(), items, requests, kind))
