"""# Order analysis

Reads order lines from files in object storage and keeps one dataset of all orders: revenue by day,
category and currency, products, customers, and the repeat rate.

**Run it**: each morning it reads the new and changed files under `s3://$FANFOLD_BUCKET/orders/date=YYYY-MM-DD/`
(CSV, JSONL and Parquet; gzip, zstd), those of the last three days again. Or press *Trigger*, or run

```
airflow dags trigger order_analysis --conf '{"files": ["s3://bucket/orders/date={date}/*"]}'
```

A file that comes late, and one that is corrected, makes the totals of its day right in the next run.

**Output** in the bucket `$FANFOLD_BUCKET` under `order_analysis/date=YYYY-MM-DD/run=<run>/`, and as tables in the
database of the connection `warehouse_default`:

| table | a row is | |
|---|---|---|
| `order_lines` | a line of an order, or the refund of one | the dataset |
| `revenue_by_day` | a day and currency | revenue is net of refunds, without cancelled orders |
| `revenue_by_category` | a day, category and currency | |
| `products` | a product and currency | |
| `customers` | a customer and currency | recency, frequency, money and their scores from 1 to 5 |
| `repeat_rate` | a month of first orders | |

`latest.json`, `manifest.json`, `report.html`, `failed.jsonl` (files) and `rejected.jsonl` (lines) are as for each pipeline.

**Rebuild** after a change of the pipeline: the next run reads all files again by itself; *Earlier rows* in the
form chooses otherwise.
"""

from __future__ import annotations

import os

from airflow.sdk import dag

from fanfold.airflow import policies, tasks
from fanfold.airflow.graph import TAG
from fanfold.airflow.params import file_params

PIPELINE = "order_analysis"
FILES = [f"s3://{os.environ.get('FANFOLD_BUCKET', 'fanfold')}/orders/date={{date}}/*"]


@dag(
    dag_id=PIPELINE,
    dag_display_name="Order analysis",
    description="Revenue, products, customers and repeat rate from files of order lines",
    doc_md=__doc__,
    schedule=policies.daily(hour=4),
    params=file_params(FILES, noun="order file", column="file", mode="merge"),
    tags=[TAG, "orders", "files"],
    **policies.PIPELINE,
)
def order_analysis() -> None:
    """Wire the tasks: fan out over the batches, fold, publish, load, report."""
    planned = tasks.plan(PIPELINE)
    batches = tasks.batches(PIPELINE, planned)
    folded = tasks.consolidate(PIPELINE)
    published = tasks.publish()

    tasks.preflight(PIPELINE) >> tasks.read_items(PIPELINE) >> planned
    # Rows are merged into what is published: the table must not be ahead of it.
    batches >> folded >> published >> [tasks.load(PIPELINE), tasks.report(PIPELINE)]


order_analysis()
