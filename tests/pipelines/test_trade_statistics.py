"""Trade statistics from tushare: history, days since, corrections, splits, and what a failure leaves behind."""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta

import pandas as pd
import pytest

from fanfold import testing
from fanfold.errors import QuotaSpent
from fanfold.simulator import market, tushare
from fanfold.simulator.faults import KINDS
from fanfold.simulator.process import running
from fanfold.sources.endpoint import Endpoint
from fanfold.sources.http import HttpClient
from pipelines.trade_statistics import PIPELINE

FIRST, OTHER, LATE = "600519.SH", "000001.SZ", "300750.SZ"
# exchange-calendars warns about pandas.
pytestmark = pytest.mark.filterwarnings("ignore:Series.values")
DAYS = [date(2021, 3, day) for day in range(1, 6)]


@pytest.fixture(scope="module")
def simulator_process():
    with running() as simulator:
        yield simulator


@pytest.fixture
def simulator(simulator_process):
    simulator_process.reset()
    return simulator_process


@pytest.fixture
def run(simulator, monkeypatch):
    """Run the pipeline after the exchange has closed on a day; return the result and the requests."""
    windows, send = [], HttpClient.send

    def noting(client, call):
        params = call.json["params"]
        windows.append((params["ts_code"], call.json["api_name"], params.get("start_date")))
        return send(client, call)

    monkeypatch.setattr(HttpClient, "send", noting)

    def run(day, *symbols, after=None):
        windows.clear()
        result = testing.run(
            PIPELINE,
            symbols,
            endpoint=Endpoint("tushare_default", simulator.url, simulator.token, read_timeout=2.0),
            as_of=datetime.combine(day, time(11), UTC),
            charts=False,
            after=after,
        )
        return result, Counter(windows)

    return run


def bars(rows, *columns):
    """Rows by symbol and day, without the run that they are of."""
    return rows.set_index(["symbol", "trade_date"]).drop(columns=["as_of", *columns]).sort_index()


def expected(last, *symbols):
    """The bars of the market up to a day, with the preliminary ones of this day."""
    rows = []
    for symbol in symbols:
        for bar in market.bars(symbol, market.FIRST_DAY, last):
            part = 0.9 if tushare.is_preliminary(symbol, bar.day, last) else 1.0
            volume, amount = round(bar.volume * part), float(round(bar.amount * part))
            rows.append([symbol, *bar[1:6], volume, amount, bar.factor])
    columns = [name for name in PIPELINE.contract.to_schema().columns if name != "as_of"]
    return pd.DataFrame(rows, columns=columns).set_index(["symbol", "trade_date"]).sort_index()


def test_the_history_comes_first_and_then_the_days_since(run):
    """Each figure is that of the market, in shares and yuan, with the factor of its day."""
    first, requests = run(DAYS[0], FIRST, OTHER)
    pd.testing.assert_frame_equal(bars(first.rows), expected(DAYS[0], FIRST, OTHER))
    # 1,500 rows may have been cut off: a second answer shows that they were not.
    kinds = [(name, api) for name in (FIRST, OTHER) for api in ("daily", "adj_factor")]
    assert requests == {(*kind, None): 2 for kind in kinds}

    second, requests = run(DAYS[1], FIRST, OTHER, after=first)
    pd.testing.assert_frame_equal(bars(second.rows), expected(DAYS[1], FIRST, OTHER))
    assert requests == {(*kind, "20210222"): 1 for kind in kinds}
    assert list(second.outcomes["attempts"]) == [2, 2]

    # A run of an earlier date asks for the days up to it, and changes nothing that the later one brought.
    earlier, requests = run(date(2021, 2, 26), FIRST, OTHER, after=second)
    assert requests == {(*kind, "20210219"): 1 for kind in kinds}
    pd.testing.assert_frame_equal(bars(earlier.rows), bars(second.rows))


def test_a_correction_within_the_lag_arrives(run):
    """It comes three days after the bar, when newer bars are in the dataset."""
    day, later, last = DAYS[0], DAYS[1], DAYS[3]
    symbol = next(each for each in market.SYMBOLS if tushare.is_preliminary(each, day, later))
    (bar,) = market.bars(symbol, day, day)
    found = []
    result = None
    for until in (day, later, last):
        result, _ = run(until, symbol, after=result)
        found.append(tuple(bars(result.rows).loc[(symbol, day), ["volume", "amount"]]))
    preliminary = (round(bar.volume * 0.9), round(bar.amount * 0.9))
    assert found == [preliminary, preliminary, (bar.volume, bar.amount)]


def test_a_split_changes_adjusted_prices_of_the_past_and_no_row(run):
    bars_of = market.bars(FIRST, DAYS[0], date(2026, 3, 2))
    before, after = next(
        pair for pair in itertools.pairwise(bars_of) if pair[1].factor > 1.25 * pair[0].factor
    )
    one, _ = run(before.day, FIRST)
    two, requests = run(after.day, FIRST, after=one)
    assert requests[FIRST, "daily", f"{before.day - timedelta(7):%Y%m%d}"] == 1
    recent = [(FIRST, day) for day in market.sessions(before.day - timedelta(2), after.day)]
    past, still = (bars(each.rows).drop(index=recent, errors="ignore") for each in (one, two))
    pd.testing.assert_frame_equal(past, still)
    closes, adjusted = (
        each.folds["daily_returns"].set_index("trade_date")["close_adjusted"] for each in (one, two)
    )
    assert adjusted[after.day] == after.close
    pd.testing.assert_series_equal(
        adjusted.drop(after.day), closes * (before.factor / after.factor), rtol=1e-12
    )
    # So the return of the day is not the drop of the price.
    returned = two.folds["daily_returns"].set_index("trade_date")["daily_return"][after.day]
    assert returned == pytest.approx(after.close / after.before - 1, abs=1e-3)


