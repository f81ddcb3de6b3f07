"""Imports what the tasks need once, in the process that they are forked from.

Airflow imports this module (it is found through ``PYTHONPATH``) whenever it starts. Each task runs
in a process forked from the scheduler's (LocalExecutor) or the worker's (Celery): what is imported
there before costs the task nothing, what is not costs it seconds. All other processes stay light.
"""

from __future__ import annotations

import importlib
import sys

# What Airflow's own task runner needs for a task, and what ours need.
_AIRFLOW = (
    "airflow.sdk",
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    "airflow.providers.amazon.aws.hooks.s3",
)
_LIBRARIES = (
    "boto3",
    "jinja2",
    "matplotlib.figure",
    "pandas",
    "pandera.backends.pandas.builtin_checks",
    "pandera.backends.pandas.builtin_hypotheses",
    "pandera.pandas",
    "pyarrow.csv",
    "pyarrow.pandas_compat",
    "pyarrow.parquet",
    "requests",
)
_STAGES = (
    "fanfold.airflow.checks",
    "fanfold.airflow.items",
    "fanfold.airflow.tasks",
    "fanfold.consolidation",
    "fanfold.fetching",
    "fanfold.loading",
    "fanfold.planning",
    "fanfold.processing.contract",
    "fanfold.publishing",
    "fanfold.readers",
    "fanfold.reporting",
    "fanfold.sources.mastodon",
    "fanfold.sources.weibo",
)


def _forks_tasks(arguments: list[str]) -> bool:
    """Whether this process is one that tasks are forked from."""
    commands = arguments[1:3]
    return commands[:1] == ["scheduler"] or commands == ["celery", "worker"]


if _forks_tasks(sys.argv):
    for _name in (*_AIRFLOW, *_LIBRARIES, *_STAGES):
        importlib.import_module(_name)

# Airflow takes every public name of this module as a setting; there is none.
__all__: list[str] = []
