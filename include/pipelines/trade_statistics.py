"""Trade statistics of A-shares from tushare: a row a symbol and day, and the folds over them.

The first run of a symbol takes its whole history, the following ones the days since its newest bar less
``lag_days``, in which corrections may come. Adjustment factors come from a second interface.
"""

from __future__ import annotations

import pandas as pd

from fanfold import Pipeline
from pipelines import _trade_charts as charts
from pipelines import _trade_statistics as statistics
from pipelines import _tushare_api as tushare

PRICES = ["open", "high", "low", "close"]


def rows(records: pd.DataFrame) -> pd.DataFrame:
    """Return the bars of some symbols by day, each with the adjustment factor of its day.

    Args:
        records: Rows of both interfaces, told apart by ``api_name``.
    """
    bars = _of(records, tushare.DAILY).sort_index(level="trade_date", kind="stable")
    factors = _of(records, tushare.FACTORS)
    day = bars["trade_date"].astype("str").str.replace(r"(....)(..)(..)", r"\1-\2-\3", regex=True)
    return pd.DataFrame(
        {
            "trade_date": day,
            **bars[PRICES],
            # Shares are whole; two decimal places of a lot are not exact as floats.
            "volume": _times(bars["vol"], tushare.LOT, 0),
            "amount": _times(bars["amount"], tushare.THOUSAND, 2),
            "adjustment_factor": factors["adj_factor"].reindex(bars.index),
        }
    ).droplevel("trade_date")


def _of(records: pd.DataFrame, api_name: str) -> pd.DataFrame:
    """Return the rows of an interface by item and day; of two for a day, the one that came first."""
    columns = ["trade_date", *PRICES, "vol", "amount", "adj_factor"]
    some = records[records["api_name"] == api_name].reindex(columns=columns)
    some = some.set_index("trade_date", append=True, drop=False)
    return some[~some.index.duplicated()]


def _times(values: pd.Series, factor: int, digits: int) -> pd.Series:
    """Return values in another unit; one that is no number as it is, for the message of the contract."""
    numbers = (pd.to_numeric(values, errors="coerce") * factor).round(digits)
    unreadable = numbers.isna() & values.notna()
    return numbers.astype(object).mask(unreadable, values) if unreadable.any() else numbers


PIPELINE = Pipeline(
    name="trade_statistics",
    noun=("symbol", "证券代码"),
    source=tushare.API,
    transform=rows,
    contract=statistics.DailyBar,
    key=statistics.KEY,
    mode="merge",
    cursor="trade_date",
    lag_days=7,
    dataset=statistics.DATASET,
    folds=statistics.FOLDS,
    charts=charts.CHARTS,
    item_column="symbol",
    check_item=tushare.check_item,
    label="symbol",
    measure="close",
)
