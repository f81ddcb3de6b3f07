"""What the pipelines of trade statistics share: the contract of a daily bar, and the folds over bars.

A row is the bar of a symbol on a day: prices as they were traded, shares, turnover, and a cumulative
adjustment factor. A split or a dividend changes the factors of the days from then on, and no earlier row:
adjusted prices are made by the folds, as price × factor ÷ newest factor of the symbol, so that they
change for the whole past. A bar without a factor has that of the bar before it; a symbol without any is
not adjusted.

How the folds count:

* Returns are those of adjusted closes, from one bar of the symbol to its next one.
* Volatility is the sample standard deviation of logarithmic daily returns × √252.
* A moving average is that of the last N adjusted closes; it is null for the first N - 1 bars.
* VWAP is turnover ÷ volume, from unadjusted prices. In a month in which a bar lacks the turnover, all of the
  month's turnover is estimated as (high + low + close) ÷ 3 × volume; a column says so.
* Turnover has the currency of the prices; symbols are ranked by it whatever their currency.
"""

from __future__ import annotations

import datetime
import functools
import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pyarrow
import pyarrow.compute as pc

from fanfold import Fold

if TYPE_CHECKING:
    from collections.abc import Iterable

TRADING_DAYS = 252
"""Trading days of a year."""
CORRELATED = 200
"""Number of symbols, those with the largest turnover, of which each pair has a correlation."""
_EXCHANGES = {
    "SH": "XSHG", "SS": "XSHG", "SZ": "XSHG", "BJ": "XSHG", "HK": "XHKG", "T": "XTKS", "L": "XLON",
}  # fmt: skip
"""Exchange (MIC) whose trading days a symbol has, by its suffix; Shenzhen and Beijing have Shanghai's."""
_OTHER = "XNYS"
_CHINESE = re.compile(r"((SH|SZ|BJ)[.]?)?[0-9]{6}")
"""Codes of Chinese exports: 600519, SH600519, SH.600519."""
_FIRST_SESSION = "1970-01-02"
"""First day of a calendar that knows all earlier ones, too."""


class DailyBar(pa.DataFrameModel):
    """A day of a symbol. Prices are as traded, in one currency; volume in shares, amount in currency."""

    symbol: str = pa.Field(str_matches=r"^[A-Z0-9^][A-Z0-9.^=_-]{0,39}$")
    trade_date: datetime.date
    open: float = pa.Field(gt=0)
    high: float = pa.Field(gt=0)
    low: float = pa.Field(gt=0)
    close: float = pa.Field(gt=0)
    volume: int = pa.Field(ge=0)
    amount: float = pa.Field(ge=0, nullable=True)
    adjustment_factor: float = pa.Field(gt=0, nullable=True)

    @pa.dataframe_check
    @classmethod
    def low_open_close_high(cls, bars: pd.DataFrame) -> pd.Series:
        """Lowest and highest price include the first and the last one."""
        inner = bars[["open", "close"]]
        return bars["low"].le(inner.min(axis=1)) & inner.max(axis=1).le(bars["high"])

    @pa.dataframe_check
    def amount_is_volume_at_prices_of_the_day(cls, bars: pd.DataFrame) -> pd.Series:  # noqa: N805
        """Lots for shares, thousands, and adjusted prices are off by more; two is left for odd bars."""
        mean = bars["amount"] / bars["volume"]
        untraded = bars["amount"].isna() | bars["volume"].eq(0)
        return untraded | mean.between(bars["low"] / 2, bars["high"] * 2)


KEY = ("symbol", "trade_date")
DATASET = "daily_bars"


def exchange_of(symbol: str) -> str:
    """Return the exchange (MIC) whose trading days a symbol has."""
    if _CHINESE.fullmatch(symbol):
        return _EXCHANGES["SH"]
    return _EXCHANGES.get(symbol.rpartition(".")[2], _OTHER)


