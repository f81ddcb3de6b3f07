"""Preload the modules that tasks need in the process they are forked from.

Airflow imports this module from ``PYTHONPATH`` at every start. Tasks are forked from the scheduler
(LocalExecutor) or the worker (Celery), so modules imported there cost a task nothing. Other
processes import nothing here. Pipelines are not imported: each task imports its pipeline, so that a
change takes effect with the next task.
"""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_AIRFLOW = (
    "airflow.sdk",
    "airflow.sdk.definitions.retry_policy",
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    "airflow.sdk.execution_time.timeout",
    "airflow.providers.amazon.aws.hooks.s3",
    "airflow.providers.standard.triggers.temporal",
)
_LIBRARIES = (
    "boto3",
    "duckdb",
    "jinja2.ext",
    "pandas",
    "pandera.backends.pandas.builtin_checks",
    "pandera.backends.pandas.builtin_hypotheses",
    "pandera.engines.pandas_engine",
    "pandera.pandas",
    "pyrate_limiter",
    "pyarrow.csv",
    "pyarrow.pandas_compat",
    "pyarrow.parquet",
    "requests",
)
_PACKAGES = ("fanfold.stages", "fanfold.readers", "fanfold.sources", "fanfold.workspace")
"""Packages whose modules are all imported."""
_FANFOLD = (
    "fanfold.airflow.checks",
    "fanfold.airflow.params",
    "fanfold.airflow.policies",
    "fanfold.airflow.tasks",
    "fanfold.loader",
    "fanfold.rate_limit.file_store",
    "fanfold.rate_limit.limiter",
)


def _forks_tasks(arguments: list[str]) -> bool:
    """Return whether tasks are forked from this process."""
    commands = arguments[1:3]
    if commands == ["celery", "worker"]:
        return True
    # With the CeleryExecutor the scheduler forks no tasks.
    executor = os.environ.get("AIRFLOW__CORE__EXECUTOR", "LocalExecutor")
    return commands[:1] == ["scheduler"] and "Local" in executor


def _modules() -> Iterator[str]:
    yield from (*_AIRFLOW, *_LIBRARIES, *_FANFOLD)
    for package in _PACKAGES:
        path = importlib.import_module(package).__path__
        yield from (each.name for each in pkgutil.walk_packages(path, f"{package}."))
    if "FANFOLD_RATE_LIMIT_URL" in os.environ:  # redis is slow to import
        yield "fanfold.rate_limit.redis_store"


def _warm_up() -> None:
    """Run slow initializations once; forked tasks inherit the result."""
    import pandas as pd
    import pandera.pandas as pa
    from pyarrow import BufferOutputStream, Table
    from pyarrow.parquet import write_table

    # pandas, pandera and pyarrow initialize lazily with the first row.
    moment = pd.DatetimeTZDtype(unit="us", tz="UTC")
    columns = {
        "number": pa.Column(int, pa.Check.ge(0)),
        "text": pa.Column(str, pa.Check.isin(["a"]), nullable=True),
        "at": pa.Column(moment, nullable=True),
    }
    rows = pd.DataFrame({"number": ["1"], "text": ["a"], "at": ["2026-01-01T00:00:00Z"]})
    rows = pa.DataFrameSchema(columns, coerce=True).validate(rows, lazy=True)
    write_table(Table.from_pandas(rows), BufferOutputStream(), compression="zstd")
    # The Amazon hooks inspect the stack for the user agent of boto; this fills a cache in 0.1 s.
    inspect.stack()


def _check_uris() -> None:
    """Load what checks the URIs of Assets: for ``s3`` it imports boto3, 0.4 s in each parse of a DAG file."""
    from airflow.sdk import Asset

    Asset("s3://bucket/key")


if sys.argv[1:3] == ["celery", "worker"]:
    from fanfold.airflow import worker

    worker.prepare()

if _forks_tasks(sys.argv):
    for _name in _modules():
        importlib.import_module(_name)
    _warm_up()
    _check_uris()
elif sys.argv[1:2] == ["dag-processor"]:
    _check_uris()

# Airflow reads the public names listed here as settings; there are none.
__all__: list[str] = []
