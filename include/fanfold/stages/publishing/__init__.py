"""Publish: upload the dataset to object storage so that readers only see whole runs.

    <dag_id>/date=YYYY-MM-DD/run=<run>/
        <dataset>.parquet, <dataset>.csv.gz, the same of each fold,
        failed.jsonl, missing.jsonl, …  first, each verified
        manifest.json                   when all of them are verified
        report.html                     later, by the task `report`
    <dag_id>/latest.json                replaced after the manifest

If ``latest.json`` already points to this run and the dataset has changed (failed items were fetched
again), an upload would overwrite objects under their readers. The new dataset is then first
uploaded to a folder aside, ``latest.json`` moves there, the run's folder is replaced, and
``latest.json`` moves back: it points to a whole dataset at any time.

A run with items of its own is published under its prefix only, unless ``latest.json`` points to nothing
yet, or to this run.

A merged dataset (``mode="merge"``) replaces only the dataset that it was merged into, whatever the
logical dates. If another run was published in between, nothing moves, and it has to be merged again.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from fanfold.errors import Inconsistent
from fanfold.messages import ENGINE
from fanfold.model import RunStatus
from fanfold.stages.publishing.conditions import IfMatch, check_bucket
from fanfold.stages.publishing.latest import NO_LOCK, may_follow, move_latest
from fanfold.storage.objects import (
    LARGE_PARTS,
    Bucket,
    Parts,
    PublishedObject,
    list_objects,
    put_bytes,
    put_file,
    remove_objects,
)
from fanfold.storage.published import LATEST, MANIFEST, Latest, read_latest
from fanfold.workspace.paths import safe_name

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from fanfold.messages import Message
    from fanfold.model import FileEntry, Manifest

__all__ = [
    "IfMatch",
    "Latest",
    "PublishResult",
    "check_bucket",
    "latest_key",
    "publish",
    "read_latest",
    "run_prefix",
    "upload_extra",
]

UpdateLatest = Literal["yes", "first", "no"]
_ASIDE = ".aside-"
_UPLOADS = 4
"""Concurrent uploads; boto3 clients are thread-safe."""


@dataclass(frozen=True, slots=True)
class PublishResult:
    """The result of publishing.

    Attributes:
        prefix: Prefix of the run's objects, ending in a slash.
        objects: The data files and, last, the manifest.
        latest_moved: Whether ``latest.json`` points to this run now.
        kept: The run that it still points to, because this one is empty or was not to become the latest.
        warning: Why it points to another run, of a later date.
        outdated: The dataset was merged into one that is no longer the latest: merge it again.
    """

    prefix: str
    objects: tuple[PublishedObject, ...]
    latest_moved: bool
    kept: str = ""
    warning: Message | None = None
    outdated: bool = False


def run_prefix(manifest: Manifest) -> str:
    """Return the prefix of a run's objects: ``<dag_id>/date=YYYY-MM-DD/run=<run>/``.

    The date is the logical date in UTC.
    """
    date = datetime.fromisoformat(manifest.logical_date).astimezone(UTC).date().isoformat()
    return f"{safe_name(manifest.dag_id)}/date={date}/run={safe_name(manifest.run_id)}/"


def latest_key(dag_id: str) -> str:
    """Return the key of a DAG's ``latest.json``."""
    return f"{safe_name(dag_id)}/{LATEST}"


