"""# Trade statistics over files

Reads daily bars (open, high, low, close, volume) of stocks from files in object storage and keeps one dataset
of all bars: returns, volatility, moving averages, drawdowns, VWAP, correlations, and missing trading days.

**Run it**: each evening it reads the new and changed files under `s3://$FANFOLD_BUCKET/bars/<folder>/` (CSV, JSONL
and Parquet; gzip, zstd), such as a file per symbol and month. Or press *Trigger*, or run

```
airflow dags trigger trade_statistics_files --conf '{"files": ["s3://bucket/bars/2026-10/*"]}'
```

A file that comes late, and one that is corrected, is read in the next run.

**Output** in the bucket `$FANFOLD_BUCKET` under `trade_statistics_files/date=YYYY-MM-DD/run=<run>/`, and as tables
in the database of the connection `warehouse_default`, where their names begin with `files_`:

| table | a row is | |
|---|---|---|
| `daily_bars` | a symbol and day, prices as traded | the dataset |
| `daily_returns` | a symbol and day | adjusted close, daily and cumulative return, averages of 5, 20, 60 days, drawdown |
| `monthly_statistics` | a symbol and month | volume, turnover, VWAP, return |
| `symbol_statistics` | a symbol | return, volatility, maximum drawdown and its dates, ranks |
| `correlations` | two symbols | of their daily returns |
| `missing_days` | a symbol and day | the exchange was open, and there is no bar |

`latest.json`, `manifest.json`, `report.html`, `failed.jsonl` (files) and `rejected.jsonl` (bars) are as for each
pipeline.
"""

from __future__ import annotations

import os

from airflow.sdk import dag

from fanfold.airflow import policies, tasks
from fanfold.airflow.graph import TAG
from fanfold.airflow.params import file_params

PIPELINE = "trade_statistics_files"
FILES = [f"s3://{os.environ.get('FANFOLD_BUCKET', 'fanfold')}/bars/*/*"]


@dag(
    dag_id=PIPELINE,
    dag_display_name="Trade statistics over files",
    description="Returns, volatility, drawdowns and correlations from files of daily bars",
    doc_md=__doc__,
    schedule=policies.daily(hour=22),
    params=file_params(FILES, noun="bar file", column="file", mode="merge"),
    tags=[TAG, "securities", "files"],
    **policies.PIPELINE,
)
def trade_statistics_files() -> None:
    """Wire the tasks: fan out over the batches, fold, publish, load, report."""
    planned = tasks.plan(PIPELINE)
    batches = tasks.batches(PIPELINE, planned)
    folded = tasks.consolidate(PIPELINE)
    published = tasks.publish()

    tasks.preflight(PIPELINE) >> tasks.read_items(PIPELINE) >> planned
    # Rows are merged into what is published: the table must not be ahead of it.
    batches >> folded >> published >> [tasks.load(PIPELINE), tasks.report(PIPELINE)]


trade_statistics_files()