def test_a_new_symbol_gets_its_history_and_a_failed_one_is_made_up_for(run, simulator):
    first, _ = run(DAYS[0], FIRST, OTHER)
    simulator.control(uids={OTHER: "10017"})
    second, requests = run(DAYS[1], FIRST, OTHER, LATE, after=first)
    assert list(second.outcomes["status"]) == ["ok", "failed", "ok"]
    assert requests[LATE, "daily", None] == requests[FIRST, "daily", "20210222"] == 1
    found = bars(second.rows)
    pd.testing.assert_frame_equal(found.loc[[LATE]], expected(DAYS[1], LATE))
    assert found.loc[OTHER].index.max() == DAYS[0]

    simulator.reset()
    third, requests = run(DAYS[2], FIRST, OTHER, LATE, after=second)
    assert requests[OTHER, "daily", "20210222"] == requests[FIRST, "daily", "20210223"] == 1
    pd.testing.assert_frame_equal(bars(third.rows), expected(DAYS[2], FIRST, OTHER, LATE))


def test_an_unknown_symbol_is_missing_and_a_suspended_one_has_nothing_new(run):
    suspended, day = next(
        (one.symbol, one.day + timedelta(1))
        for symbol in market.SYMBOLS
        for one, two in itertools.pairwise(market.bars(symbol, DAYS[0], date(2026, 3, 2)))
        if two.day - one.day > timedelta(7) and one.day + timedelta(1) < two.day
        if market.sessions(one.day + timedelta(1), one.day + timedelta(1))
    )
    first, _ = run(day - timedelta(1), suspended, "999999.SH")
    assert dict(first.outcomes["status"]) == {suspended: "ok", "999999.SH": "missing"}
    second, _ = run(day, suspended, after=first)
    assert list(second.outcomes["status"]) == ["ok"]
    pd.testing.assert_frame_equal(bars(second.rows), expected(day, suspended))
    assert len(second.rows) == len(first.rows)


def test_a_quota_a_minute_pauses_the_connection(run, simulator):
    simulator.control(quota_per_hour=2, quota_window_s=3600)
    started = datetime.now(UTC)
    with pytest.raises(QuotaSpent, match="tushare 40203: the quota is used up") as caught:
        run(DAYS[0], *market.SYMBOLS)
    assert 59 < (caught.value.reset_at - started).total_seconds() < 120
    # Those of the eight threads that were on their way, of the 30 symbols.
    assert simulator.stats()["requests"] <= 2 + 8


@pytest.mark.parametrize(
    ("wrong", "column", "value"),
    [
        ({"vol": 3_000_000.0}, "", None),
        ({"amount": 28_500_000.0}, "", None),
        ({"vol": "many"}, "volume", "many"),
        ({"amount": "much"}, "amount", "much"),
        ({"close": None}, "close", "null"),
        ({"trade_date": "20210231"}, "trade_date", "2021-02-31"),
        ({"low": 9.6}, "", None),
    ],
)
def test_a_bar_in_wrong_units_or_that_cannot_be_read_costs_only_itself(wrong, column, value):
    """30,000 lots for 28,500 thousand yuan are 9.50 each; as shares or yuan they are not."""
    right = {
        "api_name": "daily",
        "ts_code": FIRST,
        "trade_date": "20210301",
        "open": 9.4,
        "high": 9.6,
        "low": 9.3,
        "close": 9.5,
        "vol": 30_000.0,
        "amount": 28_500.0,
    }
    found = testing.run(
        PIPELINE,
        records={FIRST: [{**right, **wrong}, {**right, "trade_date": "20210302"}]},
        charts=False,
    )
    ((_, row),) = found.rows.iterrows()
    assert (row["volume"], row["amount"]) == (3_000_000, 28_500_000)
    ((_, rejected),) = found.rejected.iterrows()
    assert rejected["column"] == column
    if value:
        assert value in rejected["value"]


def test_each_symbol_comes_through_the_faults_of_the_simulator(run, simulator):
    """A tenth of all responses is one of all faults but an empty answer, which looks like a true one."""
    faults = sorted(KINDS.keys() - {"unknown"})
    simulator.control(
        seed=5,
        retry_after_s=0,
        slow_s=0.01,
        trickle_s=0.1,
        huge_bytes=9 << 20,
        bomb_bytes=9 << 20,
        error_rate=dict.fromkeys(faults, 0.1 / len(faults)),
    )
    symbols = market.SYMBOLS[:12]
    first, _ = run(DAYS[0], *symbols)
    second, _ = run(DAYS[1], *symbols, after=first)
    for result, day in ((first, DAYS[0]), (second, DAYS[1])):
        assert set(result.outcomes["status"]) == {"ok"}, result.outcomes.to_string()
        pd.testing.assert_frame_equal(bars(result.rows), expected(day, *symbols))
    assert sum(simulator.stats()["faults"].values()) > 5
