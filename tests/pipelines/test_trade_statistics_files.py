"""Trade statistics over files: every figure against pandas, on real prices and on a simulated market."""

from __future__ import annotations

import gzip
import importlib.resources
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from fanfold import testing
from fanfold.simulator import market
from pipelines._trade_statistics import exchange_of, missing_days
from pipelines.trade_statistics_files import PIPELINE

# exchange-calendars uses what the next version of pandas will change.
pytestmark = pytest.mark.filterwarnings("ignore:Series.values returning:DeprecationWarning")

TODAY, MONTHS = date(2026, 7, 17), 5
AS_OF = datetime(2026, 7, 17, 22, tzinfo=UTC)
BAR = {
    "symbol": "AAPL",
    "date": "2026-03-02",
    "open": "10",
    "high": "12",
    "low": "9",
    "close": "11",
}
BAR |= {"volume": "100"}


def run(paths, **options):
    return testing.run(PIPELINE, sorted(map(str, paths)), as_of=AS_OF, charts=False, **options)


def run_bars(*bars, **options):
    records = {"s3://bars/a.csv": [BAR | bar for bar in bars]}
    return testing.run(PIPELINE, records=records, as_of=AS_OF, charts=False, **options)


def write(folder, files):
    """Write files; return the paths of those that are new or changed."""
    changed = []
    for name, content in files:
        path = folder / name
        if not path.exists() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            changed.append(path)
    return changed


def close_to(found, expected):
    """Compare to 1e-9, with nulls in the same places."""
    np.testing.assert_allclose(
        np.asarray(found, float), np.asarray(expected, float), rtol=1e-9, atol=1e-12
    )


# --- real prices ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stocks():
    """The bars of five stocks from 2000 to 2013, as Yahoo had them."""
    with (importlib.resources.files("bokeh_sampledata") / "_data/stocks.csv.gz").open("rb") as file:
        return pd.read_csv(gzip.open(file)).sort_values(["Ticker", "Date"], ignore_index=True)


@pytest.fixture(scope="module")
def real(stocks, tmp_path_factory):
    """The result of a run over these bars, a file a symbol and year."""
    folder = tmp_path_factory.mktemp("stocks")
    paths = []
    for (symbol, year), bars in stocks.groupby(["Ticker", stocks["Date"].str[:4]]):
        paths.append(folder / f"{symbol}-{year}.csv")
        bars.to_csv(paths[-1], index=False)
    return run(paths)


def test_each_real_bar_is_in_the_dataset_as_it_was_traded(stocks, real):
    """None of them breaks the contract."""
    assert set(real.outcomes["status"]) == {"ok"}
    assert len(real.outcomes) == 54
    assert len(real.rejected) == 0
    assert len(real.rows) == len(stocks) == 12_154
    assert list(real.rows["symbol"]) == list(stocks["Ticker"])
    assert list(real.rows["trade_date"].astype(str)) == list(stocks["Date"])
    for name in ("open", "high", "low", "close", "volume"):
        assert list(real.rows[name]) == list(stocks[name.title()]), name
    close_to(real.rows["adjustment_factor"] * real.rows["close"], stocks["Adj Close"])


@pytest.fixture(scope="module")
def adjusted(stocks):
    """Adjusted closes whose newest one is the close, and their returns, by pandas."""
    newest = stocks.groupby("Ticker").tail(1).set_index("Ticker")
    scale = stocks["Ticker"].map(newest["Close"] / newest["Adj Close"])
    frame = pd.DataFrame({"symbol": stocks["Ticker"], "close": stocks["Adj Close"] * scale})
    frame["date"] = pd.to_datetime(stocks["Date"])
    frame["return"] = frame.groupby("symbol")["close"].pct_change()
    frame["drawdown"] = frame["close"] / frame.groupby("symbol")["close"].cummax() - 1
    return frame


def test_daily_returns_are_those_of_pandas(adjusted, real):
    fold, closes = real.folds["daily_returns"], adjusted.groupby("symbol")["close"]
    assert list(fold["symbol"]) == list(adjusted["symbol"])
    close_to(fold["close_adjusted"], adjusted["close"])
    close_to(fold["daily_return"], adjusted["return"])
    close_to(fold["cumulative_return"], adjusted["close"] / closes.transform("first") - 1)
    close_to(fold["drawdown"], adjusted["drawdown"])
    for days in (5, 20, 60):
        close_to(fold[f"ma_{days}"], closes.rolling(days).mean())
        assert fold[f"ma_{days}"].isna().sum() == 5 * (days - 1)


