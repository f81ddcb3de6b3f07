"""Permissions, and the run of a request.

Airflow's auth manager is asked for the permission first; then the run is looked up in Airflow's
database; only then is its workspace opened. Input of a client never becomes a path: the name of the
workspace is made of the ids in Airflow's database (:func:`fanfold.workspace.safe_name`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from airflow.models.dag import DagModel, DagTag
from airflow.models.dagrun import DagRun
from fastapi import Depends, Header, Request
from sqlalchemy import select

from fanfold.airflow import settings
from fanfold.airflow.graph import TAG
from fanfold.airflow.page.refusal import Refusal
from fanfold.airflow.page.runs import begun, is_active
from fanfold.errors import BadConfiguration
from fanfold.model import Plan
from fanfold.workspace.files import read_as
from fanfold.workspace.paths import Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from airflow.api_fastapi.auth.managers.base_auth_manager import ResourceMethod
    from airflow.api_fastapi.auth.managers.models.base_user import BaseUser


def _no_zero_byte(_: GetUserDep, request: Request) -> None:
    """Reject ids with a zero byte, which Postgres does not accept in a query."""
    values = (*request.path_params.values(), *request.query_params.getlist("dag_id"))
    if any("\0" in value for value in values):
        raise Refusal(404, "no_run", "No id has a zero byte.")


_NO_ZERO_BYTE = Depends(_no_zero_byte)
MAY_SEE = (_NO_ZERO_BYTE, Depends(requires_access_dag("GET", DagAccessEntity.RUN)))
MAY_SEE_SOME = (_NO_ZERO_BYTE, Depends(requires_access_dag("GET")))
MAY_EDIT = (
    _NO_ZERO_BYTE,
    Depends(requires_access_dag("PUT", DagAccessEntity.RUN)),
    Depends(requires_access_dag("PUT", DagAccessEntity.TASK_INSTANCE)),
)
"""The permissions that Airflow requires to clear tasks and to edit runs."""


def shared_directory() -> Path:
    """Return the shared directory.

    Raises:
        Refusal: It is not configured or does not exist.
    """
    try:
        shared = settings.shared_directory()
    except BadConfiguration as error:
        raise Refusal(503, "workspace_away", str(error)) from error
    if not shared.is_dir():
        raise Refusal(
            503,
            "workspace_away",
            f"The shared directory {shared} cannot be read from Airflow's api-server.",
        )
    return shared


def workspace_is_readable() -> bool:
    """Return whether the shared directory can be read."""
    try:
        shared_directory()
    except Refusal:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Run:
    """The run of a request.

    ``dag_run`` is the row in Airflow's database, in the session of the request; ``begun`` is whether it
    owns its workspace.
    """

    dag_run: DagRun
    begun: bool

    @property
    def workspace(self) -> Workspace:
        """Its workspace, which does not exist before it has begun.

        Raises:
            Refusal: The shared directory is unavailable.
        """
        run_id = self.dag_run.run_id if self.begun else ""
        return Workspace.of_run(shared_directory(), self.dag_run.dag_id, run_id)

    def plan(self) -> Plan | None:
        """Return its plan, or None if there is none yet."""
        path = self.workspace.plan
        return read_as(path, Plan.from_json) if path.exists() else None

    def planned(self) -> Plan:
        """Return its plan.

        Raises:
            Refusal: There is none.
        """
        plan = self.plan()
        if plan is None and is_active(self.dag_run):
            raise Refusal(404, "no_plan", "This run has no plan yet, so it has no items.")
        if plan is None:
            raise Refusal(
                404, "never_planned", "It ended before its plan, or its workspace was removed."
            )
        return plan

    def tables(self) -> list[str]:
        """Return the names of its dataset and folds that exist, in the order of the plan."""
        plan = self.plan()
        names = (plan.dataset, *plan.folds) if plan else ()
        return [name for name in names if name and self.workspace.table(name).exists()]


def the_run(dag_id: str, run_id: str, session: SessionDep) -> Run:
    """Return the run of a request; the permission to read it was checked before."""
    tagged = select(DagTag.name).where(DagTag.dag_id == dag_id, DagTag.name == TAG)
    if session.scalar(select(DagModel.dag_id).where(DagModel.dag_id == dag_id)) is None:
        raise Refusal(404, "no_run", f"There is no DAG {dag_id[:100]!r}.")
    if session.scalar(tagged) is None:
        raise Refusal(404, "no_pipeline", f"{dag_id!r} is not tagged {TAG!r}.")
    found = session.scalar(select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
    if found is None:
        raise Refusal(404, "no_run", f"{dag_id!r} has no run {run_id[:100]!r}.")
    return Run(found, begun=bool(begun(session, dag_id, [run_id])))


RunDep = Annotated[Run, Depends(the_run)]


def _has_rights(
    user: BaseUser, dag_id: str, method: ResourceMethod, *entities: DagAccessEntity
) -> bool:
    manager = get_auth_manager()
    details = DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id))
    return all(
        manager.is_authorized_dag(method=method, access_entity=entity, details=details, user=user)
        for entity in entities
    )


def may_see_runs(user: BaseUser, dag_id: str) -> bool:
    """Return whether a user may read the runs of a DAG; the permission for the DAG is not enough."""
    return _has_rights(user, dag_id, "GET", DagAccessEntity.RUN)


def may_trigger(user: BaseUser, dag_id: str) -> bool:
    """Return whether a user may trigger a DAG."""
    return _has_rights(user, dag_id, "POST", DagAccessEntity.RUN)


def may_edit(dag_id: str, user: GetUserDep) -> bool:
    """Return whether a user may edit the runs of a DAG."""
    return _has_rights(user, dag_id, "PUT", DagAccessEntity.RUN, DagAccessEntity.TASK_INSTANCE)


MayEditDep = Annotated[bool, Depends(may_edit)]


def same_site(
    # Only browsers send it: not part of the OpenAPI document.
    sec_fetch_site: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> None:
    """Reject a request that another site's page made the browser send (CSRF).

    Airflow's cookie is ``SameSite=Lax``, so such a request has no cookie, and a call that changes
    something accepts only JSON. Browsers also send the origin of a request in ``Sec-Fetch-Site``.
    Source: Fetch Metadata Request Headers (W3C).
    """
    if sec_fetch_site not in {None, "same-origin", "none"}:
        raise Refusal(403, "cross_site", "This request comes from a page of another site.")


SAME_SITE = Depends(same_site)
