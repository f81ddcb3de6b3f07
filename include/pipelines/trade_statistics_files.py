"""Trade statistics over files of daily bars, as exchanges and data providers export them.

The dataset has a row a symbol and day, whatever the files: one a symbol and month, one a day with all
symbols, or one for everything. Of two bars of a symbol and day the one of the later run counts, of two
in one run that of the file whose URI sorts last.

Files with an adjusted close but no factor get the factor adjusted close ÷ close. A provider changes the
adjusted closes of the past with each split and dividend: export all files of a symbol again then, or factors
of before and after it do not fit together.
"""

from __future__ import annotations

import pandas as pd
import pyarrow
import pyarrow.compute as pc

from fanfold import Files, Pipeline
from pipelines import _trade_charts as charts
from pipelines import _trade_statistics as statistics
from pipelines._trade_statistics import or_given

COLUMNS = {
    "symbol": ("symbol", "ticker", "ts_code", "code"),
    "trade_date": ("trade_date", "date", "day"),
    "open": ("open",),
    "high": ("high",),
    "low": ("low",),
    "close": ("close",),
    "volume": ("volume",),
    "lots": ("vol", "lots"),
    "amount": ("amount", "turnover"),
    "adjustment_factor": ("adjustment_factor", "adj_factor"),
    "adj_close": ("adj_close", "adj close", "adjusted close"),
}
"""Names in files by column. ``lots`` are 100 shares, as in tushare's exports; amounts of a file with lots
are in 1,000, as there."""
REQUIRED = ("trade_date", "open", "high", "low", "close")
_DATE = r"^([0-9]{4})([-/]?)([0-9]{2})\2([0-9]{2})(?:[T ]00:00(?::00)?.*)?$"
_NUMBER = r"[+-]?([0-9]+|[0-9]{1,3}(,[0-9]{3})+(?=\.))(\.[0-9]*)?([eE][+-]?[0-9]{1,3})?"
"""A number. Thousands may be grouped only if it has a decimal point: a comma alone could be one."""
_SHARES = r"[+-]?([0-9]+|[0-9]{1,3}(,[0-9]{3})+)(\.0*)?"
_FILE = r"([^/]*?)(?:[_-]\d{4}-?\d{2}(?:-?\d{2})?)?(?:\.(?:csv|jsonl?|parquet|gz|zst|txt))*$"


class FileBar(statistics.DailyBar):
    """A day of a symbol, and the file that it is from."""

    file: str


def rows(records: pd.DataFrame) -> pd.DataFrame:
    """Return the bars of some files; the index is the file's URI."""
    text = records.reindex(columns=list(COLUMNS)).apply(_plain)
    names = records.index.to_series().str.extract(_FILE, expand=False)
    close, lots = _numbers(text["close"]), _numbers(text["lots"])
    adjusted = _numbers(text["adj_close"])
    amount = _numbers(text["amount"])
    return pd.DataFrame(
        {
            "symbol": text["symbol"].fillna(names).str.upper(),
            "trade_date": or_given(_dates(text["trade_date"]), text["trade_date"]),
            **{
                name: or_given(_numbers(text[name]), text[name]) for name in ("open", "high", "low")
            },
            "close": or_given(close, text["close"]),
            "volume": or_given(
                _numbers(text["volume"], _SHARES).fillna((lots * 100).round()),
                text["volume"].fillna(text["lots"]),
            ),
            "amount": or_given(amount.mask(lots.notna(), amount * 1000), text["amount"]),
            "adjustment_factor": or_given(
                _numbers(text["adjustment_factor"]).fillna(adjusted / close),
                text["adjustment_factor"].fillna(text["adj_close"]),
            ),
        }
    )


def _plain(values: pd.Series) -> pd.Series:
    """Return values as text without surrounding space."""
    text = pc.utf8_trim_whitespace(pyarrow.array(values.astype("str"), from_pandas=True))
    return pd.Series(pc.if_else(pc.equal(text, ""), None, text), values.index, dtype="str")


def _numbers(text: pd.Series, form: str = _NUMBER) -> pd.Series:
    """Return texts of some form as numbers, others as null."""
    readable = text.str.fullmatch(form).fillna(value=False).astype(bool)
    return pd.to_numeric(text.where(readable).str.replace(",", ""))


def _dates(text: pd.Series) -> pd.Series:
    """Return dates YYYY-MM-DD, YYYY/MM/DD and YYYYMMDD as YYYY-MM-DD, others as null."""
    parts = text.str.extract(_DATE)
    return parts[0] + "-" + parts[2] + "-" + parts[3]


PIPELINE = Pipeline(
    name="trade_statistics_files",
    noun=("bar file", "行情文件"),
    source=Files(
        columns=COLUMNS,
        optional=[name for name in COLUMNS if name not in REQUIRED],
        nulls=("", "null", "NaN", "nan"),
    ),
    transform=rows,
    contract=FileBar,
    key=statistics.KEY,
    mode="merge",
    dataset=statistics.DATASET,
    table_prefix="files_",
    folds=statistics.FOLDS,
    charts=charts.CHARTS,
    item_column="file",
    label="symbol",
    measure="close",
    not_compared=("file",),
)