def test_statistics_of_a_symbol_are_those_of_pandas(stocks, adjusted, real):
    fold = real.folds["symbol_statistics"].set_index("symbol")
    estimate = (stocks["High"] + stocks["Low"] + stocks["Close"]) / 3 * stocks["Volume"]
    for symbol, its in adjusted.groupby("symbol"):
        found, close = fold.loc[symbol], its.set_index("date")["close"]
        trough = its.set_index("date")["drawdown"].idxmin()
        assert found["days"] == len(its)
        assert [str(found["first_date"]), str(found["last_date"])] == [
            str(close.index[0].date()),
            str(close.index[-1].date()),
        ]
        close_to(found["total_return"], close.iloc[-1] / close.iloc[0] - 1)
        logs = np.log(close).diff().dropna()
        close_to(found["annualised_volatility"], np.std(logs, ddof=1) * 252**0.5)
        close_to(found["max_drawdown"], its["drawdown"].min())
        assert found["trough_date"] == trough.date()
        assert found["peak_date"] == close[:trough].idxmax().date()
        mine = stocks["Ticker"] == symbol
        assert found["volume"] == stocks["Volume"][mine].sum()
        close_to(found["turnover"], estimate[mine].sum())
    for name, rank in (
        ("total_return", "return_rank"), ("volume", "volume_rank"), ("turnover", "turnover_rank"),
    ):  # fmt: skip
        ranks = fold[name].rank(ascending=False).astype(int)
        assert list(fold[rank]) == list(ranks), rank
        assert sorted(ranks) == [1, 2, 3, 4, 5]


def test_statistics_of_a_month_are_those_of_pandas(stocks, adjusted, real):
    fold = real.folds["monthly_statistics"].set_index(["symbol", "month"])
    frame = stocks.assign(
        month=stocks["Date"].str[:7],
        estimate=(stocks["High"] + stocks["Low"] + stocks["Close"]) / 3 * stocks["Volume"],
        adjusted=adjusted["close"],
    )
    months = frame.groupby(["Ticker", "month"])
    assert [(symbol, str(month)[:7]) for symbol, month in fold.index] == list(months.groups)
    assert list(fold["days"]) == list(months.size())
    assert list(fold["volume"]) == list(months["Volume"].sum())
    assert set(fold["turnover_from"]) == {"typical price"}
    close_to(fold["turnover"], months["estimate"].sum())
    close_to(fold["vwap"], months["estimate"].sum() / months["Volume"].sum())
    last = months["adjusted"].last()
    close_to(fold["monthly_return"], last.groupby("Ticker").pct_change())


def test_correlations_are_those_of_pandas(adjusted, real):
    fold = real.folds["correlations"]
    returns = adjusted.pivot_table(index="date", columns="symbol", values="return")
    close_to(fold["correlation"], returns.corr().to_numpy().ravel())
    present = returns.notna().astype(int)
    assert list(fold["days"]) == (present.T @ present).to_numpy().ravel().tolist()
    assert fold.set_index(["symbol", "other"])["days"]["FB", "IBM"] == 195


def test_the_real_bars_lack_no_trading_day(real):
    """New York was closed for four days in September 2001, and for two in October 2012."""
    assert real.folds["missing_days"].empty


# --- the simulated market ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def faultless(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(market, "FLAWS", 10**9)
        files = dict(market.delivery(TODAY, 2, MONTHS))
        return run(write(tmp_path_factory.mktemp("market"), files.items()))


FIRST, LAST = date(2026, 2, 1), TODAY - timedelta(days=1)


def test_each_bar_of_the_market_is_in_the_dataset_whatever_its_exporter(faultless):
    """Shares and yuan from lots and thousands, symbols from the names of files, three forms of dates."""
    bars = [bar for symbol in sorted(market.EXPORTED) for bar in market.bars(symbol, FIRST, LAST)]
    rows = faultless.rows.sort_values(["symbol", "trade_date"])
    assert len(faultless.rejected) == 0
    names = ["symbol", "trade_date", "open", "high", "low", "close", "volume"]
    assert [tuple(row) for row in rows[names].to_numpy().tolist()] == [
        (*bar[:6], bar.volume) for bar in bars
    ]
    lacks_amount = rows["amount"].isna()
    assert set(rows["symbol"][lacks_amount]) == set(market.EXPORTED[1::3])
    amounts = np.array([bar.amount for bar in bars])
    close_to(rows["amount"][~lacks_amount], amounts[~lacks_amount])
    months = faultless.folds["monthly_statistics"].groupby("symbol")["turnover_from"].agg(set)
    assert months["600036.SH"] == {"amount"}
    assert months["601398.SH"] == {"typical price"}


