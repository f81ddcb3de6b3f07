"""Consolidate the current run; in mode ``merge``, onto what its DAG published last."""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING

from airflow.sdk import get_current_context

from fanfold.airflow import connections, metrics, settings
from fanfold.errors import Inconsistent
from fanfold.model import Manifest, Plan
from fanfold.workspace.files import read_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow.sdk import Context

    from fanfold.loader import Loaded
    from fanfold.messages import Message
    from fanfold.workspace.base import Base
    from fanfold.workspace.batch import Batch
    from fanfold.workspace.paths import Workspace
    from fanfold.workspace.progress import Closed


def close(loaded: Loaded, batch: Batch) -> Closed:
    """Process a batch of the current run."""
    from fanfold.stages.processing import process_batch

    return process_batch(batch, loaded, as_of=settings.identity(get_current_context()).logical_date)


def consolidate(workspace: Workspace, loaded: Loaded) -> Manifest:
    """Consolidate the current run; in mode ``merge``, onto the latest published dataset."""
    from functools import partial

    from fanfold.sources.version import source_version
    from fanfold.stages import consolidating
    from fanfold.stages.processing import arrow_schema

    run = settings.identity(get_current_context())
    with contextlib.ExitStack() as stack:
        base = None
        if loaded.pipeline.mode == "merge":
            base = stack.enter_context(_downloaded_base(workspace, run.dag_id))
        return consolidating.consolidate(
            workspace,
            run,
            loaded,
            partial(close, loaded),
            schema=arrow_schema(loaded.pipeline.contract),
            version=source_version(loaded.pipeline.source),
            base=base,
        )


@contextlib.contextmanager
def _downloaded_base(workspace: Workspace, dag_id: str) -> Iterator[Base | None]:
    """Download what the DAG published last, for the block; yield None if that is nothing."""
    from fanfold.storage.published import read_published
    from fanfold.workspace.base import LEDGER, STATE, Base
    from fanfold.workspace.files import disk_errors
    from fanfold.workspace.paths import safe_name

    folder = workspace.root / "base"
    with connections.bucket(settings.bucket_name()) as bucket:
        published = read_published(bucket, safe_name(dag_id))
        if published is None:
            yield None
            return
        manifest = published.manifest
        forms = (STATE, LEDGER) if manifest.mode == "merge" else ()
        try:
            with disk_errors(folder):
                folder.mkdir(exist_ok=True)
                paths = [
                    published.download(manifest.file_of("", form), folder / f"{form}.parquet")
                    for form in forms
                ]
            yield Base(manifest, published.sha256, *paths)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def previous_manifest(workspace: Workspace) -> Manifest | None:
    """Return the manifest of the previous consolidation of this run, or None."""
    try:
        return Manifest.from_json(read_json(workspace.manifest))
    except (Inconsistent, OSError, ValueError, LookupError, TypeError):
        # Missing or unreadable; it is about to be replaced.
        return None


def exceeded(context: Context) -> list[Message]:
    """Return which shares of the consolidated run its tolerance does not allow."""
    from fanfold.stages.consolidating import tolerance

    return tolerance.exceeded(*_tolerance(context))


def check_tolerance(context: Context) -> None:
    """Check that the consolidated run is within its tolerance.

    Raises:
        ToleranceExceeded: It is not.
    """
    from fanfold.stages.consolidating import tolerance

    tolerance.check_tolerance(*_tolerance(context))


def _tolerance(context: Context) -> tuple[Workspace, Manifest, float, float]:
    workspace, options = settings.workspace_of(context), settings.Options.of(context)
    return (
        workspace,
        Manifest.from_json(read_json(workspace.manifest)),
        options.tolerated_failure_percentage,
        options.tolerated_rejected_percentage,
    )


def accept(context: Context) -> None:
    """Count the consolidated run as one that may be published."""
    from fanfold.workspace.history import remember

    workspace = settings.workspace_of(context)
    manifest = Manifest.from_json(read_json(workspace.manifest))
    size = Plan.from_json(read_json(workspace.plan)).bytes
    remember(workspace.history, manifest, passed=True, size=size)
    metrics.judged(manifest.dag_id, manifest.status)


def merge_again(workspace: Workspace) -> None:
    """Consolidate the current run again, which other runs have overtaken."""
    from fanfold.loader import load_pipeline
    from fanfold.workspace.history import remember

    loaded = load_pipeline(Plan.from_json(read_json(workspace.plan)).pipeline)
    remember(workspace.history, consolidate(workspace, loaded), passed=True)
