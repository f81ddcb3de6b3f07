"""# Concurrent sum

Adds up an array of numbers in processes side by side: the smallest pipeline. An item is a number
(`7`) or a range of integers (`0-999999`).

**Run it**: press *Trigger*, change the list if you like, or run

```
airflow dags trigger concurrent_sum --conf '{"items": ["0-999999", "1000000-1999999"]}'
```

The datasets are `partial_sums` (a row an item) and `total_sum`.
"""

from __future__ import annotations

from airflow.sdk import dag

from fanfold.airflow import policies, tasks
from fanfold.airflow.graph import TAG
from fanfold.airflow.params import item_params

PIPELINE = "concurrent_sum"
ITEMS = [str(number) for number in range(1, 101)]


@dag(
    dag_id=PIPELINE,
    dag_display_name="Concurrent sum",
    description="Add up an array of numbers, concurrently",
    doc_md=__doc__,
    schedule=None,
    params=item_params(ITEMS, noun="number or range", requests=False),
    tags=[TAG, "example"],
    **policies.PIPELINE,
)
def concurrent_sum() -> None:
    """Wire the tasks: fan out over the batches, fold, publish, load, report."""
    planned = tasks.plan(PIPELINE)
    batches = tasks.batches(PIPELINE, planned)
    folded = tasks.consolidate(PIPELINE)
    published = tasks.publish()

    tasks.preflight(PIPELINE) >> tasks.read_items(PIPELINE) >> planned
    batches >> folded >> published >> [tasks.load(PIPELINE), tasks.report(PIPELINE)]


concurrent_sum()
