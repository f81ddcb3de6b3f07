"""``python -m fanfold.airflow.doctor``: check an installation; each failure has its remedy.

The checks of ``preflight`` without a run, and those of the machine. It needs Airflow's database, as the
scheduler does. A worker has none: ``--worker`` checks what is its own.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import re
import resource
import shutil
import sys
import tempfile
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Connections come from Airflow's database; read on its import.
os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")

from fanfold.airflow import checks, connections, settings
from fanfold.airflow.notifications import CONNECTION as NOTIFY
from fanfold.airflow.notifications.channels import CHANNELS
from fanfold.errors import BadConfiguration, FanfoldError
from fanfold.loader import load_pipeline, pipeline_names
from fanfold.sources import Api, Function

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Checks = list[tuple[str, Callable[[], str | None]]]

_SKEW = 60.0
"""Seconds between the clocks of two machines: tokens of Airflow's tasks expire by them; S3 permits 15 minutes."""
_FILES, _PROCESSES = 1024, 512
"""Least limits of open files and processes of a worker."""


def check_versions() -> str:
    """Check Python and the installed packages against what Fanfold declares."""
    from packaging.requirements import Requirement

    wrong = []
    for text in metadata.requires("fanfold") or ():
        needed = Requirement(text)
        if needed.marker and not needed.marker.evaluate({"extra": ""}):
            continue
        try:
            found = metadata.version(needed.name)
        except metadata.PackageNotFoundError:
            found = "none"
        if found == "none" or not needed.specifier.contains(found, prereleases=True):
            wrong.append(f"{needed.name}{needed.specifier} (installed: {found})")
    if wrong:
        raise BadConfiguration(
            f"Fanfold needs {', '.join(wrong)}: install it again with pip and without --no-deps."
        )
    names = ("fanfold", "apache-airflow-core", "apache-airflow-providers-amazon", "duckdb")
    python = ".".join(map(str, sys.version_info[:3]))
    return ", ".join([f"Python {python}", *(f"{name} {metadata.version(name)}" for name in names)])


def check_shared_directory(mark: str = "") -> str:
    """Check what workspaces need of the shared directory: exclusive files, rename, lock.

    Args:
        mark: Name of a file that the first machine creates and the others must find.
    """
    checks.check_workspace()
    shared = settings.shared_directory()
    with tempfile.TemporaryDirectory(prefix=".doctor-", dir=shared) as name:
        old, new = Path(name, "old"), Path(name, "new")
        for path in (old, new):
            path.write_text(path.name)
        new.replace(old)
        if old.read_text() != "new" or new.exists():
            raise BadConfiguration(_unfit(shared, "a rename does not replace a file"))
        try:
            old.open("x").close()
        except FileExistsError:
            pass
        else:
            raise BadConfiguration(_unfit(shared, "an existing file is created once more"))
        with old.open("w") as first, old.open("w") as second:
            try:
                fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise BadConfiguration(_unfit(shared, f"no locks ({error.strerror})")) from None
            try:
                fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pass
            else:
                raise BadConfiguration(_unfit(shared, "a file is locked twice"))
    if mark and not (shared / f".doctor-{mark}").exists():
        raise BadConfiguration(
            f"FANFOLD_SHARED_DIR={shared} is not the directory of the other machines: mount the same file "
            "system there on all."
        )
    free = shutil.disk_usage(shared)
    return f"{shared}, {free.free / 1e9:,.1f} GB free of {free.total / 1e9:,.1f}"


def _unfit(shared: Path, problem: str) -> str:
    return (
        f"FANFOLD_SHARED_DIR={shared}: {problem}. Use a local disk, NFS 4.1 or EFS, not a file system over "
        "object storage, and mount it with locks."
    )


def check_clock() -> str:
    """Compare the clock with those of the bucket and the database."""
    found = {}
    with connections.bucket(settings.bucket_name()) as bucket, bucket.errors():
        answer = bucket.client.list_objects_v2(Bucket=bucket.name, MaxKeys=1)
    if date := answer["ResponseMetadata"]["HTTPHeaders"].get("date"):
        found["the bucket"] = parsedate_to_datetime(date)
    with connections.warehouse() as connection:
        if hasattr(connection, "info"):  # psycopg; SQLite has no clock of its own
            found["the database"] = connection.execute("SELECT clock_timestamp()").fetchone()[0]
    offsets = {name: (at - datetime.now(UTC)).total_seconds() for name, at in found.items()}
    for name, seconds in offsets.items():
        if abs(seconds) > _SKEW:
            raise BadConfiguration(
                f"The clock of {name} differs by {seconds:+,.0f} s. Synchronize all machines (chrony, NTP)."
            )
    return ", ".join(f"{name}: within {_SKEW:.0f} s" for name in offsets) or "no other clock"


