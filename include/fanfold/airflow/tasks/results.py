"""The tasks after the batches: consolidate, publish, load, report."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import TriggerRule, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from fanfold.airflow import assets, connections, consolidation, lineage, metrics, settings
from fanfold.airflow.graph import APPROVAL
from fanfold.airflow.items_from import items_of
from fanfold.airflow.tasks import docs
from fanfold.errors import SinkUnavailable, ToleranceExceeded
from fanfold.model import Manifest, Plan, RunStatus
from fanfold.sources import Files
from fanfold.workspace.files import read_json, write_json

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, XComArg

    from fanfold.workspace.paths import Workspace

log = logging.getLogger(__name__)

_MERGES = 5
"""Tries of ``publish`` to merge a run into what other runs publish at the same time."""

_LOCK_S = 300
"""Seconds that ``publish`` waits for another run to move ``latest.json``: longer than a request and its
retries while the service is unavailable."""


@task(
    multiple_outputs=False,
    doc_md=docs.CONSOLIDATE,
    # Also after failed batches; not after a dry run, nor if there is no plan.
    trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS,
)
@metrics.timed
def consolidate(pipeline: str) -> dict[str, int]:
    """Fold all batches into the dataset; fail if more items or rows failed than tolerated."""
    from dataclasses import asdict

    from fanfold.airflow.checks import check_wiring
    from fanfold.airflow.latest import warn_of_fewer_rows
    from fanfold.loader import load_pipeline
    from fanfold.stages.consolidating import notes
    from fanfold.workspace.history import remember
    from fanfold.workspace.progress import all_progress

    context = get_current_context()
    check_wiring()
    workspace = settings.workspace_of(context)
    before = consolidation.previous_manifest(workspace)
    loaded = load_pipeline(pipeline)
    manifest = consolidation.consolidate(workspace, loaded)
    metrics.decided(manifest, pipeline, before)
    counts = {**asdict(manifest.counts), "rows": manifest.rows, "rejected": manifest.rejected}
    log.info("%s: %s.", manifest.status, ", ".join(f"{n} {name}" for name, n in counts.items()))
    if text := notes.repeated_text(manifest, loaded.pipeline):
        log.warning("%s", text)
    if text := notes.same_text(manifest):
        log.warning("%s.", text)
    if len(manifest.places) > 1 and not isinstance(loaded.pipeline.source, Files):
        log.warning("The items came from several places: %s.", ", ".join(manifest.places))
    if text := notes.merged_text(manifest):
        log.info("Merged into %s.", text)
    if text := notes.pending_text(manifest):
        log.warning("%s.", text)
    if text := notes.dropped_text(manifest):
        log.warning("Dropped columns of files that the pipeline does not name: %s.", text)
    warn_of_fewer_rows(context, workspace, manifest)
    size = Plan.from_json(read_json(workspace.plan)).bytes
    fetched_at = max((each.at for each in all_progress(workspace).values()), default=0.0)
    remember(workspace.history, manifest, passed=False, size=size, fetched_at=fetched_at)
    if context["dag"].has_task(APPROVAL):
        return counts
    try:
        consolidation.check_tolerance(context)
    except ToleranceExceeded:
        metrics.judged(manifest.dag_id, metrics.REFUSED)
        raise
    consolidation.accept(context)
    return counts


def approval(*, within: timedelta = timedelta(hours=6)) -> BaseOperator:
    """Ask whether a run that exceeds its tolerance is published all the same; else do nothing.

    Write ``batches >> folded >> tasks.approval() >> published`` in the DAG file. The next run of the
    DAG waits for the answer.

    Args:
        within: Time for the answer; without one, nothing is published. With the time that the run takes
            before, it must be shorter than ``dagrun_timeout`` (12 hours).
    """
    from fanfold.airflow.approval import Approval

    return Approval(task_id=APPROVAL, within=within, doc_md=docs.APPROVAL)


def publish() -> XComArg:
    """Return the task that publishes the run; its outlets are the Assets of its DAG."""
    published: Any = _publish()
    published.operator.outlets = [*assets.published(published.operator.dag_id)]
    return cast("XComArg", published)


@task(task_id="publish", multiple_outputs=False, doc_md=docs.PUBLISH)
@metrics.timed
def _publish() -> str:
    """Upload dataset, folds and manifest, then move ``latest.json``; return the prefix.

    If another run has replaced the dataset into which this one was merged, it is merged again.
    """
    from dataclasses import asdict

    from filelock import FileLock

    from fanfold.airflow.latest import updates_latest
    from fanfold.stages import publishing
    from fanfold.workspace.files import disk_errors

    context = get_current_context()
    workspace = settings.workspace_of(context)
    lock = FileLock(workspace.publish_lock, timeout=_LOCK_S)
    with connections.bucket(settings.bucket_name()) as bucket, disk_errors(workspace.root):
        for attempt in range(_MERGES):
            if attempt:
                log.info("Another run was published meanwhile: merging again.")
                consolidation.merge_again(workspace)
            manifest = _manifest()
            result = publishing.publish(
                bucket,
                workspace.dataset,
                manifest,
                update_latest=updates_latest(context),
                lock=lock,
            )
            if not result.outdated:
                break
        else:
            raise SinkUnavailable(
                f"Other runs of {manifest.dag_id} were published while this one was merged, "
                f"{_MERGES} times in a row; clear the task."
            )
    items_uri = items_of(context).uri or ""
    lineage.attach(
        context["task"],
        lambda: lineage.read(workspace, items_uri),
        lambda: lineage.published(workspace, manifest, result.prefix),
    )
    metrics.sent(manifest.dag_id, "publish", result.objects)
    if result.latest_moved:
        metrics.succeeded(manifest)
    log.info("%d objects under %s.", len(result.objects), result.prefix)
    warnings = [result.warning] if result.warning else []
    facts = {"warnings": [asdict(each) for each in warnings], "latest": result.latest_moved}
    write_json(workspace.published, facts)
    for each in warnings:
        log.warning("%s", each)
    _note_end(workspace, manifest)
    if manifest.status is RunStatus.EMPTY:
        raise AirflowSkipException("No new data: the run is empty, so latest.json was not moved.")
    extra = {
        "counts": manifest.as_json()["counts"],
        "rows": manifest.rows,
        "bytes": sum(file.bytes for file in manifest.files),
        "status": str(manifest.status),
        "prefix": result.prefix,
    }
    latest, by_date = assets.published(manifest.dag_id)
    assets.announce(context, by_date, extra)
    if result.latest_moved:
        log.info("latest.json points to this run.")
        context["outlet_events"][latest].extra = extra
    else:
        log.info(
            "latest.json %s: no DAG that waits for the latest dataset is started.",
            f"still points to run {result.kept}" if result.kept else "was not moved",
        )
        assets.withhold(context, latest)
    return result.prefix


def _note_end(workspace: Workspace, manifest: Manifest) -> None:
    """Note how long the tasks after the dataset took, for the forecast of later runs."""
    from fanfold.workspace.history import extend

    if (
        get_current_context()["ti"].try_number == 1
    ):  # else it was cleared or retried, perhaps much later
        extend(workspace.history, manifest, datetime.now(UTC))


def load(pipeline: str) -> XComArg:
    """Return the task that loads the run; its outlets are the Assets of its DAG's tables."""
    loaded: Any = _load(pipeline)
    loaded.operator.outlets = [*assets.loaded(loaded.operator.dag_id)]
    return cast("XComArg", loaded)


