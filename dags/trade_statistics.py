"""# Trade statistics

Keeps the daily bars of A-shares from tushare in one dataset: returns, volatility, moving averages, drawdowns,
VWAP, correlations, and missing trading days.

**Run it**: each evening it fetches the days since the newest bar of each symbol, and the seven days before it
again, for corrections; of a symbol without bars it fetches the whole history. Or press *Trigger*, or run

```
airflow dags trigger trade_statistics --conf '{"symbols": ["600519.SH", "000001.SZ"]}'
```

**The list** of scheduled runs is the Airflow Variable `trade_statistics_items`: the URI of an items file, or a list of
symbols in JSON. They fail in `preflight` without it.

The connection `tushare_default` has the host `https://api.tushare.pro`, your token as password, and in the extra
`{"requests_per_minute": 200}`, or what your points allow.

**Output** in the bucket `$FANFOLD_BUCKET` under `trade_statistics/date=YYYY-MM-DD/run=<run>/`, and as tables in the
database of the connection `warehouse_default`:

| table | a row is | |
|---|---|---|
| `daily_bars` | a symbol and day: prices as traded, in yuan, and shares | the dataset |
| `daily_returns` | a symbol and day | adjusted close, daily and cumulative return, averages of 5, 20, 60 days, drawdown |
| `monthly_statistics` | a symbol and month | volume, turnover, VWAP, return |
| `symbol_statistics` | a symbol | return, volatility, maximum drawdown and its dates, ranks |
| `correlations` | two symbols | of their daily returns |
| `missing_days` | a symbol and day | the exchange was open, and there is no bar |

`latest.json`, `manifest.json`, `report.html`, `failed.jsonl` (symbols) and `rejected.jsonl` (bars) are as for each
pipeline.

**Rebuild** if tushare changes bars or factors that are older than seven days: set *Earlier rows* to `rebuild`.
"""

from __future__ import annotations

from airflow.sdk import dag

from fanfold.airflow import policies, tasks
from fanfold.airflow.graph import TAG
from fanfold.airflow.params import item_params

PIPELINE = "trade_statistics"
SYMBOLS = [
    *("600036.SH", "601398.SH", "601166.SH", "000001.SZ", "600000.SH"),  # banks
    *("600519.SH", "000858.SZ", "000568.SZ", "600809.SH", "002304.SZ"),  # liquor
    *("601857.SH", "600028.SH", "601088.SH", "601899.SH", "600900.SH"),  # energy
    *("000725.SZ", "002415.SZ", "002230.SZ", "300059.SZ", "603501.SH"),  # electronics
    *("600276.SH", "000538.SZ", "300015.SZ", "300760.SZ", "603259.SH"),  # health
    *("002594.SZ", "300750.SZ", "601012.SH", "600104.SH", "000625.SZ"),  # vehicles
]


@dag(
    dag_id=PIPELINE,
    dag_display_name="Trade statistics",
    description="Returns, volatility, drawdowns and correlations of A-shares from tushare",
    doc_md=__doc__,
    # tushare has the bars of a day from 16:00 to 17:00.
    schedule=policies.daily(hour=19, timezone="Asia/Shanghai"),
    params=item_params(
        SYMBOLS,
        name="symbols",
        title="Symbols",
        noun="symbol",
        column="symbol",
        mode="merge",
        sample=True,
        sql_connection="warehouse_default",
    ),
    tags=[TAG, "securities", "tushare"],
    **policies.PIPELINE,
)
def trade_statistics() -> None:
    """Wire the tasks: fan out over the batches, fold, publish, load, report."""
    planned = tasks.plan(PIPELINE)
    batches = tasks.batches(PIPELINE, planned, pool="tushare_default")
    folded = tasks.consolidate(PIPELINE)
    published = tasks.publish()

    tasks.preflight(PIPELINE) >> tasks.read_items(PIPELINE) >> planned
    # Rows are merged into what is published: the table must not be ahead of it.
    batches >> folded >> published >> [tasks.load(PIPELINE), tasks.report(PIPELINE)]


trade_statistics()