def check_limits() -> str:
    """Check the limits of open files and processes."""
    found = []
    for name, kind, least in (
        ("open files", resource.RLIMIT_NOFILE, _FILES),
        ("processes", resource.RLIMIT_NPROC, _PROCESSES),
    ):
        limit, _ = resource.getrlimit(kind)
        if 0 <= limit < least:
            raise BadConfiguration(
                f"The limit of {name} is {limit}: raise it to at least {least} (ulimit, LimitNOFILE and "
                "LimitNPROC of systemd, ulimits of Docker)."
            )
        found.append(f"{name}: {'unlimited' if limit < 0 else limit}")
    return ", ".join(found)


def check_pools() -> str:
    """Check that the pool of each task exists."""
    from airflow.models.pool import Pool
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session(scoped=False) as session:
        pools = set(session.scalars(select(Pool.pool)))
        dags = SerializedDagModel.read_all_dags(session=session)
        missing = {
            (task.pool, dag_id)
            for dag_id, dag in dags.items()
            for task in dag.tasks
            if task.pool not in pools
        }
    if missing:
        pool, dag_id = min(missing)
        raise BadConfiguration(
            f"There is no pool {pool!r}, which {dag_id} names: its fetch tasks take default_pool, and any other "
            f"task waits forever. Create it: `airflow pools set {pool} 8 ''`."
        )
    return f"{len(pools)}, and all that {len(dags)} DAGs use"


def check_notify() -> str:
    """Check that the connection for notifications has a type that can notify."""
    try:
        kind = connections.connection_of(NOTIFY).conn_type
    except BadConfiguration as error:
        if "neither" in str(error):
            raise
        return f"no connection {NOTIFY}: no notifications"
    if kind not in CHANNELS:
        raise BadConfiguration(
            f"Connection {NOTIFY!r} has the type {kind!r}; use {', '.join(sorted(CHANNELS))}."
        )
    return str(kind)


def _sources() -> Iterator[tuple[str, Callable[[], str | None]]]:
    """Return a check for each connection that the pipelines of unpaused DAGs request."""
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session(scoped=False) as session:
        active = set(session.scalars(select(DagModel.dag_id).where(~DagModel.is_paused)))
    seen: set[str] = set()
    for name in sorted(active.intersection(pipeline_names())):
        try:
            pipeline = load_pipeline(name).pipeline
        except FanfoldError as error:
            yield f"pipeline {name}", partial(_fail, error)
            continue
        connection = connections.source_connection(pipeline)
        if isinstance(pipeline.source, (Api, Function)) and connection not in seen:
            seen.add(connection)
            yield connection, partial(checks.check_source_of, pipeline)


def _fail(error: FanfoldError) -> str:
    raise error


def checks_of(*, worker: bool = False, mark: str = "") -> Checks:
    """Return the checks of an installation, or of one worker of it."""
    machine: Checks = [
        ("versions", check_versions),
        ("shared directory", partial(check_shared_directory, mark)),
        ("limits", check_limits),
    ]
    if worker:
        return machine
    return [
        *machine,
        ("object storage", checks.check_bucket),
        ("database", checks.check_database),
        ("clock", check_clock),
        ("pools", check_pools),
        (NOTIFY, check_notify),
        *_sources(),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line a check; return 1 if one failed."""
    parser = argparse.ArgumentParser(
        prog="python -m fanfold.airflow.doctor", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--worker", action="store_true", help="only what a worker has")
    parser.add_argument("--mark", default="", help="a file that the shared directory must have")
    given: Any = parser.parse_args(arguments)
    chosen = checks_of(worker=given.worker, mark=given.mark)
    width = max(len(name) for name, _ in chosen)
    failed = 0
    for name, check in chosen:
        text, error = checks.result(check)
        failed += error is not None
        sign, text = ("FAILED", str(error)) if error else ("ok", text)
        lines = re.sub(r"\n\s*", f"\n{'':{width + 9}}", text)
        sys.stdout.write(f"{sign:<7}{name:<{width}}  {lines}\n")
    sys.stdout.write(f"{len(chosen)} checks, {failed} failed.\n")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