@task(task_id="load", multiple_outputs=False, doc_md=docs.LOAD)
@metrics.timed
def _load(pipeline: str) -> dict[str, dict[str, Any]]:
    """Write dataset and folds into the warehouse by key, in one transaction; return the counts by table."""
    from dataclasses import asdict

    from fanfold.loader import load_pipeline
    from fanfold.stages import loading, publishing

    context = get_current_context()
    workspace = settings.workspace_of(context)
    manifest = _manifest()
    targets = loading.targets_of(load_pipeline(pipeline).pipeline)
    with connections.warehouse() as connection:
        results = loading.load(
            connection,
            workspace.dataset,
            manifest,
            targets,
            connection_id=connections.WAREHOUSE,
        )
        tables = [assets.table(connection, target.name) for target in targets]
    metrics.loaded(manifest.dag_id, sum(result.written for result in results))
    warnings = {each.text: each for result in results for each in result.warnings}
    write_json(workspace.load, {"warnings": [asdict(each) for each in warnings.values()]})
    for result in results:
        log.info("%s", result.summary)
    for text in warnings:
        log.warning("%s", text)
    _note_end(workspace, manifest)
    if results[0].skipped:
        raise AirflowSkipException("A newer generation of the dataset is loaded.")
    counts = {result.table: asdict(result) for result in results}
    names, by_date = assets.loaded(manifest.dag_id)
    loaded = {}
    for target, table in zip(targets, tables, strict=True):
        context["outlet_events"][names].add(table, counts[target.name])
        loaded[target.rows_of] = table, counts[target.name]["written"]
    prefix = publishing.run_prefix(manifest)
    assets.announce(context, by_date, {"prefix": prefix})
    sources = partial(lineage.published, workspace, manifest, prefix)
    lineage.attach(context["task"], sources, lambda: lineage.loaded(sources(), loaded))
    return counts


@task(multiple_outputs=False, doc_md=docs.REPORT)
@metrics.timed
def report(pipeline: str) -> str:
    """Write and publish the report; return its key."""
    from fanfold.loader import load_pipeline
    from fanfold.stages import publishing, reporting

    workspace = settings.workspace_of(get_current_context())
    manifest = _manifest()
    loaded = load_pipeline(pipeline).pipeline
    run_plan = Plan.from_json(read_json(workspace.plan))
    written = reporting.write_report(workspace, loaded, manifest, messages=run_plan.messages)
    with connections.bucket(settings.bucket_name()) as bucket:
        prefix = publishing.run_prefix(manifest)
        uploaded = publishing.upload_extra(bucket, prefix, written.files)
    metrics.sent(manifest.dag_id, "report", uploaded)
    log.info("Report: %s, and %sreport.html in the bucket.", written.page, prefix)
    _note_end(workspace, manifest)
    return f"{prefix}report.html"


def _manifest() -> Manifest:
    workspace = settings.workspace_of(get_current_context())
    return Manifest.from_json(read_json(workspace.manifest))
