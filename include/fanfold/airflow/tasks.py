"""The tasks of a pipeline, by the names that the Airflow graph shows. Each calls its stage."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import TriggerRule, get_current_context, task, task_group
from airflow.sdk.exceptions import AirflowSkipException

from fanfold.airflow import connections, metrics, settings
from fanfold.airflow.fetch import Fetch
from fanfold.errors import Inconsistent, ToleranceExceeded
from fanfold.model import BatchRef, Counts, Manifest, Plan, Quotas, RunStatus, utc_text
from fanfold.workspace.files import read_json
from fanfold.workspace.paths import PARQUET

if TYPE_CHECKING:
    from pathlib import Path

    from airflow.sdk import Asset

    from fanfold.model import Forecast
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
    together = connector.together(endpoint.items_per_request)
    told = _quota(connector, endpoint)
    metrics.announce(settings.identity(context).dag_id, source)
    quotas = _quotas(endpoint, options, told)
    made = planning.write_plan(
        workspace,
        source=source,
        wanted_size=options.batch_size,
        logical_date=utc_text(settings.identity(context).logical_date),
        started_at=utc_text(datetime.now(UTC)),
        foretell=partial(_foretell, quotas, told, together),
        items_per_request=together,
        quotas=quotas,
        key_column=connector.identity_column,
        key_form=connector.key_form,
        messages=connector.messages,
    )
    log.info("%s", _foretold(made))
    if options.dry_run:
        raise AirflowSkipException("dry_run: the run ends with its plan.")
    return [ref.as_json() for ref in planning.batch_refs(workspace, made)]


def _foretell(
    quotas: Quotas, told: Quota | None, together: int, items: int, batch_size: int
) -> Forecast:
    """Return what a run takes: under the quotas that are set, by the source's word, as before."""
    from fanfold.stages import forecasting
    from fanfold.workspace.history import read_history

    allowances = []
    if quotas.per_hour is not None:
        allowances.append(forecasting.Allowance.hourly(quotas.per_hour))
    if told is not None and quotas.limit:
        allowances.append(
            forecasting.Allowance(
                quotas.limit, told.window, quotas.remaining or 0, told.reset_in or 0.0
            )
        )
    return forecasting.foretell(
        forecasting.requests_for(items, batch_size, together),
        requests_per_second=quotas.per_second,
        allowances=allowances,
        past=read_history(settings.history(get_current_context())),
    )


def _quotas(endpoint: Endpoint, options: settings.Options, told: Quota | None) -> Quotas:
    ours = Quotas(
        per_second=options.requests_per_second or endpoint.requests_per_second,
        per_hour=endpoint.requests_per_hour,
    )
    if told is None or told.reset_in is None or told.remaining is None or not told.limit:
        return ours
    reset_at = datetime.now(UTC) + timedelta(seconds=told.reset_in)
    return replace(
        ours,
        limit=told.limit,
        remaining=told.remaining,
        reset_at=utc_text(reset_at),
        window=told.window,
    )


def _quota(connector: Source, endpoint: Endpoint) -> Quota | None:
    """Ask the source for its quota; a forecast is not worth a failure."""
    from fanfold.errors import FanfoldError
    from fanfold.sources.http import Client

    try:
        with Client(connector, endpoint) as client:
            return connector.quota(client)
    except FanfoldError as error:
        log.warning("The source does not tell its quota: %s.", error)
        return None


def _foretold(made: Plan) -> str:
    told = made.forecast
    time = (
        "how long they take is not known yet"
        if told.seconds is None
        else f"they take about {timedelta(seconds=round(told.seconds))} (by {told.basis})"
    )
    return (
        f"{made.items} items ({made.duplicates} duplicates left out) in {made.batches} batches of "
        f"up to {made.batch_size}: {told.requests} requests; {time}."
    )


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
        settings.workspace_of(context),
        BatchRef.from_json(ref).batch,
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
        consolidating.gate(workspace, manifest, tolerated)
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
        workspace.failures,
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
