"""The tasks of a pipeline, by the names that the Airflow graph shows. Each calls its stage."""

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
from fanfold.workspace.paths import FAILED, PARQUET

if TYPE_CHECKING:
    from pathlib import Path

    from airflow.sdk import Asset

    from fanfold.sources import Quota, Source
    from fanfold.sources.endpoint import Endpoint
    from fanfold.workspace.paths import Workspace

log = logging.getLogger(__name__)


@task(multiple_outputs=False)
@metrics.timed
def preflight(source: str) -> None:
    """Fail early, in one message that names every thing that is wrong."""
    from fanfold.airflow.checks import check_all

    check_all(source)
    log.info("The token is accepted; bucket, database and workspace are there and writable.")


@task(multiple_outputs=False)
@metrics.timed
def read_items(source: str) -> int:
    """List the items in the workspace, each checked by name; return how many they are."""
    from fanfold import readers, sources
    from fanfold.airflow.items import located_items

    context = get_current_context()
    connector = sources.get(source)
    with located_items(settings.Options.of(context), connector.item_column) as located:
        items, blanks = readers.write_items(
            settings.workspace_of(context), located, connector.check_item
        )
    log.info("%d items are listed, %d blanks were left out.", items, blanks)
    return items


@task(multiple_outputs=False)
@metrics.timed
def plan(source: str) -> list[dict[str, Any]]:
    """Cut the items into batches and return references to them; with ``dry_run``, end here."""
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
        items_per_request=connector.together(endpoint.items_per_request),
        quotas=planning.quotas_of(
            endpoint, options.requests_per_second, _reported_quota(connector, endpoint)
        ),
        key_column=connector.identity_column,
        key_form=connector.key_form,
        messages=connector.messages,
    )
    log.info("%s", planning.summary(written))
    if options.dry_run:
        raise AirflowSkipException("dry_run: the run ends with its plan.")
    return [ref.as_json() for ref in planning.batch_refs(workspace, written)]


def _reported_quota(connector: Source, endpoint: Endpoint) -> Quota | None:
    """Return the quota that the source reports; an error is logged, as it only affects the forecast."""
    from fanfold.errors import FanfoldError
    from fanfold.sources.http import Client

    try:
        with Client(connector, endpoint) as client:
            return connector.quota(client)
    except FanfoldError as error:
        log.warning("The source did not report its quota: %s.", error)
        return None


@task(
    multiple_outputs=False,
    # Also behind a fetch that failed: what it kept is part of the dataset.
    trigger_rule=TriggerRule.ALL_DONE,
    map_index_template="{{ task.op_kwargs['ref']['label'] }}",
)
@metrics.timed
def process(source: str, ref: dict[str, Any]) -> None:
    """Make clean rows of a batch's records; quarantine those that break the contract."""
    import pandas as pd

    from fanfold import sources
    from fanfold.stages.processing import process_batch

    context = get_current_context()
    processed = process_batch(
        settings.workspace_of(context).batch(BatchRef.from_json(ref).batch),
        sources.get(source),
        as_of=pd.Timestamp(settings.identity(context).logical_date),
    )
    log.info("%d clean rows, %d records quarantined.", processed.rows, processed.invalid)


@task_group
def batch(source: str, ref: dict[str, Any]) -> None:
    """Fetch and process one batch."""
    fetched = Fetch(
        task_id="fetch",
        source=source,
        batch=ref,
        map_index_template="{{ task.batch['label'] }}",
        # A batch may wait for its rate budget for hours.
        execution_timeout=timedelta(hours=6),
    )
    fetched >> process(source=source, ref=ref)


@task(multiple_outputs=False, trigger_rule=TriggerRule.ALL_DONE)
@metrics.timed
def consolidate() -> dict[str, int]:
    """Fold all parts into the dataset, and let it pass where the run's failures are tolerated."""
    from dataclasses import asdict

    from fanfold.stages import consolidating
    from fanfold.stages.processing.contract import SCHEMA
    from fanfold.workspace.history import remember

    context = get_current_context()
    _heed_plan()
    workspace = settings.workspace_of(context)
    before = _counted_before(workspace)
    manifest = consolidating.consolidate(workspace, settings.identity(context), SCHEMA)
    source = Plan.from_json(read_json(workspace.plan)).source
    metrics.decided(manifest.dag_id, source, manifest.counts, before)
    counts = asdict(manifest.counts)
    log.info("%s: %s.", manifest.status, ", ".join(f"{n} {name}" for name, n in counts.items()))
    history = settings.history(context)
    remember(history, manifest, passed=False)
    tolerated = settings.Options.of(context).tolerated_failure_percentage
    try:
        consolidating.check_tolerance(workspace, manifest, tolerated)
    except ToleranceExceeded:
        metrics.judged(manifest.dag_id, metrics.REFUSED)
        raise
    remember(history, manifest, passed=True)
    metrics.judged(manifest.dag_id, manifest.status)
    return counts


