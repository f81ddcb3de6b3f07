"""Parse DAG files as Airflow does, each in a process of its own.

``parse_dags.py FILE...`` with a fresh AIRFLOW_HOME prints two lines of JSON by file: what it imports,
and its DAGs.
"""

from __future__ import annotations

import gc
import importlib
import json
import multiprocessing
import runpy
import sys
import time
import traceback
from functools import partial

from airflow import sdk

LAZY = ("Asset", "BaseOperator", "Param", "RetryPolicy", "dag", "task", "task_group")
"""Names that airflow.sdk imports on use."""
HEAVY = {
    *("pandas", "numpy", "pandera", "pyarrow", "duckdb", "boto3", "requests", "urllib3"),
    *("psycopg", "pipelines"),
}


def imported(path):
    """Run the file; return the heavy modules that it imports and its CPU time in milliseconds."""
    before, start = set(sys.modules), time.process_time()
    runpy.run_path(path)
    milliseconds = round((time.process_time() - start) * 1000)
    new = set(sys.modules) - before
    return {
        "heavy": sorted(name for name in new if name.partition(".")[0] in HEAVY),
        "milliseconds": milliseconds,
    }


def serialised(path):
    """Return hash and default items of each DAG of the file, after a round trip."""
    from airflow.dag_processing.dagbag import DagBag
    from airflow.serialization.serialized_objects import DagSerialization, LazyDeserializedDAG

    from fanfold.airflow.settings import IS_LIST

    bag = DagBag(path)
    if bag.import_errors:
        raise ImportError("\n".join(bag.import_errors.values()))
    found = {}
    for dag_id, dag in bag.dags.items():
        lazy = LazyDeserializedDAG.from_dag(dag)
        params = DagSerialization.from_dict(lazy.data).params
        lists = [params.get_param(name) for name in params]
        items = next((param.value for param in lists if IS_LIST in param.schema), None)
        found[dag_id] = {"hash": lazy.hash, "items": items or []}
    return {"dags": found}


def attempt(step, path):
    try:
        return step(path)
    except Exception:  # noqa: BLE001 - whatever a DAG file raises
        return {"error": traceback.format_exc()}


def main(paths):
    # Forks, as tasks are: a file counts what it adds to Airflow and an empty DAG.
    sdk.DAG("empty", schedule=None)
    for name in LAZY:
        getattr(sdk, name)
    sdk.Asset("s3://bucket/key")  # as config/airflow_local_settings.py
    gc.freeze()  # else some file has the 0.1 s of a collection of all that Airflow imported
    for step in (imported, serialised):
        with multiprocessing.get_context("fork").Pool(1, maxtasksperchild=1) as pool:
            results = pool.map(partial(attempt, step), paths, chunksize=1)
        print(json.dumps(dict(zip(paths, results, strict=True))))
        importlib.import_module("airflow.dag_processing.dagbag")  # once, for the second step


if __name__ == "__main__":
    main(sys.argv[1:])
