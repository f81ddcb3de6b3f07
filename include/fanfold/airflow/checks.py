"""Preflight: check all dependencies of a run before anything is fetched."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

from airflow.sdk import get_current_context

from fanfold.airflow import connections, settings
from fanfold.airflow.graph import APPROVAL, CONSOLIDATE, FETCH, PLAN, PROCESS
from fanfold.airflow.items_from import items_of
from fanfold.errors import (
    BadConfiguration,
    BadInput,
    BadPipeline,
    FanfoldError,
    Fatal,
    Retriable,
    SinkUnavailable,
)
from fanfold.loader import load_pipeline
from fanfold.model import Plan
from fanfold.readers.patterns import Pattern
from fanfold.sources import Api, Files, Function
from fanfold.sources.author_errors import last_line
from fanfold.sources.checking import check_source
from fanfold.workspace.files import disk_errors, read_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.sdk import Context

    from fanfold.pipeline import Pipeline

log = logging.getLogger(__name__)

_PAST = timedelta(days=1)
"""How far the logical date of a run may be in the past, if the source has no history."""

_WRONG_HOST = {"http.tls", "http.no_tls", "http.no_http"}
"""Errors of a connection that no retry mends. ``fetch`` retries them: perhaps the server changes just now."""


def check_all(pipeline: str) -> None:
    """Check pipeline, source, bucket, database and workspace.

    Raises:
        BadConfiguration: At least one check needs manual action; the message lists all failures.
        SinkUnavailable: All failures are transient; the message lists them.
    """
    checks: list[tuple[str, Callable[[], str | None]]] = [
        (f"pipeline {pipeline}", lambda: _check_pipeline(pipeline)),
        ("object storage", check_bucket),
        ("database", lambda: _check_database(pipeline)),
        ("workspace", check_workspace),
        ("run", lambda: _check_run(pipeline)),
    ]
    found: list[tuple[str, FanfoldError]] = []
    for name, check in checks:
        _, failure = result(check)
        if failure:
            found.append((name, failure))
    if not found:
        return
    failures = "\n".join(f"  {name}: {error}" for name, error in found)
    text = f"{len(found)} of {len(checks)} preflight checks failed:\n{failures}"
    fatal = any(isinstance(error, Fatal) for _, error in found)
    failed = BadConfiguration(text) if fatal else SinkUnavailable(text)
    failed.connection = next((error.connection for _, error in found if error.connection), "")
    if len(found) == 1:
        failed.message = found[0][1].message
    raise failed


def result(check: Callable[[], str | None]) -> tuple[str, FanfoldError | None]:
    """Run a check; return what it found, or its failure."""
    try:
        return check() or "", None
    except FanfoldError as error:
        return "", error
    except Exception as error:  # noqa: BLE001 - the other checks are reported, too
        # Without its text, which may contain a header or a URL with a token.
        at = last_line(error, "fanfold")
        return "", FanfoldError(f"unexpected {type(error).__name__} at {at}; please report it")


def _check_pipeline(name: str) -> None:
    """Import the pipeline, and check endpoint and token of its source, its functions, or buckets and folders."""
    from fanfold.stages.processing.contract import contract_of

    pipeline = load_pipeline(name).pipeline
    contract_of(pipeline)
    if isinstance(pipeline.source, (Api, Function)):
        check_source_of(pipeline)
    elif isinstance(pipeline.source, Files):
        with connections.locations(pipeline.source.connection) as locations:
            items = items_of(get_current_context()).items
            texts = [item.strip() for item in items if isinstance(item, str)]
            for text in filter(Pattern.is_pattern, texts):  # read_items asks for each other file
                next(locations.list(Pattern(text).prefix()), None)


def check_source_of(pipeline: Pipeline) -> str:
    """Check the endpoint and the token of an API or of functions; return the endpoint."""
    source = cast("Api | Function", pipeline.source)
    with connections.about(connections.source_connection(pipeline)):
        endpoint, now = connections.endpoint(pipeline), datetime.now(UTC)
        try:
            with connections.source_session(source, endpoint, as_of=now) as session:
                check_source(session)
        except FanfoldError as error:
            may_pass = isinstance(error, Retriable) and error.message.id not in _WRONG_HOST
            kind = SinkUnavailable if may_pass else BadConfiguration
            text = f"connection {endpoint.connection!r}, {endpoint.server}: {error}"
            raise kind(text) from None
    return f"{endpoint.server}: reachable, and the token is accepted"


def check_wiring() -> None:
    """Check that ``consolidate`` waits for each task of a batch, and what follows it for an approval.

    Raises:
        BadPipeline: It does not wait: it would run beside a batch that is cleared without the others, or
            a run that exceeds its tolerance would be published before the answer.
    """
    dag = get_current_context()["dag"]
    folded = dag.get_task(CONSOLIDATE)
    if dag.has_task(APPROVAL) and (found := folded.downstream_task_ids) != {APPROVAL}:
        raise BadPipeline(
            f"`consolidate` is followed by {', '.join(sorted(found)) or 'no task'}, and has to be followed by "
            "`approval` alone. Write `batches >> folded >> tasks.approval() >> published` in the DAG file."
        )
    if missing := {PLAN, FETCH, PROCESS} - folded.upstream_task_ids:
        raise BadPipeline(
            f"`consolidate` does not wait for {', '.join(sorted(missing))}. Write `batches = tasks.batches("
            "PIPELINE, planned)` and `batches >> folded` in the DAG file."
        )


def _check_run(name: str) -> None:
    """Check the Params and the Variable that name the items, and the date of a source without history."""
    context = get_current_context()
    items_of(context)
    try:
        source = load_pipeline(name).pipeline.source
    except BadPipeline:
        return  # _check_pipeline reports it
    if source.history:
        return
    kind, date = context["dag_run"].run_type, settings.identity(context).logical_date
    if kind == "backfill" or (kind != "scheduled" and date < _started(context) - _PAST):
        raise BadInput(
            f"The source of {name} has no history: it answers with the values of today, and the rows would "
            f"have the date {date:%Y-%m-%d}. Trigger a run without a "
            "logical date in the past; a source that answers as of the logical date needs history=True."
        )


def _started(context: Context) -> datetime:
    """Return when the run was first planned, else the current time: it may be cleared days later."""
    with contextlib.suppress(FanfoldError, OSError):
        plan = Plan.from_json(read_json(settings.workspace_of(context).plan))
        return datetime.fromisoformat(plan.started_at)
    return datetime.now(UTC)


def check_bucket() -> str:
    """Check the bucket: permissions, conditional writes; return what it is like."""
    from fanfold.stages.publishing import IfMatch, check_bucket

    with connections.bucket(settings.bucket_name()) as bucket:
        if check_bucket(bucket) is IfMatch.NONE:
            log.warning(
                "Bucket %r at %s has no conditional writes: latest.json is safe from runs of this "
                "installation only. Let no other installation publish the same DAG into it.",
                bucket.name,
                bucket.endpoint,
            )
            condition = "NO conditional writes: publish from this installation only"
        else:
            condition = "conditional writes"
        kept = "checksums" if bucket.checksums else "no checksums: each upload is read back"
        return f"{bucket.name} at {bucket.endpoint}: {condition}, {kept}"


def _check_database(name: str) -> None:
    """Check the tables of a pipeline."""
    from fanfold.stages.consolidating.folds import table_schemas
    from fanfold.stages.loading import check_database, targets_of
    from fanfold.stages.processing import arrow_schema

    run = settings.identity(get_current_context())
    try:
        pipeline = load_pipeline(name).pipeline
        targets, mode = targets_of(pipeline), pipeline.mode
        schemas = table_schemas(pipeline, arrow_schema(pipeline.contract))
    except BadPipeline:
        targets, mode, schemas = (), "snapshot", {}  # _check_pipeline reports it
    with connections.warehouse() as connection:
        check_database(
            connection,
            targets,
            connections.WAREHOUSE,
            mode=mode,
            dag_id=run.dag_id,
            schemas=schemas,
            as_of=run.logical_date,
        )


def check_database() -> str:
    """Check the database without a pipeline: rights, and whether text is kept; return its kind."""
    from fanfold.stages.loading import check_database

    with connections.warehouse() as connection:
        check_database(connection, (), connections.WAREHOUSE)
        return type(connection).__module__


def check_workspace() -> None:
    """Check that the shared directory can be written."""
    shared = settings.shared_directory()
    try:
        with disk_errors(shared):
            shared.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=shared) as file:
                file.write(b"fanfold")
    except OSError as error:
        raise BadConfiguration(
            f"FANFOLD_SHARED_DIR={shared} is not writable ({error.strerror}). Make it writable "
            "for the user that runs the workers, or set another directory."
        ) from None
