"""Imports what the tasks need once, in the process that they are forked from.

Airflow imports this module (it is found through ``PYTHONPATH``) whenever it starts. Each task runs
in a process forked from the scheduler's (LocalExecutor) or the worker's (Celery): what is imported
there before costs the task nothing, what is not costs it seconds. All other processes stay light.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys

# What Airflow's own task runner needs for a task, and what ours need.
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
    "matplotlib.figure",
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
    """Whether this process is one that tasks are forked from."""
    commands = arguments[1:3]
    if commands == ["celery", "worker"]:
        return True
    # With Celery the scheduler forks none.
    executor = os.environ.get("AIRFLOW__CORE__EXECUTOR", "LocalExecutor")
    return commands[:1] == ["scheduler"] and "Local" in executor


def _warm_up() -> None:
    """Do once what is slow the first time only, and is inherited by the forked tasks."""
    from pandas import Timestamp
    from pyarrow import BufferOutputStream
    from pyarrow.parquet import write_table

    from fanfold import sources
    from fanfold.stages.processing import clean_rows

    # pandas, pandera and pyarrow set up much of themselves when the first row passes through them.
    counts = {"followers_count": 1, "friends_count": 1, "statuses_count": 1}
    born = "Fri Aug 28 00:00:00 +0800 2009"
    record = {"id": 1, "screen_name": "x", "created_at": born, **counts}
    rows, _ = clean_rows(sources.get("weibo"), ["1"], [record], Timestamp.now(tz="UTC"))
    write_table(rows, BufferOutputStream(), compression="zstd")
    # The Amazon hooks look through the stack for their operator (user agent of boto). Python then
    # resolves the files of all modules, 0.1 s, and keeps what it found.
    inspect.stack()


if sys.argv[1:3] == ["celery", "worker"]:
    from fanfold.airflow import worker

    worker.prepare()

if _forks_tasks(sys.argv):
    # redis takes longer to import than all of the rest of a fetch: only where it is used.
    _redis = ["fanfold.rate_limit.redis_store"] * ("FANFOLD_RATE_LIMIT_URL" in os.environ)
    for _name in (*_AIRFLOW, *_LIBRARIES, *_STAGES, *_redis):
        importlib.import_module(_name)
    _warm_up()

# Airflow takes every public name that is listed here as a setting; there is none.
__all__: list[str] = []
