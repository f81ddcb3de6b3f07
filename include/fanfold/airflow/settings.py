"""Configuration of a run: environment variables and Params, parsed once into typed objects."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from fanfold.errors import BadConfiguration
from fanfold.model import RunIdentity
from fanfold.workspace.limits import with_changed_limits
from fanfold.workspace.paths import INPUTS, Workspace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Context


_FILES_PREFIX = re.compile(r"(s3://[^/]+|file://)/(.*/)?")
IS_LIST = "x-list"
DEFAULT = "x-default"
CONNECTION = "x-connection"
SAMPLE = "x-sample"
"""Keywords of ours in the schemas of Params: the Param with the list, whatever its name; the default,
which Airflow replaces by the run's value (and ``default`` itself breaks its deserialisation); the
connection of ``items_sql``; whether the list of the DAG file is only a sample."""


@dataclass(frozen=True, slots=True)
class Options:
    """Params of a run, validated by Airflow (:mod:`.params`), and limits that were changed since."""

    batch_size: int | None
    tolerated_failure_percentage: float
    tolerated_rejected_percentage: float
    dry_run: bool
    concurrency: int = 1
    requests_per_second: float | None = None
    lag_days: int = 0
    earlier_rows: str = "auto"
    row_drop_warning_percentage: float = 50

    @classmethod
    def of(cls, context: Context) -> Options:
        """Return the options of the current run; those with defaults are not Params of all pipelines."""
        params = with_changed_limits(workspace_of(context), context["params"])
        return cls(**{name: params[name] for name in cls.__slots__ if name in params})


def identity(context: Context) -> RunIdentity:
    """Return the identity of the current run.

    A run without a logical date uses its ``run_after``.
    """
    run = context["dag_run"]
    date = run.logical_date or run.run_after or datetime.now(UTC)
    return RunIdentity(run.dag_id, run.run_id, date.astimezone(UTC))


def shared_directory(environment: Mapping[str, str] = os.environ) -> Path:
    """Return ``FANFOLD_SHARED_DIR``.

    Raises:
        BadConfiguration: It is not set, or not absolute.
    """
    value = environment.get("FANFOLD_SHARED_DIR", "")
    if not value or not Path(value).is_absolute():
        raise BadConfiguration(
            f"FANFOLD_SHARED_DIR is {value!r}; set it to the absolute path of a directory that "
            "all workers share."
        )
    return Path(value)


def bucket_name(environment: Mapping[str, str] = os.environ) -> str:
    """Return ``FANFOLD_BUCKET``.

    Raises:
        BadConfiguration: It is not set.
    """
    value = environment.get("FANFOLD_BUCKET", "").strip()
    if not value:
        raise BadConfiguration("FANFOLD_BUCKET is not set; set it to the bucket to publish to.")
    return value


def files_allowed(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return ``FANFOLD_FILES_ALLOWED``: the URI prefixes of the files that runs may read.

    Default: the bucket in ``FANFOLD_BUCKET``. The folder ``inputs`` in ``FANFOLD_SHARED_DIR`` is always
    among them.

    Raises:
        BadConfiguration: A prefix is neither ``s3://bucket/…/`` nor ``file:///folder/…/``.
    """
    value = environment.get("FANFOLD_FILES_ALLOWED", "")
    prefixes = tuple(value.replace(",", " ").split())
    for prefix in prefixes:
        if not _FILES_PREFIX.fullmatch(prefix):
            raise BadConfiguration(
                f"FANFOLD_FILES_ALLOWED is {value!r}; {prefix!r} must look like s3://bucket/, "
                "s3://bucket/exports/ or file:///data/drops/. Separate prefixes by blanks."
            )
    prefixes = prefixes or (f"s3://{bucket_name(environment)}/",)
    inputs = Path(environment.get("FANFOLD_SHARED_DIR", "")) / INPUTS
    return (*prefixes, f"file://{inputs}/") if inputs.is_absolute() else prefixes


def rate_limit_url(environment: Mapping[str, str] = os.environ) -> str | None:
    """Return ``FANFOLD_RATE_LIMIT_URL``: the Redis of the rate limits, or None to use files."""
    return environment.get("FANFOLD_RATE_LIMIT_URL", "").strip() or None


def defer_after(environment: Mapping[str, str] = os.environ) -> float:
    """Return ``FANFOLD_DEFER_AFTER``: wait in seconds from which a task defers (60).

    For shorter waits a deferral costs more than the slot.

    Raises:
        BadConfiguration: It is not a number above 0.
    """
    value = environment.get("FANFOLD_DEFER_AFTER", "").strip() or "60"
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise BadConfiguration(
            f"FANFOLD_DEFER_AFTER is {value!r}; set it to a number of seconds above 0 or unset it "
            "(default 60)."
        )
    return seconds


def workspace_of(context: Context) -> Workspace:
    """Return the workspace of the current run."""
    run = identity(context)
    return Workspace.of_run(shared_directory(), run.dag_id, run.run_id)