def test_a_day_on_which_trading_was_suspended_is_reported(faultless):
    expected = {
        (symbol, day, "XSHG")
        for symbol in market.EXPORTED
        for bars in [[bar.day for bar in market.bars(symbol, FIRST, LAST)]]
        for day in market.sessions(bars[0], bars[-1])
        if day not in bars
    }
    found = faultless.folds["missing_days"][["symbol", "day", "exchange"]]
    assert set(map(tuple, found.to_numpy().tolist())) == expected
    assert len(found) == len(expected) > 5


def test_returns_go_over_dividends_and_splits_without_a_jump(faultless):
    returns = faultless.folds["daily_returns"].set_index(["symbol", "trade_date"])["daily_return"]
    paid = [
        bar
        for symbol in market.EXPORTED
        for one, bar in zip(*[market.bars(symbol, FIRST, LAST)[n:] for n in (0, 1)], strict=False)
        if bar.factor != one.factor
    ]
    assert len(paid) > 5
    for bar in paid:
        assert returns[bar.symbol, bar.day] == pytest.approx(bar.close / bar.before - 1, abs=1e-4)


def test_late_and_corrected_files_make_every_figure_right(tmp_path, monkeypatch):
    """The first delivery lacks a file, has one that is cut off, and one with a price ten times too high."""
    monkeypatch.setattr(market, "FLAWS", 100)
    first = run(write(tmp_path, market.delivery(TODAY, 1, MONTHS)))
    bad = first.outcomes[first.outcomes["status"] != "ok"]
    assert list(bad["status"]) == ["invalid"]
    assert bad.index[0].endswith(f"2026-06/{market.EXPORTED[5]}.csv.gz")
    second = run(write(tmp_path, market.delivery(TODAY, 2, MONTHS)), after=first)
    assert set(second.outcomes["status"]) == {"ok"}
    whole = run(path for path in tmp_path.rglob("*") if path.is_file())
    for one, other, before in [
        (second.rows, whole.rows, first.rows),
        *((second.folds[name], fold, first.folds[name]) for name, fold in whole.folds.items()),
    ]:
        pd.testing.assert_frame_equal(one.drop(columns="as_of"), other.drop(columns="as_of"))
        assert not one.equals(before)
    assert second.manifest.pending == 0
    assert set(whole.rejected["rule"]) == {"low_open_close_high", "not_nullable"}


# --- what a bar is ----------------------------------------------------------------------------


def test_a_split_changes_adjusted_prices_of_the_past_and_no_row():
    old = [
        {"date": "2026-03-02", "close": "12", "adj_factor": ""},
        {"date": "2026-03-03", "close": "11", "adj_factor": "2"},
    ]
    halved = {"open": "5", "high": "6", "low": "5", "close": "6"}
    new = [{"date": "2026-03-04", "adj_factor": "4"}, {"date": "2026-03-05", "adj_factor": ""}]
    before = run_bars(*old)
    records = {"s3://bars/b.csv": [BAR | halved | bar for bar in new]}
    after = testing.run(PIPELINE, records=records, as_of=AS_OF, after=before, charts=False)
    assert after.rows.iloc[:2].equals(before.rows)
    # A bar without a factor has that of the bar before it; the first one that of the next.
    assert list(before.folds["daily_returns"]["close_adjusted"]) == [12, 11]
    assert list(after.folds["daily_returns"]["close_adjusted"]) == [6, 5.5, 6, 6]
    assert before.folds["symbol_statistics"]["total_return"][0] == pytest.approx(-1 / 12)
    assert after.folds["symbol_statistics"]["total_return"][0] == 0


def test_a_bar_that_breaks_a_rule_or_may_mean_something_else_is_rejected():
    bad = [
        ("low", "11.5", "low_open_close_high", ""),
        ("high", "10.5", "low_open_close_high", ""),
        ("open", "0", "greater_than(0)", "0.0"),
        ("volume", "-1", "greater_than_or_equal_to(0)", "-1"),
        ("volume", "1.5", None, "1.5"),
        ("volume", "1.234.500", None, "1.234.500"),
        ("close", "1,234", None, "1,234"),
        ("close", "inf", None, "inf"),
        ("close", "１２", None, "１２"),
        ("date", "31/12/2026", None, "31/12/2026"),
        ("date", "2026-02-30", None, "2026-02-30"),
        # 100 shares at 11 are 1,100: with lots for shares, the price was 0.11.
        ("amount", "11", "amount_is_volume_at_prices_of_the_day", ""),
        ("amount", "2500", "amount_is_volume_at_prices_of_the_day", ""),
    ]
    bars = [{"symbol": f"S{row}", name: value} for row, (name, value, *_) in enumerate(bad, 2)]
    result = run_bars({}, *bars)
    assert list(result.rows["symbol"]) == ["AAPL"]
    assert list(result.rejected["row"]) == list(range(2, len(bad) + 2))
    assert list(result.rejected["value"].fillna("")) == [value for *_, value in bad]
    for (_, _, rule, _), found in zip(bad, result.rejected["rule"], strict=True):
        assert rule in {None, found}