def _counted_before(workspace: Workspace) -> Counts:
    """Return the counts of this run's last consolidation, or zeros."""
    try:
        return Manifest.from_json(read_json(workspace.manifest)).counts
    except (Inconsistent, OSError, ValueError, LookupError, TypeError):
        # None yet, or none that can be read: it is about to be written anew.
        return Counts()


def _heed_plan() -> None:
    """Go on only behind a plan of this run: an earlier one may lie in the workspace still."""
    context = get_current_context()
    run_id = context["run_id"]
    states = context["ti"].get_task_states(
        dag_id=context["dag"].dag_id, task_ids=["plan"], run_ids=[run_id]
    )
    state = states.get(run_id, {}).get("plan")
    if state == "skipped":
        raise AirflowSkipException("dry_run: nothing was fetched.")
    if state != "success":
        raise Inconsistent(
            "There is no plan, so there is nothing to consolidate: see the failed task before it."
        )


@task(multiple_outputs=False)
@metrics.timed
def publish(dataset: Asset) -> str:
    """Upload the dataset, then its manifest; then move ``latest.json``. Return the prefix."""
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
        log.warning("latest.json stays where it is: %s.", result.note)
    if manifest.status is RunStatus.EMPTY:
        raise AirflowSkipException(f"Nothing new to read: {result.note}.")
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
    log.info("%s: %d rows written of %d.", result.table, result.written, result.rows_in_dataset)
    return {"rows": result.rows_in_dataset, "written": result.written}


@task(multiple_outputs=False)
@metrics.timed
def report() -> str:
    """Draw the run's charts, compare it with the run before; return where the page was published."""
    from fanfold.stages import publishing, reporting

    context = get_current_context()
    workspace = settings.workspace_of(context)
    manifest = _manifest()
    _compare(workspace, manifest, settings.history(context))
    made = Plan.from_json(read_json(workspace.plan))
    drawn = reporting.write_report(
        workspace.dataset / PARQUET,
        workspace.dataset / FAILED,
        manifest,
        workspace.report,
        forecast=made.forecast,
        messages=made.messages,
    )
    with connections.bucket(settings.bucket_name()) as bucket:
        prefix = publishing.run_prefix(manifest)
        # The page holds the charts as SVG: beside it go the pictures that other tools can show.
        pictures = [path for path in drawn.files if path.suffix != ".svg"]
        uploaded = publishing.upload_extra(bucket, prefix, pictures)
    metrics.sent(manifest.dag_id, "report", uploaded)
    log.info("The page is %s, and %sreport.html in the bucket.", drawn.page, prefix)
    return f"{prefix}report.html"


def _compare(workspace: Workspace, manifest: Manifest, history: Path) -> None:
    """Write what differs from the last published run, where its dataset is still there."""
    from fanfold.stages import comparing
    from fanfold.workspace.history import read_history, run_before

    before = run_before(read_history(history), manifest.run_id, manifest.logical_date)
    dataset = workspace.sibling(before.run_id).dataset / PARQUET if before else None
    if before is None or dataset is None or not dataset.exists():
        workspace.comparison.unlink(missing_ok=True)
        log.info("There is no earlier dataset to compare with.")
        return
    made = comparing.compare(
        workspace.dataset / PARQUET,
        dataset,
        previous=before.run_id,
        previous_date=before.logical_date,
    )
    comparing.write_comparison(workspace.comparison, made)
    log.info(
        "Since %s: %d users are new, %d gone, %d have other followers.",
        before.run_id,
        made.new.count,
        made.gone.count,
        made.changed,
    )


def _manifest() -> Manifest:
    workspace = settings.workspace_of(get_current_context())
    return Manifest.from_json(read_json(workspace.manifest))
