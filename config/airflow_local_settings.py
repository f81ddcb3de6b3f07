"""Preload the modules that tasks need in the process they are forked from.

Airflow imports this module from ``PYTHONPATH`` at every start. Tasks are forked from the scheduler
(LocalExecutor) or the worker (Celery), so modules imported there cost a task nothing. Other
processes import nothing here.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys

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
    "jinja2.ext",
    "pandas",
    "pandera.backends.pandas.builtin_checks",
    "pandera.backends.pandas.builtin_hypotheses",
    "pandera.pandas",
    "PIL.PngImagePlugin",
    "pyrate_limiter",
    "pyarrow.csv",
    "pyarrow.pandas_compat",
    "pyarrow.parquet",
    "requests",
)
_STAGES = (
    "fanfold.airflow.checks",
    "fanfold.airflow.items",
    "fanfold.airflow.params",
    "fanfold.airflow.policies",
    "fanfold.airflow.tasks",
    "fanfold.stages.comparing",
    "fanfold.stages.consolidating",
    "fanfold.stages.fetching",
    "fanfold.rate_limit.file_store",
    "fanfold.rate_limit.limiter",
    "fanfold.stages.loading",
    "fanfold.stages.planning",
    "fanfold.stages.processing",
    "fanfold.stages.publishing",
    "fanfold.readers",
    "fanfold.stages.reporting",
    "fanfold.workspace.redrive",
    "fanfold.sources.session",
    "fanfold.sources.mastodon",
    "fanfold.sources.weibo",
)


def _forks_tasks(arguments: list[str]) -> bool:
    """Return whether tasks are forked from this process."""
    commands = arguments[1:3]
    if commands == ["celery", "worker"]:
        return True
    # With the CeleryExecutor the scheduler forks no tasks.
    executor = os.environ.get("AIRFLOW__CORE__EXECUTOR", "LocalExecutor")
    return commands[:1] == ["scheduler"] and "Local" in executor


def _warm_up() -> None:
    """Run slow initializations once; forked tasks inherit the result."""
    from pandas import Timestamp
    from pyarrow import BufferOutputStream
    from pyarrow.parquet import write_table

    from fanfold import sources
    from fanfold.stages.processing import clean_rows

    # pandas, pandera and pyarrow initialize lazily with the first row.
    counts = {"followers_count": 1, "friends_count": 1, "statuses_count": 1}
    born = "Fri Aug 28 00:00:00 +0800 2009"
    record = {"id": 1, "screen_name": "x", "created_at": born, **counts}
    rows, _ = clean_rows(sources.get("weibo"), ["1"], [record], Timestamp.now(tz="UTC"))
    write_table(rows, BufferOutputStream(), compression="zstd")
    # The Amazon hooks inspect the stack for the user agent of boto; this fills a cache in 0.1 s.
    inspect.stack()


if sys.argv[1:3] == ["celery", "worker"]:
    from fanfold.airflow import worker

    worker.prepare()

if _forks_tasks(sys.argv):
    # redis is slow to import: only where it is used.
    _redis = ["fanfold.rate_limit.redis_store"] * ("FANFOLD_RATE_LIMIT_URL" in os.environ)
    for _name in (*_AIRFLOW, *_LIBRARIES, *_STAGES, *_redis):
        importlib.import_module(_name)
    _warm_up()

# Airflow reads the public names listed here as settings; there are none.
__all__: list[str] = []