def test_numbers_with_grouped_thousands_and_dates_in_three_forms_are_read():
    result = run_bars(
        {"open": "1,234.50", "high": "1,300.00", "low": "1200", "close": "1.25e3", "volume": "1,234,500"},
        {"date": "20260303", "volume": "7.0"},
        {"date": "2026/03/04", "symbol": "brk-b"},
        {"date": "2026-03-05 00:00:00"},
    )  # fmt: skip
    assert len(result.rejected) == 0
    rows = result.rows.set_index(["symbol", "trade_date"])
    assert rows.loc[("AAPL", date(2026, 3, 2)), ["open", "close", "volume"]].to_list() == [
        1234.5,
        1250,
        1_234_500,
    ]
    assert rows.loc[("AAPL", date(2026, 3, 3)), "volume"] == 7
    assert rows.index[2:].to_list() == [("BRK-B", date(2026, 3, 4)), ("AAPL", date(2026, 3, 5))]


def test_a_file_without_symbols_has_that_of_its_name():
    symbols = {
        "bars/2026-03/600519.SH.csv.gz": "600519.SH",
        "BRK-B.csv": "BRK-B",
        "AAPL_2026-03.csv": "AAPL",
        "goog-20260302.jsonl.zst": "GOOG",
    }
    record = {key: value for key, value in BAR.items() if key != "symbol"}
    records = {f"s3://bars/{name}": [record] for name in symbols}
    result = testing.run(PIPELINE, records=records, charts=False)
    found = result.rows.set_index("file")["symbol"].to_dict()
    assert found == {f"s3://bars/{name}": symbol for name, symbol in symbols.items()}


def test_missing_days_are_those_of_the_exchange_whatever_the_batches():
    """2026-04-03 is Good Friday; Shanghai is closed from 2026-04-04 to 06, and open on that Friday."""
    days = [date(2026, 4, 1), date(2026, 4, 7)]
    table = pa.table({"symbol": ["X", "600519.SH"] * 2, "trade_date": np.repeat(days, 2)})
    for size in (1, 4):
        found = missing_days(table.to_batches(size)).to_pylist()
        assert {(row["symbol"], str(row["day"])[5:], row["exchange"]) for row in found} == {
            ("X", "04-02", "XNYS"),
            ("X", "04-06", "XNYS"),
            ("600519.SH", "04-02", "XSHG"),
            ("600519.SH", "04-03", "XSHG"),
        }
    expected = {
        "XSHG": ["000001.SZ", "430047.BJ", "600519", "SH600519", "SZ.000001"],
        "XHKG": ["0700.HK"],
        "XNYS": ["BRK.B", "^GSPC", "1234567"],
    }
    for exchange, symbols in expected.items():
        assert {exchange_of(symbol) for symbol in symbols} == {exchange}


def test_symbols_whose_prices_do_not_change_and_new_ones_are_in_no_finding():
    """A correlation with them is null, or of few days: 1 or -1. NaN would be the largest of all."""
    bars = []
    for number in range(25):
        day = str(date(2026, 3, 2) + timedelta(days=number))
        change = (number * 7) % 5 / 10
        for symbol, close in (
            ("A", 10 + change),
            ("B", 11 - change + number % 3 / 10),
            ("CONSTANT", 10.5),
            *([("NEW", 10 + 2 * change)] if number > 20 else ()),
            *([("ONE", 10)] if number == 20 else ()),
        ):
            bars.append({"symbol": symbol, "date": day, "close": str(close)})
    result = testing.run(
        PIPELINE, records={"s3://bars/a.csv": [BAR | bar for bar in bars]}, as_of=AS_OF
    )
    fold = result.folds["correlations"].set_index(["symbol", "other"])
    assert fold.loc[("CONSTANT", "A"), "days"] == 24
    assert fold.loc[("A", "NEW"), "days"] == 3
    assert fold.loc[("A", "NEW"), "correlation"] > 0.95
    expected = fold.loc[("A", "B"), "correlation"]
    assert f"Most alike: A and B ({expected:.2f})" in result.report