def publish(  # noqa: PLR0913 - each way ends at its result
    bucket: Bucket,
    dataset: Path,
    manifest: Manifest,
    *,
    update_latest: UpdateLatest = "yes",
    parts: Parts = LARGE_PARTS,
    lock: AbstractContextManager[Any] = NO_LOCK,
) -> PublishResult:
    """Upload the files of a manifest, then the manifest, then move ``latest.json``.

    Files are uploaded concurrently. The lock, one for all runs of a DAG, is held only while
    ``latest.json`` moves; see :func:`.move_latest`.

    It may be interrupted at any point and called again: verified objects are not uploaded again,
    and ``latest.json`` points to a whole run at any time. It never moves back to an earlier
    logical date, and never to an empty run; to a merged dataset, only from its base.

    Args:
        bucket: The bucket.
        dataset: Folder with the files.
        manifest: The manifest; the published one has ``updates_latest``.
        update_latest: Whether ``latest.json`` may move; ``first``: only if it points to nothing. One that
            points to this run already is kept up to date. Not for merged datasets, which always move it.
        parts: How large files are uploaded.
        lock: As for :func:`.move_latest`.

    Returns:
        The verified objects, and whether ``latest.json`` points to them.

    Raises:
        Inconsistent: A file does not match the manifest, an object does not match its file, or the
            run is empty although ``latest.json`` points to an earlier outcome of it.
        BadConfiguration: The bucket is missing or access is denied.
        SinkUnavailable: The service is unavailable.
    """
    _check_files(dataset, manifest)
    pointer = latest_key(manifest.dag_id)
    present = read_latest(bucket, pointer)
    moves = manifest.mode == "merge" or _may_move(present, manifest, update_latest)
    manifest = replace(manifest, updates_latest=moves)
    document = manifest.document()
    target = _target(manifest, document)
    # Its own SHA-256: latest.json points to the folder aside, or this is another try.
    bases = {manifest.base, target.sha256} if manifest.mode == "merge" else None

    def send(prefix: str) -> tuple[PublishedObject, ...]:
        def send_file(file: FileEntry) -> PublishedObject:
            path = dataset / file.key
            return put_file(bucket, prefix + file.key, path, sha256=file.sha256, parts=parts)

        with ThreadPoolExecutor(_UPLOADS) as pool:
            files = list(pool.map(send_file, manifest.files))
        return (*files, put_bytes(bucket, prefix + MANIFEST, document))

    under_readers = (
        present is not None and present.prefix == target.prefix and not present.same_dataset(target)
    )
    is_empty = manifest.status is RunStatus.EMPTY
    if is_empty and under_readers:
        raise Inconsistent(
            f"Run {manifest.run_id!r} was published with rows and is empty now. "
            f"s3://{bucket.name}/{pointer} still points to the rows; nothing was overwritten. "
            "Clear `read_items` if the items should not be empty, or trigger a new run."
        )
    if is_empty or not moves:
        kept = present.run_id if present else ""
        return PublishResult(target.prefix, send(target.prefix), latest_moved=False, kept=kept)
    outdated = PublishResult(target.prefix, (), latest_moved=False, outdated=True)
    if bases and not may_follow(present, target, bases):
        return outdated
    if under_readers:
        aside = f"{target.prefix}{_ASIDE}{target.sha256[:16]}/"
        send(aside)
        beside = replace(target, manifest=aside + MANIFEST, prefix=aside)
        if not move_latest(bucket, pointer, beside, bases, lock) and bases:
            return outdated
    objects = send(target.prefix)
    if not move_latest(bucket, pointer, target, bases, lock):
        if bases:
            return outdated
        newest = read_latest(bucket, pointer)
        warning = ENGINE.message("publish.older", newest=newest.logical_date if newest else "")
        return PublishResult(target.prefix, objects, latest_moved=False, warning=warning)
    asides = list_objects(bucket, target.prefix + _ASIDE)
    remove_objects(bucket, [key for key, *_ in asides])
    return PublishResult(target.prefix, objects, latest_moved=True)


def _may_move(present: Latest | None, manifest: Manifest, update_latest: UpdateLatest) -> bool:
    if present is None:
        return update_latest != "no"
    return update_latest == "yes" or present.run_id == manifest.run_id


def upload_extra(bucket: Bucket, prefix: str, paths: Iterable[Path]) -> list[PublishedObject]:
    """Upload further files of a run, such as the report, next to its dataset.

    They are uploaded concurrently and verified like the dataset.

    Each object has the name of its file, under the run's ``prefix``.

    Raises:
        Inconsistent: A file is missing, would replace the manifest, or differs from its object.
        BadConfiguration: The bucket is missing or access is denied.
        SinkUnavailable: The service is unavailable.
    """
    files = list(paths)
    for path in files:
        if path.name == MANIFEST or not path.is_file():
            raise Inconsistent(f"{path} cannot be published as an extra file: clear `report`.")
    keys = [prefix + safe_name(path.name) for path in files]
    with ThreadPoolExecutor(_UPLOADS) as pool:
        return list(pool.map(lambda key, path: put_file(bucket, key, path), keys, files))


def _target(manifest: Manifest, document: bytes) -> Latest:
    prefix = run_prefix(manifest)
    return Latest(
        dag_id=manifest.dag_id,
        run_id=manifest.run_id,
        logical_date=manifest.logical_date,
        manifest=prefix + MANIFEST,
        prefix=prefix,
        sha256=hashlib.sha256(document).hexdigest(),
    )


def _check_files(dataset: Path, manifest: Manifest) -> None:
    """Check names and sizes before any upload; the upload checks each SHA-256."""
    for entry in manifest.files:
        path = dataset / entry.key
        plain = entry.key == safe_name(entry.key) and entry.key != MANIFEST
        if not plain or not path.is_file() or path.stat().st_size != entry.bytes:
            raise Inconsistent(
                f"{path} does not match the manifest; clear `consolidate` with its downstream "
                "tasks."
            )
