"""Publish: send the dataset to object storage so that readers see whole runs only.

    <dag_id>/date=YYYY-MM-DD/run=<run>/
        users.parquet, users.csv.gz, failed.jsonl    first, each read back and compared
        manifest.json                                last of the folder
        report.html, *.png, *.svg                    afterwards, by the report
    <dag_id>/latest.json                             moved when all of that is verified

A run whose folder ``latest.json`` already points to, and whose dataset changed (its failed items
were fetched again), would be overwritten under its readers. Such a dataset is first sent to a
folder aside, ``latest.json`` moves there, the run's folder is replaced, and ``latest.json`` moves
back: at every moment it points to something whole.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fanfold.errors import BadConfiguration, Inconsistent
from fanfold.model import RunStatus
from fanfold.stages.publishing.latest import Latest, move_latest, read_latest
from fanfold.storage.faults import s3_errors
from fanfold.storage.objects import (
    LARGE_PARTS,
    Bucket,
    Parts,
    PublishedObject,
    download_address,
    put_bytes,
    put_file,
    read_bytes,
    sha256_of,
)
from fanfold.workspace.paths import safe_name

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from fanfold.model import Manifest

__all__ = [
    "Bucket",
    "Latest",
    "Parts",
    "PublishResult",
    "PublishedObject",
    "check_bucket",
    "download_address",
    "latest_key",
    "publish",
    "read_latest",
    "run_prefix",
    "s3_errors",
    "upload_extra",
]

MANIFEST = "manifest.json"
LATEST = "latest.json"
_ASIDE = ".aside-"
_PROBES = ".fanfold-preflight/"
_SENDERS = 4
"""Extra files on their way at once; a boto3 client may be used by several threads."""
_EMPTY = "the run is empty"
_OLDER = (
    "latest.json points to a run of a later date; where a clock was wrong on that date, remove "
    "latest.json and clear `publish`"
)


@dataclass(frozen=True, slots=True)
class PublishResult:
    """What publishing did.

    Attributes:
        prefix: Prefix of the run's objects, ending in a slash.
        objects: The data files and, last, the manifest.
        latest_moved: Whether ``latest.json`` points to this run now.
        note: Why it does not; empty where it does.
    """

    prefix: str
    objects: tuple[PublishedObject, ...]
    latest_moved: bool
    note: str


def run_prefix(manifest: Manifest) -> str:
    """Return the prefix of a run's objects: ``<dag_id>/date=YYYY-MM-DD/run=<run>/``.

    The date is the logical date's in UTC.
    """
    date = datetime.fromisoformat(manifest.logical_date).astimezone(UTC).date().isoformat()
    return f"{safe_name(manifest.dag_id)}/date={date}/run={safe_name(manifest.run_id)}/"


def latest_key(dag_id: str) -> str:
    """Return the key of a DAG's ``latest.json``."""
    return f"{safe_name(dag_id)}/{LATEST}"


