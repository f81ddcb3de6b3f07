"""Preflight: check all dependencies of a run before anything is fetched."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

from fanfold import sources
from fanfold.airflow import connections, settings
from fanfold.errors import BadConfiguration, FanfoldError, Fatal, SinkUnavailable
from fanfold.workspace.files import disk_errors

if TYPE_CHECKING:
    from collections.abc import Callable


def check_all(source: str) -> None:
    """Check source, bucket, database and workspace.

    Raises:
        BadConfiguration: At least one check needs manual action; the message lists all failures.
        SinkUnavailable: All failures are transient; the message lists them.
    """
    checks: list[tuple[str, Callable[[], None]]] = [
        (f"source {source}", lambda: _check_source(source)),
        ("object storage", _check_bucket),
        ("database", _check_database),
        ("workspace", _check_workspace),
    ]
    found: list[tuple[str, FanfoldError]] = []
    for name, check in checks:
        try:
            check()
        except FanfoldError as error:
            found.append((name, error))
    if not found:
        return
    failures = "\n".join(f"  {name}: {error}" for name, error in found)
    text = f"{len(found)} of {len(checks)} preflight checks failed:\n{failures}"
    if any(isinstance(error, Fatal) for _, error in found):
        raise BadConfiguration(text)
    raise SinkUnavailable(text)


def _check_source(source: str) -> None:
    from fanfold.sources.session import Session

    with Session(sources.get(source), connections.endpoint(source)) as session:
        session.check()


def _check_bucket() -> None:
    from fanfold.stages.publishing import check_bucket

    with connections.bucket(settings.bucket_name()) as bucket:
        check_bucket(bucket)


def _check_database() -> None:
    from fanfold.stages.loading import check_database

    with connections.warehouse() as connection:
        check_database(connection, connection_id=connections.WAREHOUSE)


def _check_workspace() -> None:
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
