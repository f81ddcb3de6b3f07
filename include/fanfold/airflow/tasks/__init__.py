"""Tasks of the pipelines. Each loads the pipeline by name and calls its stage.

A task gets the pipeline's name, not the pipeline: Airflow writes arguments into the serialised DAG,
and a DAG file that imported the pipeline would take as long to parse as pandas takes to import.
"""

from fanfold.airflow.tasks.batches import batch, batches, process
from fanfold.airflow.tasks.preparation import plan, preflight, read_items
from fanfold.airflow.tasks.results import approval, consolidate, load, publish, report

__all__ = [
    "approval", "batch", "batches", "consolidate", "load", "plan", "preflight", "process", "publish", "read_items",
    "report",
]  # fmt: skip
