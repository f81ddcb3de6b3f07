"""The workspace of a run that starts: not that of a deleted run with the same id."""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING

from airflow.sdk import NEVER_EXPIRE  # type: ignore[attr-defined] # its stub lacks it

from fanfold.airflow import settings
from fanfold.workspace.fresh import remove_previous_run
from fanfold.workspace.history import forget

if TYPE_CHECKING:
    from airflow.sdk import Context

    from fanfold.workspace.paths import Workspace

log = logging.getLogger(__name__)

_TOKEN = "fanfold_run"  # noqa: S105 - a name
_BACKFILL = "backfill"


def own_workspace(context: Context) -> Workspace:
    """Return the workspace of the current run, without what a deleted run with the same id left.

    Airflow keeps the token of a run in the state store of the task that calls this: over its retries
    and clearings, until the run is deleted. A run that was cleared keeps what it fetched, but for one
    that had finished and that a backfill processes again.
    """
    workspace = settings.workspace_of(context)
    run, store = context["dag_run"], context["task_state_store"]
    token = store.get(_TOKEN)
    reprocessed = run.run_type == _BACKFILL and (workspace.report / "report.html").exists()
    if token is None or reprocessed:
        token = secrets.token_hex(16)
        store.set(_TOKEN, token, retention=NEVER_EXPIRE)
    if remove_previous_run(workspace, str(token)):
        forget(workspace.history, run.run_id)
        log.info(
            "Everything is fetched again: a backfill reprocesses the run."
            if reprocessed
            else "Removed the workspace of a deleted run with the same id, or of an earlier version."
        )
    elif run.clear_number:
        log.info("The run was cleared: what it fetched is kept.")
    return workspace