def missing_days(batches: Iterable[pyarrow.RecordBatch]) -> pyarrow.Table:
    """Return the trading days between the first and the last bar of a symbol that have no bar.

    Days after the last one that the calendar knows are not reported: Shanghai's holidays are published
    a year at a time, and come with a new version of exchange-calendars.
    """
    days: dict[str, list[np.ndarray]] = {}
    for batch in batches:
        numbers = batch["trade_date"].cast(pyarrow.int32()).to_numpy()
        symbols = batch["symbol"].dictionary_encode()
        codes = symbols.indices.to_numpy()
        by_symbol = np.split(numbers[codes.argsort()], np.bincount(codes).cumsum()[:-1])
        for symbol, its in zip(symbols.dictionary.to_pylist(), by_symbol, strict=True):
            days.setdefault(symbol, []).append(its)
    missing = {symbol: _sessions_without(np.concatenate(days[symbol]), symbol) for symbol in days}
    found = [(symbol, len(numbers)) for symbol, numbers in missing.items() if len(numbers)]
    repeats = [count for _, count in found]
    names = np.array([symbol for symbol, _ in found], object)
    exchanges = np.array([exchange_of(symbol) for symbol in names], object)
    numbers = np.concatenate([np.empty(0, np.int32), *missing.values()]).astype(np.int32)
    return pyarrow.table(
        {
            "symbol": pyarrow.array(names.repeat(repeats), pyarrow.string()),
            "day": pc.cast(pyarrow.array(numbers), pyarrow.date32()),
            "exchange": pyarrow.array(exchanges.repeat(repeats), pyarrow.string()),
        }
    )


def _sessions_without(numbers: np.ndarray, symbol: str) -> np.ndarray:
    """Return the trading days, in days since 1970, that are between some and not one of them."""
    sessions = _sessions(exchange_of(symbol))
    between = sessions[(sessions > numbers.min()) & (sessions < numbers.max())]
    return np.setdiff1d(between, numbers)


@functools.cache
def _sessions(exchange: str) -> np.ndarray:
    """Return all trading days of an exchange that its calendar knows, in days since 1970."""
    # Takes 1 s to import.
    import exchange_calendars

    known_from = exchange_calendars.get_calendar(exchange).bound_min()
    calendar = exchange_calendars.get_calendar(exchange, start=known_from or _FIRST_SESSION)
    return calendar.sessions.to_numpy().astype("datetime64[D]").astype(np.int64)


