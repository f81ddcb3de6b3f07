"""Whether ``latest.json`` moves to a run, and the warning if it then has far fewer rows."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

from fanfold.airflow import connections, settings
from fanfold.airflow.items_from import has_own_items
from fanfold.errors import FanfoldError, Inconsistent
from fanfold.model import RunStatus
from fanfold.storage.published import read_published
from fanfold.workspace.files import read_as, write_json
from fanfold.workspace.paths import safe_name

if TYPE_CHECKING:
    from airflow.sdk import Context

    from fanfold.model import Manifest
    from fanfold.stages.publishing import UpdateLatest
    from fanfold.workspace.paths import Workspace

log = logging.getLogger(__name__)


def updates_latest(context: Context) -> UpdateLatest:
    """Return whether ``latest.json`` shall point to the current run.

    ``first``: only if it points to nothing yet. That is so for a run with items of its own, unless its
    Param ``update_latest`` says otherwise.
    """
    wanted = context["params"].get("update_latest", "auto")
    if wanted == "auto":
        wanted = "first" if has_own_items(context) else "yes"
    return cast("UpdateLatest", wanted)


def warn_of_fewer_rows(context: Context, workspace: Workspace, manifest: Manifest) -> None:
    """Compare the rows of a run with those that it would replace; write the warning for page and log.

    They are kept with it: a redrive of the latest run is compared with them again. If the published
    manifest cannot be read, nothing is compared: ``publish`` reports the error.
    """
    from fanfold.stages.consolidating.notes import fewer_rows, rows_by_table

    replaced: dict[str, Any] | None = None
    warnings = []
    replaces = manifest.mode == "merge" or updates_latest(context) == "yes"
    if replaces and manifest.status is not RunStatus.EMPTY:
        percentage = settings.Options.of(context).row_drop_warning_percentage
        try:
            with connections.bucket(settings.bucket_name()) as bucket:
                latest = read_published(bucket, safe_name(manifest.dag_id))
        except FanfoldError as error:
            log.warning("The rows were not compared with the latest published run: %s", error)
            latest = None
        if latest and latest.manifest.run_id != manifest.run_id:
            replaced = {"run": latest.manifest.run_id, "rows": rows_by_table(latest.manifest)}
        elif latest:
            with suppress(FileNotFoundError, Inconsistent):
                replaced = read_as(workspace.consolidated, lambda found: found.get("replaced"))
        if replaced and (warning := fewer_rows(manifest, **replaced, percentage=percentage)):
            log.warning("%s", warning)
            warnings.append(warning)
    facts = {"warnings": [asdict(each) for each in warnings], "replaced": replaced}
    write_json(workspace.consolidated, facts)
