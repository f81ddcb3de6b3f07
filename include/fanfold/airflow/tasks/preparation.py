"""The tasks before the batches: check, read the items, plan."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from fanfold.airflow import connections, metrics, settings
from fanfold.airflow.tasks import docs
from fanfold.errors import FanfoldError
from fanfold.messages import Message
from fanfold.model import BatchRef, utc_text
from fanfold.sources import Api, Function
from fanfold.workspace.files import read_json, read_jsonl, write_json

if TYPE_CHECKING:
    from fanfold.pipeline import Pipeline
    from fanfold.sources import Quota
    from fanfold.sources.endpoint import Endpoint

log = logging.getLogger(__name__)


@task(multiple_outputs=False, doc_md=docs.PREFLIGHT)
@metrics.timed
def preflight(pipeline: str) -> None:
    """Check all dependencies; the message of a failure lists everything that is wrong."""
    from fanfold.airflow import disk
    from fanfold.airflow.checks import check_all, check_wiring

    check_wiring()
    check_all(pipeline)
    disk.check(settings.shared_directory(), settings.workspace_of(get_current_context()))
    log.info("Pipeline, source, bucket, database and workspace are available.")


@task(multiple_outputs=False, doc_md=docs.READ_ITEMS)
@metrics.timed
def read_items(pipeline: str, items: list[Any] | None = None) -> int:
    """Read, check and store the items; return their number.

    ``items`` are those of a task of the DAG's author, used if the run names no others: keys, or objects
    with attributes.
    """
    from dataclasses import asdict, replace

    from fanfold import readers
    from fanfold.airflow.fresh import own_workspace
    from fanfold.airflow.items import items_of_run
    from fanfold.airflow.items_from import items_of
    from fanfold.loader import load_pipeline
    from fanfold.messages import ENGINE

    context = get_current_context()
    workspace = own_workspace(context)
    loaded = load_pipeline(pipeline).pipeline
    chosen, options = items_of(context), settings.Options.of(context)
    origin = chosen.message
    if items is not None and chosen.is_default and not chosen.variable:
        chosen = replace(chosen, items=tuple(items), uri=None, sql=None)
        origin = ENGINE.message("items.task")
    write_json(workspace.items_from, asdict(origin))
    with items_of_run(settings.identity(context), workspace, loaded, chosen, options) as located:
        written, blanks = readers.write_items(workspace, located, loaded.check_item)
    log.info("%d items from %s; %d blank ones were ignored.", written, origin, blanks)
    if not written:
        log.warning("The list is empty: nothing is fetched, and latest.json stays as it is.")
    return written


@task(multiple_outputs=False, doc_md=docs.PLAN)
@metrics.timed
def plan(pipeline: str) -> list[dict[str, Any]]:
    """Cut the items into batches and return references to them; a ``dry_run`` ends here."""
    from fanfold.loader import load_pipeline
    from fanfold.stages import planning

    context = get_current_context()
    options = settings.Options.of(context)
    workspace = settings.workspace_of(context)
    run = settings.identity(context)
    loaded = load_pipeline(pipeline).pipeline
    metrics.announce(run.dag_id, pipeline)
    written = planning.write_plan(
        workspace,
        loaded,
        wanted_size=options.batch_size,
        logical_date=utc_text(run.logical_date),
        started_at=utc_text(datetime.now(UTC)),
        places=connections.places(loaded, read_jsonl(workspace.listed)),
        items_from=Message(**read_json(workspace.items_from)),
        **_limits(loaded, options, run.logical_date),
    )
    log.info("%s", planning.summary(written))
    if options.dry_run:
        raise AirflowSkipException("Dry run: stopped after the plan.")
    # Over no batches Airflow would skip all that follows.
    refs = list(planning.batch_refs(workspace, written)) or [BatchRef(0, 0, "no items")]
    return [ref.as_json() for ref in refs]


def _limits(pipeline: Pipeline, options: settings.Options, as_of: datetime) -> dict[str, Any]:
    """Return what limits the requests of a run: quotas and items per request."""
    from fanfold.stages.planning import quotas_of

    source = pipeline.source
    if not isinstance(source, (Api, Function)):
        return {}
    endpoint = connections.endpoint(pipeline)
    pause, text = connections.pause_of(endpoint)
    if text:
        log.warning("%s", text)
    if isinstance(source, Function):
        quotas = quotas_of(endpoint, options.requests_per_second, None)
        return {"quotas": quotas, "pause": pause}
    quota = _reported_quota(source, endpoint, as_of)
    return {
        "pause": pause,
        "items_per_request": source.items_per_request(endpoint),
        "quotas": quotas_of(endpoint, options.requests_per_second, quota),
    }


def _reported_quota(source: Api, endpoint: Endpoint, as_of: datetime) -> Quota | None:
    """Return the quota that the source reports; an error is logged, as it only affects the forecast."""
    from fanfold.sources.session import ApiSession

    try:
        with ApiSession(source, endpoint, as_of=as_of) as session:
            return session.quota()
    except FanfoldError as error:
        log.warning("The source did not report its quota: %s.", error)
        return None