FOLDS = [
    Fold(
        "daily_returns",
        key=KEY,
        sql="""
            WITH factors AS (
                SELECT symbol, trade_date, close, coalesce(
                    last_value(adjustment_factor IGNORE NULLS)
                        OVER (PARTITION BY symbol ORDER BY trade_date ROWS UNBOUNDED PRECEDING),
                    first_value(adjustment_factor IGNORE NULLS) OVER whole,
                    1) AS factor
                FROM dataset
                WINDOW whole AS (PARTITION BY symbol ORDER BY trade_date
                                 ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
            ), adjusted AS (
                SELECT symbol, trade_date,
                       factor / last_value(factor) OVER (
                           PARTITION BY symbol ORDER BY trade_date
                           ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                       ) AS adjustment, close * adjustment AS close_adjusted
                FROM factors
            )
            SELECT symbol, trade_date, adjustment, close_adjusted,
                   close_adjusted / lag(close_adjusted) OVER past - 1 AS daily_return,
                   close_adjusted / first_value(close_adjusted) OVER past - 1 AS cumulative_return,
                   if(count(*) OVER last_5 = 5, avg(close_adjusted) OVER last_5, NULL) AS ma_5,
                   if(count(*) OVER last_20 = 20, avg(close_adjusted) OVER last_20, NULL) AS ma_20,
                   if(count(*) OVER last_60 = 60, avg(close_adjusted) OVER last_60, NULL) AS ma_60,
                   close_adjusted / max(close_adjusted) OVER past - 1 AS drawdown
            FROM adjusted
            WINDOW past AS (PARTITION BY symbol ORDER BY trade_date ROWS UNBOUNDED PRECEDING),
                   last_5 AS (PARTITION BY symbol ORDER BY trade_date ROWS 4 PRECEDING),
                   last_20 AS (PARTITION BY symbol ORDER BY trade_date ROWS 19 PRECEDING),
                   last_60 AS (PARTITION BY symbol ORDER BY trade_date ROWS 59 PRECEDING)""",
    ),
    Fold(
        "monthly_statistics",
        key=("symbol", "month"),
        # The return of a symbol's first month is null: its last close before is not known.
        sql="""
            WITH bars AS (
                SELECT symbol, date_trunc('month', trade_date)::DATE AS month, trade_date, volume,
                       amount, (high + low + close) / 3 * volume AS estimate, close_adjusted
                FROM dataset JOIN daily_returns USING (symbol, trade_date)
            ), months AS (
                SELECT symbol, month, count(*) AS days, sum(volume)::BIGINT AS volume,
                       if(count(amount) = count(*), sum(amount), sum(estimate)) AS turnover,
                       if(count(amount) = count(*), 'amount', 'typical price') AS turnover_from,
                       arg_max(close_adjusted, trade_date) AS last_close
                FROM bars GROUP BY ALL
            )
            SELECT symbol, month, days, volume, turnover, turnover_from,
                   turnover / nullif(volume, 0) AS vwap,
                   last_close / lag(last_close) OVER (PARTITION BY symbol ORDER BY month) - 1
                       AS monthly_return
            FROM months""",
    ),
    Fold(
        "symbol_statistics",
        key=("symbol",),
        # A drawdown of 0 is a day of a new or equal peak.
        sql=f"""
            WITH days AS (
                SELECT *, ln(1 + daily_return) AS log_return,
                       max(trade_date) FILTER (drawdown = 0)
                           OVER (PARTITION BY symbol ORDER BY trade_date) AS peak_date
                FROM daily_returns
            ), statistics AS (
                SELECT symbol, min(trade_date) AS first_date, max(trade_date) AS last_date,
                       count(*) AS days,
                       arg_max(cumulative_return, trade_date) AS total_return,
                       stddev_samp(log_return) * sqrt({TRADING_DAYS}) AS annualised_volatility,
                       min(drawdown) AS max_drawdown,
                       if(max_drawdown < 0, arg_min(peak_date, (drawdown, trade_date)), NULL)
                           AS peak_date,
                       if(max_drawdown < 0, arg_min(trade_date, (drawdown, trade_date)), NULL)
                           AS trough_date
                FROM days GROUP BY symbol
            ), sums AS (
                SELECT symbol, sum(volume)::BIGINT AS volume, sum(turnover) AS turnover
                FROM monthly_statistics GROUP BY symbol
            )
            SELECT *, rank() OVER (ORDER BY total_return DESC) AS return_rank,
                   rank() OVER (ORDER BY volume DESC) AS volume_rank,
                   rank() OVER (ORDER BY turnover DESC) AS turnover_rank
            FROM statistics JOIN sums USING (symbol)""",
    ),
    Fold(
        "correlations",
        key=("symbol", "other"),
        # Null without two returns that differ; NaN would be the largest of all.
        sql=f"""
            WITH returns AS (
                SELECT symbol, trade_date, daily_return
                FROM daily_returns JOIN symbol_statistics USING (symbol)
                WHERE turnover_rank <= {CORRELATED} AND daily_return IS NOT NULL
            )
            SELECT one.symbol, two.symbol AS other, count(*) AS days,
                   if(isnan(corr(one.daily_return, two.daily_return)), NULL,
                      corr(one.daily_return, two.daily_return)) AS correlation
            FROM returns AS one JOIN returns AS two USING (trade_date) GROUP BY ALL""",
    ),
    Fold("missing_days", key=("symbol", "day"), function=missing_days),
]