def publish(
    bucket: Bucket,
    dataset: Path,
    manifest: Manifest,
    *,
    parts: Parts = LARGE_PARTS,
) -> PublishResult:
    """Send the files of a manifest, the manifest, and then move ``latest.json``.

    It can be cut off at any point and called again: what is there and right is not sent again,
    and ``latest.json`` points to a whole run all the time. It never moves back to an earlier
    logical date, and never to an empty run.

    Args:
        bucket: Where to.
        dataset: The folder with the manifest's files.
        manifest: What the run produced.
        parts: How large files are cut.

    Returns:
        The verified objects, and whether ``latest.json`` points to them.

    Raises:
        Inconsistent: A file differs from the manifest, an object from its file, or the run is
            empty although ``latest.json`` points to an earlier outcome of the same run.
        BadConfiguration: The bucket is missing or closed.
        SinkUnavailable: The service is away.
    """
    _check_files(dataset, manifest)
    document = (json.dumps(manifest.as_json(), ensure_ascii=False, indent=1) + "\n").encode()
    target = _target(manifest, document)

    def send(prefix: str) -> tuple[PublishedObject, ...]:
        files = [
            put_file(
                bucket,
                prefix + entry.key,
                dataset / entry.key,
                sha256=entry.sha256,
                parts=parts,
            )
            for entry in manifest.files
        ]
        return (*files, put_bytes(bucket, prefix + MANIFEST, document))

    pointer = latest_key(manifest.dag_id)
    present = read_latest(bucket, pointer)
    under_readers = (
        present is not None and present.prefix == target.prefix and not present.same_dataset(target)
    )
    if manifest.status is RunStatus.EMPTY:
        if under_readers:
            raise Inconsistent(
                f"Run {manifest.run_id!r} was published with rows before and is empty now: "
                f"s3://{bucket.name}/{pointer} still points to the rows, so nothing was "
                "overwritten. Clear `read_items` if the list should not be empty, or trigger "
                "a new run."
            )
        return PublishResult(target.prefix, send(target.prefix), latest_moved=False, note=_EMPTY)
    if under_readers:
        aside = f"{target.prefix}{_ASIDE}{target.sha256[:16]}/"
        send(aside)
        move_latest(bucket, pointer, replace(target, manifest=aside + MANIFEST, prefix=aside))
    objects = send(target.prefix)
    if not move_latest(bucket, pointer, target):
        return PublishResult(target.prefix, objects, latest_moved=False, note=_OLDER)
    _remove_asides(bucket, target.prefix)
    return PublishResult(target.prefix, objects, latest_moved=True, note="")


def upload_extra(bucket: Bucket, prefix: str, paths: Iterable[Path]) -> list[PublishedObject]:
    """Send further files of a run, such as its report and charts, beside its dataset.

    Each is verified as the dataset is; what is there and right is not sent again.

    Args:
        bucket: Where to.
        prefix: The run's prefix, from :func:`run_prefix` or :class:`PublishResult`.
        paths: The files; the last part of each path names its object. They are sent side by side.

    Raises:
        Inconsistent: A file is missing, would replace the dataset, or its object differs from it.
        BadConfiguration: The bucket is missing or closed.
        SinkUnavailable: The service is away.
    """
    files = list(paths)
    for path in files:
        if path.name == MANIFEST or not path.is_file():
            raise Inconsistent(f"{path} cannot be published as an extra file: clear `report`.")
    with ThreadPoolExecutor(_SENDERS) as senders:
        return list(
            senders.map(lambda path: put_file(bucket, prefix + safe_name(path.name), path), files)
        )


def check_bucket(bucket: Bucket) -> None:
    """Make sure that a bucket is there and that its objects can be written, read and deleted.

    Raises:
        BadConfiguration: It is missing, or the key of the connection may not do one of these; the
            message names bucket, address and what to change.
        SinkUnavailable: The service cannot be reached.
    """
    key = f"{_PROBES}{secrets.token_hex(16)}"
    with bucket.errors():
        bucket.client.head_bucket(Bucket=bucket.name)
        bucket.client.put_object(Bucket=bucket.name, Key=key, Body=b"fanfold")
    try:
        found = read_bytes(bucket, key)
    finally:
        with bucket.errors():
            bucket.client.delete_object(Bucket=bucket.name, Key=key)
    if found is None or found[0] != b"fanfold":
        raise BadConfiguration(
            f"Bucket {bucket.name!r} does not give back what was just "
            "written; choose a service that reads its own writes."
        )


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
    """Hold the files against the manifest before anything is sent."""
    for entry in manifest.files:
        path = dataset / entry.key
        plain = entry.key == safe_name(entry.key) and entry.key != MANIFEST
        if not plain or not path.is_file() or sha256_of(path) != entry.sha256:
            raise Inconsistent(
                f"{path} is not the file that the manifest describes; clear `consolidate` with "
                "its downstream tasks."
            )


def _remove_asides(bucket: Bucket, prefix: str) -> None:
    with bucket.errors():
        pages = bucket.client.get_paginator("list_objects_v2").paginate(
            Bucket=bucket.name, Prefix=prefix + _ASIDE
        )
        for page in pages:
            for found in page.get("Contents", ()):
                bucket.client.delete_object(Bucket=bucket.name, Key=found["Key"])
