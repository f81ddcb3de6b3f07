"""What a pipeline published last: ``<dag_id>/latest.json``, its manifest, and verified downloads."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fanfold.errors import Inconsistent, SinkUnavailable
from fanfold.model import Manifest
from fanfold.storage.objects import download, list_objects, read_bytes, remove_objects

if TYPE_CHECKING:
    from pathlib import Path

    from fanfold.model import FileEntry
    from fanfold.storage.objects import Bucket

LATEST = "latest.json"
MANIFEST = "manifest.json"
_RUN = re.compile(r"[^/]+/date=\d{4}-\d\d-\d\d/run=[^/]+/")


@dataclass(frozen=True, slots=True)
class Latest:
    """The content of ``latest.json``.

    Attributes:
        dag_id: The DAG.
        run_id: The run that produced the dataset.
        logical_date: The run's logical date (ISO 8601, UTC).
        manifest: Key of the manifest.
        prefix: Prefix of the run's objects, ending in a slash.
        sha256: SHA-256 of the manifest, in hex.
        published_at: When ``latest.json`` was written (ISO 8601, UTC).
    """

    dag_id: str
    run_id: str
    logical_date: str
    manifest: str
    prefix: str
    sha256: str
    published_at: str = ""

    def is_newer_than(self, other: Latest) -> bool:
        """Whether its logical date is later."""
        mine, theirs = map(datetime.fromisoformat, (self.logical_date, other.logical_date))
        return mine > theirs

    def same_dataset(self, other: Latest) -> bool:
        """Whether both point to the same manifest of the same run."""
        return replace(self, published_at="") == replace(other, published_at="")

    @classmethod
    def parse(cls, bucket: Bucket, key: str, data: bytes) -> Latest:
        """Parse the object at ``key``.

        Raises:
            Inconsistent: It is not a ``latest.json`` of Fanfold.
        """
        try:
            fields: dict[str, Any] = json.loads(data)
            latest = cls(**{name: str(value) for name, value in fields.items()})
            zone = datetime.fromisoformat(latest.logical_date).tzinfo
        except (ValueError, TypeError, AttributeError):
            zone = None
        if zone is None:
            raise Inconsistent(
                f"s3://{bucket.name}/{key} is not a latest.json of Fanfold: move it to another key, "
                "or set FANFOLD_BUCKET to a separate bucket, and clear the task."
            )
        return latest


@dataclass(frozen=True, slots=True)
class Published:
    """A published dataset.

    Attributes:
        bucket: The bucket.
        manifest: Its manifest.
        prefix: Prefix of its objects, ending in a slash.
        sha256: SHA-256 of the manifest, in hex.
    """

    bucket: Bucket
    manifest: Manifest
    prefix: str
    sha256: str

    def download(self, entry: FileEntry, path: Path) -> Path:
        """Download a file of the manifest to ``path`` and verify it; its folder must exist.

        Returns:
            ``path``.

        Raises:
            SinkUnavailable: It was replaced or removed meanwhile, or the service is unavailable.
        """
        key = self.prefix + entry.key
        if download(self.bucket, key, path):
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() == entry.sha256:
                    return path
        raise _replaced(self.bucket, key)


def read_latest(bucket: Bucket, key: str) -> Latest | None:
    """Return the content of ``latest.json`` at ``key``, or None if there is none yet.

    Raises:
        Inconsistent: The object is not a ``latest.json`` of Fanfold.
    """
    found = read_bytes(bucket, key)
    return None if found is None else Latest.parse(bucket, key, found[0])


def read_published(bucket: Bucket, folder: str) -> Published | None:
    """Return what a DAG published last, or None if that is nothing.

    Args:
        bucket: Where it publishes.
        folder: Its folder in the bucket: ``safe_name(dag_id)``.

    Raises:
        Inconsistent: The published files are not those of this version of Fanfold.
        SinkUnavailable: The manifest was replaced while it was read, or the service is unavailable.
    """
    latest = read_latest(bucket, f"{folder}/{LATEST}")
    if latest is None:
        return None
    document = read_bytes(bucket, latest.manifest)
    if document is None or hashlib.sha256(document[0]).hexdigest() != latest.sha256:
        raise _replaced(bucket, latest.manifest)
    try:
        manifest = Manifest.from_json(json.loads(document[0]))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Inconsistent(
            f"s3://{bucket.name}/{latest.manifest} is not a manifest of this version of Fanfold "
            f"({error!r}): run the pipeline that publishes it again."
        ) from error
    return Published(bucket, manifest, latest.prefix, latest.sha256)


@dataclass(frozen=True, slots=True)
class PublishedRun:
    """The objects of a run.

    Attributes:
        name: Name of its folder: ``safe_name(run_id)``.
        prefix: Their prefix, ending in a slash.
        keys: Their keys.
        bytes: Their size.
        written_at: When the last of them was written.
    """

    name: str
    prefix: str
    keys: tuple[str, ...]
    bytes: int
    written_at: datetime

    @property
    def is_whole(self) -> bool:
        """Whether it has a manifest; else its removal, or its first publication, was cut off."""
        return self.prefix + MANIFEST in self.keys

    def remove(self, bucket: Bucket) -> None:
        """Delete the objects, the manifest first: a reader finds a whole run or none.

        If it is cut off, :func:`published_runs` still lists the rest.
        """
        remove_objects(bucket, sorted(self.keys, key=lambda key: key != self.prefix + MANIFEST))


def published_runs(bucket: Bucket, folder: str) -> list[PublishedRun]:
    """Return the runs in the folder of a DAG, sorted by date."""
    found: dict[str, list[tuple[str, int, datetime]]] = {}
    for listed in list_objects(bucket, f"{folder}/date="):
        if match := _RUN.match(listed[0]):
            found.setdefault(match[0], []).append(listed)
    runs = []
    for prefix, objects in found.items():
        keys, sizes, times = zip(*objects, strict=True)
        name = prefix.rpartition("/run=")[2].rstrip("/")
        runs.append(PublishedRun(name, prefix, keys, sum(sizes), max(times)))
    return runs


def _replaced(bucket: Bucket, key: str) -> SinkUnavailable:
    return SinkUnavailable(
        f"s3://{bucket.name}/{key} does not have the SHA-256 that latest.json or the manifest "
        "gives: it was replaced while it was read. If this happens again, run the pipeline that "
        "publishes it again."
    )
