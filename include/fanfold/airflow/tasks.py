"""Tasks of the pipelines. Each calls its stage."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import TriggerRule, get_current_context, task, task_group
from airflow.sdk.exceptions import AirflowSkipException

from fanfold.airflow import connections, metrics, settings
from fanfold.airflow.fetch import Fetch
from fanfold.errors import Inconsistent, ToleranceExceeded
from fanfold.model import BatchRef, Counts, Manifest, Plan, RunStatus, utc_text
from fanfold.workspace.files import read_json
from fanfold.workspace.paths import PARQUET

if TYPE_CHECKING:
    from airflow.sdk import Asset

    from fanfold.sources import Quota, Source
    from fanfold.sources.endpoint import Endpoint
    from fanfold.workspace.paths import Workspace

log = logging.getLogger(__name__)


@task(multiple_outputs=False)
@metrics.timed
def preflight(source: str) -> None:
    """Check all dependencies; the message of a failure lists everything that is wrong."""
    from fanfold.airflow.checks import check_all

    check_all(source)
    log.info("Source, bucket, database and workspace are available.")


@task(multiple_outputs=False)
@metrics.timed
def read_items(source: str) -> int:
    """Read, check and store the items; return their number."""
    from fanfold import readers, sources
    from fanfold.airflow.items import located_items

    context = get_current_context()
    connector = sources.get(source)
    with located_items(settings.Options.of(context), connector.item_column) as located:
        items, blanks = readers.write_items(
            settings.workspace_of(context), located, connector.check_item
        )
    log.info("%d items; %d blank ones were ignored.", items, blanks)
    return items


@task(multiple_outputs=False)
@metrics.timed
def plan(source: str) -> list[dict[str, Any]]:
    """Cut the items into batches and return references to them; a ``dry_run`` ends here."""
    from fanfold import sources
    from fanfold.stages import planning

    context = get_current_context()
    options = settings.Options.of(context)
    workspace = settings.workspace_of(context)
    endpoint = connections.endpoint(source)
    connector = sources.get(source)
    metrics.announce(settings.identity(context).dag_id, source)
    written = planning.write_plan(
        workspace,
        source=source,
        wanted_size=options.batch_size,
        logical_date=utc_text(settings.identity(context).logical_date),
        started_at=utc_text(datetime.now(UTC)),
        items_per_request=connector.items_per_request(endpoint),
        quotas=planning.quotas_of(
            endpoint, options.requests_per_second, _reported_quota(connector, endpoint)
        ),
        key_column=connector.identity_column,
        key_form=connector.key_form,
        messages=connector.messages,
    )
    log.info("%s", planning.summary(written))
    if options.dry_run:
        raise AirflowSkipException("Dry run: stopped after the plan.")
    return [ref.as_json() for ref in planning.batch_refs(workspace, written)]


def _reported_quota(connector: Source, endpoint: Endpoint) -> Quota | None:
    """Return the quota that the source reports; an error is logged, as it only affects the forecast."""
    from fanfold.errors import FanfoldError
    from fanfold.sources.session import Session

    try:
        with Session(connector, endpoint) as session:
            return session.quota()
    except FanfoldError as error:
        log.warning("The source did not report its quota: %s.", error)
        return None


@task(
    multiple_outputs=False,
    # Also after a failed fetch: its fetched items belong to the dataset.
    trigger_rule=TriggerRule.ALL_DONE,
    map_index_template="{{ task.op_kwargs['ref']['label'] }}",
)
@metrics.timed
def process(source: str, ref: dict[str, Any]) -> None:
    """Turn the records of a batch into rows; set records that break the contract aside."""
    import pandas as pd

    from fanfold import sources
    from fanfold.stages.processing import process_batch

    context = get_current_context()
    processed = process_batch(
        settings.workspace_of(context).batch(BatchRef.from_json(ref).batch),
        sources.get(source),
        as_of=pd.Timestamp(settings.identity(context).logical_date),
    )
    log.info("%d rows, %d invalid records.", processed.rows, processed.invalid)


@task_group
def batch(source: str, ref: dict[str, Any]) -> None:
    """Fetch and process one batch."""
    fetched = Fetch(
        task_id="fetch",
        source=source,
        batch=ref,
        map_index_template="{{ task.batch['label'] }}",
        # A batch may wait for its rate limit for hours.
        execution_timeout=timedelta(hours=6),
    )
    fetched >> process(source=source, ref=ref)


@task(multiple_outputs=False, trigger_rule=TriggerRule.ALL_DONE)
@metrics.timed
def consolidate() -> dict[str, int]:
    """Fold all batches into the dataset; fail if more items failed than tolerated."""
    from dataclasses import asdict

    from fanfold.stages import consolidating
    from fanfold.stages.processing.contract import SCHEMA
    from fanfold.workspace.history import remember

    context = get_current_context()
    _check_plan()
    workspace = settings.workspace_of(context)
    before = _previous_counts(workspace)
    manifest = consolidating.consolidate(workspace, settings.identity(context), SCHEMA)
    source = Plan.from_json(read_json(workspace.plan)).source
    metrics.decided(manifest.dag_id, source, manifest.counts, before)
    counts = asdict(manifest.counts)
    log.info("%s: %s.", manifest.status, ", ".join(f"{n} {name}" for name, n in counts.items()))
    remember(workspace.history, manifest, passed=False)
    tolerated = settings.Options.of(context).tolerated_failure_percentage
    try:
        consolidating.check_tolerance(workspace, manifest, tolerated)
    except ToleranceExceeded:
        metrics.judged(manifest.dag_id, metrics.REFUSED)
        raise
    remember(workspace.history, manifest, passed=True)
    metrics.judged(manifest.dag_id, manifest.status)
    return counts


def _previous_counts(workspace: Workspace) -> Counts:
    """Return the counts of the previous consolidation of this run, or zeros."""
    try:
        return Manifest.from_json(read_json(workspace.manifest)).counts
    except (Inconsistent, OSError, ValueError, LookupError, TypeError):
        # Missing or unreadable; it is about to be replaced.
        return Counts()


def _check_plan() -> None:
    """Raise unless ``plan`` succeeded: the workspace may contain the plan of an earlier try."""
    context = get_current_context()
    run_id = context["run_id"]
    states = context["ti"].get_task_states(
        dag_id=context["dag"].dag_id, task_ids=["plan"], run_ids=[run_id]
    )
    state = states.get(run_id, {}).get("plan")
    if state == "skipped":
        raise AirflowSkipException("Dry run: nothing was fetched.")
    if state != "success":
        raise Inconsistent("There is no plan to consolidate: see the failed task upstream.")


@task(multiple_outputs=False)
@metrics.timed
def publish(dataset: Asset) -> str:
    """Upload dataset and manifest, then move ``latest.json``; return the prefix."""
    from fanfold.stages import publishing

    context = get_current_context()
    workspace = settings.workspace_of(context)
    manifest = _manifest()
    with connections.bucket(settings.bucket_name()) as bucket:
        result = publishing.publish(bucket, workspace.dataset, manifest)
    metrics.sent(manifest.dag_id, "publish", result.objects)
    if result.latest_moved:
        metrics.succeeded(manifest.dag_id)
    log.info("%d objects under %s.", len(result.objects), result.prefix)
    if not result.latest_moved:
        log.warning("latest.json was not moved: %s.", result.note)
    if manifest.status is RunStatus.EMPTY:
        raise AirflowSkipException(f"No new data: {result.note}.")
    context["outlet_events"][dataset].extra = {
        "counts": manifest.as_json()["counts"],
        "status": str(manifest.status),
        "prefix": result.prefix,
    }
    return result.prefix


@task(multiple_outputs=False)
@metrics.timed
def load() -> dict[str, int]:
    """Upsert the dataset into the warehouse by key, in one transaction."""
    from fanfold.stages import loading

    context = get_current_context()
    workspace = settings.workspace_of(context)
    manifest = _manifest()
    with connections.warehouse() as connection:
        result = loading.load(
            connection,
            workspace.dataset / PARQUET,
            manifest,
            connection_id=connections.WAREHOUSE,
        )
    metrics.loaded(manifest.dag_id, result.written)
    log.info("%s: %d of %d rows written.", result.table, result.written, result.rows_in_dataset)
    return {"rows": result.rows_in_dataset, "written": result.written}


@task(multiple_outputs=False)
@metrics.timed
def report() -> str:
    """Compare with the previous run, draw and publish the report; return its key."""
    from fanfold.stages import comparing, publishing, reporting

    workspace = settings.workspace_of(get_current_context())
    manifest = _manifest()
    log.info("%s", comparing.compare_with_previous(workspace, manifest))
    run_plan = Plan.from_json(read_json(workspace.plan))
    drawn = reporting.write_report(
        workspace.dataset / PARQUET,
        workspace.failures,
        manifest,
        workspace.report,
        forecast=run_plan.forecast,
        messages=run_plan.messages,
    )
    with connections.bucket(settings.bucket_name()) as bucket:
        prefix = publishing.run_prefix(manifest)
        uploaded = publishing.upload_extra(bucket, prefix, drawn.files)
    metrics.sent(manifest.dag_id, "report", uploaded)
    log.info("Report: %s, and %sreport.html in the bucket.", drawn.page, prefix)
    return f"{prefix}report.html"


def _manifest() -> Manifest:
    workspace = settings.workspace_of(get_current_context())
    return Manifest.from_json(read_json(workspace.manifest))
